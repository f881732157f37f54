package main

import (
	"bytes"
	"context"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
)

var update = flag.Bool("update", false, "write golden files")

// cli runs commands as a shell would, in this process.
type cli struct {
	t     testing.TB
	stdin string
}

// answer is what a command gave.
type answer struct {
	code     int
	out, err string
}

func (c cli) run(args ...string) answer {
	c.t.Helper()
	return c.runContext(c.t.Context(), args...)
}

func (c cli) runContext(ctx context.Context, args ...string) answer {
	c.t.Helper()
	var out, errOut bytes.Buffer
	code := run(ctx, args, strings.NewReader(c.stdin), &out, &errOut)
	return answer{code, out.String(), errOut.String()}
}

// ok runs a command that must succeed, and returns what it printed.
func (c cli) ok(args ...string) string {
	c.t.Helper()
	a := c.run(args...)
	if a.code != exitOK {
		c.t.Fatalf("firn %s: exit code %d\n%s%s", strings.Join(args, " "), a.code, a.out, a.err)
	}
	return a.out
}

// prints holds a command's output against what is expected.
func (c cli) prints(want string, args ...string) {
	c.t.Helper()
	if got := c.ok(args...); got != want {
		c.t.Errorf("firn %s printed\n%s\nwant\n%s", strings.Join(args, " "), got, want)
	}
}

// fails runs a command that must fail so, with this on standard error.
func (c cli) fails(code int, want string, args ...string) answer {
	c.t.Helper()
	a := c.run(args...)
	if a.code != code || !strings.Contains(a.err, want) {
		c.t.Errorf("firn %s: exit code %d, want %d; standard error\n%s\nwant in it: %s", strings.Join(args, " "), a.code, code, a.err, want)
	}
	return a
}

// in is the same with something on standard input.
func (c cli) in(text string) cli {
	c.stdin = text
	return c
}

// newKafka is a Kafka of another make, so that commands are held to the
// protocol and not to this broker.
func newKafka(t testing.TB, opts ...kfake.Opt) (cli, *kfake.Cluster) {
	t.Helper()
	k, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1), kfake.DefaultNumPartitions(2)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	clearEnvironment(t)
	t.Setenv("FIRN_BROKERS", strings.Join(k.ListenAddrs(), ","))
	return cli{t: t}, k
}

// TestMain hides the profiles of whoever runs the tests.
func TestMain(m *testing.M) {
	os.Setenv("XDG_CONFIG_HOME", "/nonexistent")
	os.Exit(m.Run())
}

// clearEnvironment hides the caller's FIRN_ variables, and gives the test profiles of its
// own.
func clearEnvironment(t testing.TB) {
	t.Helper()
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	for _, kv := range os.Environ() {
		if name, _, _ := strings.Cut(kv, "="); strings.HasPrefix(name, "FIRN_") {
			t.Setenv(name, "")
			os.Unsetenv(name)
		}
	}
}
