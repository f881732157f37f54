package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
)

// A profile says what nobody has said otherwise: flags, -X and the environment count more.
func TestProfilesAreMadeUsedAndForgotten(t *testing.T) {
	c, k := newKafka(t, kfake.SeedTopics(1, "orders"))
	here := strings.Join(k.ListenAddrs(), ",")
	t.Setenv("FIRN_BROKERS", "")
	c.prints("NAME     IN-USE  BROKERS  STORE\ndefault  yes     -        -\n", "profile", "list")
	c.prints("NAME  STATUS\nhere  in use\n", "profile", "create", "here", "brokers="+here, "store=s3://glacier/p", "format=json")
	c.prints("NAME  STATUS\ngone  in use\n", "profile", "create", "gone", "brokers=127.0.0.1:1", "http=a:1,b:2")

	c.fails(exitError, "cannot reach 127.0.0.1:1 (profile gone): is a broker running?", "topic", "list")
	c.fails(exitUsage, "Delete orders and all records in it? (profile gone) There is nobody to ask", "topic", "delete", "orders")
	if out := c.ok("topic", "list", "--profile", "here"); !strings.HasPrefix(out, "[") || !strings.Contains(out, `"orders"`) {
		t.Errorf("the format of the profile: %s", out)
	}
	c.ok("topic", "list", "--brokers", here)
	c.ok("topic", "list", "-X", "brokers="+here)
	t.Setenv("FIRN_PROFILE", "here")
	c.prints("NAME    PARTITIONS  REPLICAS\norders  1           1\n", "topic", "list", "--format", "text")
	t.Setenv("FIRN_BROKERS", "127.0.0.1:2")
	c.fails(exitError, "cannot reach 127.0.0.1:2: is", "topic", "list")
	t.Setenv("FIRN_BROKERS", "")
	t.Setenv("FIRN_PROFILE", "")

	c.ok("profile", "use", "here")
	var shown profileLine
	decode(t, c.ok("profile", "show", "--json"), &shown)
	if shown.Name != "here" || !shown.InUse || shown.Values["brokers"] != here || shown.Values["store"] != "s3://glacier/p" {
		t.Errorf("%+v", shown)
	}
	decode(t, c.ok("profile", "show", "gone", "--json"), &shown)
	if shown.Name != "gone" || shown.InUse {
		t.Errorf("%+v", shown)
	}
	c.fails(exitError, `no such profile: hree; did you mean "here"?`, "profile", "use", "hree")
	c.fails(exitUsage, `no such profile: hree; did you mean "here"?`, "topic", "list", "--profile", "hree")
	c.fails(exitError, "--replace", "profile", "create", "here", "brokers=x:1")
	c.ok("profile", "delete", "here", "gone")
	c.prints("NAME  default\n", "profile", "show")
	if a := c.fails(exitError, "", "profile", "delete", "here", "default"); !strings.Contains(a.out, "no such profile") || !strings.Contains(a.out, "always there") {
		t.Error(a.out)
	}
	c.ok("profile", "use", "default")
}

// A bucket's URL of a profile is what commands that read buckets are about, and no broker's.
func TestTheBucketOfAProfile(t *testing.T) {
	clearEnvironment(t)
	c := cli{t: t}
	bucket := filepath.Join(t.TempDir(), "bucket")
	c.ok("profile", "create", "here", "store=file://"+bucket)
	for _, line := range []string{"catalog check", "object ls", "object verify", "topic storage t", "replay t"} {
		c.fails(exitError, "no cluster in this bucket", strings.Fields(line)...)
	}
	if _, err := os.Stat(bucket); err == nil {
		t.Error("what reads a bucket has made one")
	}
	c.fails(exitUsage, "--store is not set", "broker")
	if a := c.run("doctor", "config"); strings.Contains(a.out, bucket) {
		t.Errorf("a broker would use the bucket of a profile:\n%s", a.out)
	}
}

func TestWhatIsNoProfileIsRefused(t *testing.T) {
	clearEnvironment(t)
	c := cli{t: t}
	for want, args := range map[string]string{
		"Want NAME=VALUE, such as":                     "p",
		"want NAME=VALUE after":                        "p brokers",
		`a profile holds no "broker"; did you mean "b`: "p broker=x:1",
		"brokers: it is empty":                         "p brokers=",
		"timeout: ":                                    "p timeout=soon",
		"format: ":                                     "p format=xml",
		"store: ":                                      "p store=ftp://x",
		"cannot be the name":                           "default brokers=x:1",
	} {
		c.fails(exitUsage, want, append([]string{"profile", "create"}, strings.Fields(args)...)...)
	}
	if a := c.fails(exitUsage, "AWS_ACCESS_KEY_ID", "profile", "create", "p", "store=s3://AKIA:wJalrX@glacier"); strings.Contains(a.out+a.err, "wJalrX") {
		t.Errorf("a secret is printed: %s%s", a.out, a.err)
	}
	dir := filepath.Join(os.Getenv("XDG_CONFIG_HOME"), "firn")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "profiles.yaml")
	for text, want := range map[string]string{
		"current: nobody\n":                "no such profile: nobody",
		"profiles:\n  p:\n    broker: x\n": `unknown name "broker"`,
		"nonsense":                         file,
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c.fails(exitUsage, want, "version")
		c.fails(exitUsage, "--store is not set", "broker") // which knows no profiles
	}
}

// What is in the environment is no default that help could print.
func TestHelpPrintsNoSecret(t *testing.T) {
	clearEnvironment(t)
	t.Setenv("FIRN_STORE", "s3://AKIA:wJalrX@glacier")
	for _, line := range []string{"object ls --help", "object verify --help", "doctor storage --help", "replay --help", "broker --help", "object ls", "replay t"} {
		if a := (cli{t: t}).run(strings.Fields(line)...); strings.Contains(a.out+a.err, "wJalrX") {
			t.Errorf("firn %s:\n%s%s", line, a.out, a.err)
		}
	}
}
