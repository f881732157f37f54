package main

import (
	"encoding/json"
	"net"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
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

// The broker itself passes, on each of its listeners.
func TestDoctorConnectOnABrokerWithTwoListeners(t *testing.T) {
	clearEnvironment(t)
	c := cli{t: t}
	r := c.start(`ready `, "broker", "--store", "mem://", "--listeners", "IN://127.0.0.1:0,OUT://127.0.0.1:0", "--http", "127.0.0.1:0", "--gossip", "127.0.0.1:0")
	defer r.stop()
	_, rest, _ := strings.Cut(r.shown, "kafka=")
	addrs, _, _ := strings.Cut(rest, " ")
	for addr := range strings.SplitSeq(addrs, ",") {
		_, at, _ := strings.Cut(addr, "://")
		out := c.ok("doctor", "connect", "--brokers", at)
		if !strings.Contains(out, "ok    node 1     "+at) {
			t.Errorf("by %s:\n%s", addr, out)
		}
	}
}
