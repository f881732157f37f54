package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDoctorConfigShowsWhatABrokerWouldRunWith(t *testing.T) {
	clearEnvironment(t)
	c := cli{t: t}
	path := filepath.Join(t.TempDir(), "firn.yaml")
	if err := os.WriteFile(path, []byte("store: s3://bucket/prefix?region=eu-central-1\nnum.partitions: 7\nlisteners: IN://:1,OUT://:2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("FIRN_NUM_PARTITIONS", "5") // wins over the file
	out := c.ok("doctor", "config", "--config", path, "--node-id", "4")
	for _, want := range []string{"num.partitions  5 ", "node.id         4 ", "IN://:1,OUT://:2", "s3://bucket/prefix?region=eu-central-1"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if strings.Contains(out, "seal.bytes") || !strings.Contains(c.ok("doctor", "config", "--format", "wide"), "seal.bytes") {
		t.Errorf("defaults are shown though nobody asked, or not though somebody did:\n%s", out)
	}
	c.fails(exitUsage, `unknown setting "nodes"`, "doctor", "config", "-X", "nodes=1")
	c.fails(exitUsage, "store: ", "doctor", "config", "--store", "ftp://host/bucket")
	c.fails(exitUsage, "there is no listener PLAINTEXT", "doctor", "config", "--config", path, "--advertised-listeners", "h:1")
}
