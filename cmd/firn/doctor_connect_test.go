package main

import (
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/firnlog/firn/broker/settings"
)

func TestDoctorConnectSaysWhichAddressesWork(t *testing.T) {
	c, k := newKafka(t, kfake.NumBrokers(3))
	out := c.ok("doctor", "connect")
	if strings.Count(out, "\nok    node ") != 3 || !strings.Contains(out, "every address works from here: cluster kfake, 3 brokers\n") {
		t.Error(out)
	}
	if wide := c.ok("doctor", "connect", "--format", "wide"); !strings.Contains(wide, "versions: ") {
		t.Error(wide)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := taken.Addr().String()
	taken.Close()
	a := c.run("doctor", "connect", "--brokers", closed+","+k.ListenAddrs()[0], "--json")
	var r struct {
		Cluster string
		Checks  []struct {
			Address, Of, Step, Advice string
			OK                        bool
		}
	}
	if err := json.Unmarshal([]byte(a.out), &r); err != nil || a.code != exitProblem || r.Cluster != "kfake" {
		t.Fatalf("%d, %v\n%s", a.code, err, a.out)
	}
	if x := r.Checks[0]; x.Address != closed || x.Of != "bootstrap" || x.Step != "connection" || x.OK || x.Advice == "" {
		t.Errorf("%+v", x)
	}
	if a := c.run("doctor", "connect", "--brokers", closed); a.code != exitProblem || !strings.Contains(a.out, "FAIL  bootstrap") || !strings.Contains(a.out, "no cluster was found") {
		t.Errorf("%d\n%s", a.code, a.out)
	}
	c.fails(exitUsage, "--brokers is empty", "doctor", "connect", "--brokers", ",")
}

// Two brokers with two listeners each: whoever comes by one of them is sent to the
// addresses of that one, of both brokers, and gets through.
func TestDoctorConnectByEachListener(t *testing.T) {
	clearEnvironment(t)
	c := cli{t: t}
	store := "file://" + t.TempDir() + "/bucket"
	at := map[string][]string{} // by listener: the addresses of the brokers
	for node := range 2 {
		r := c.start(`ready `, "broker", "--store", store, "--listeners", "IN://127.0.0.1:0,OUT://127.0.0.1:0", "--http", "127.0.0.1:0", "--gossip", "127.0.0.1:0", "--node-id", fmt.Sprint(node+1))
		defer r.stop()
		_, rest, _ := strings.Cut(r.shown, "kafka=")
		text, _, _ := strings.Cut(rest, " ")
		es, err := settings.ParseEndpoints(text)
		if err != nil || len(es) != 2 {
			t.Fatalf("%s: %v", text, err)
		}
		for _, e := range es {
			at[e.Listener] = append(at[e.Listener], e.Address())
		}
	}
	for listener, addrs := range at {
		// The second broker knows the first from the bucket.
		out := c.ok("doctor", "connect", "--brokers", addrs[1])
		for node, addr := range addrs {
			if !strings.Contains(out, fmt.Sprintf("ok    node %d     %s\n", node+1, addr)) {
				t.Errorf("by %s, node %d is not at %s:\n%s", listener, node+1, addr, out)
			}
		}
	}
}
