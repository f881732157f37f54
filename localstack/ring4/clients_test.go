//go:build ring4

package ring4

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestKcatAcrossAKill produces with librdkafka, kills the broker, empties its
// disk, and consumes with librdkafka, also as a group that goes on where it was.
func TestKcatAcrossAKill(t *testing.T) {
	if _, err := exec.LookPath("kcat"); err != nil {
		t.Fatal("kcat is not installed: apt-get install kcat")
	}
	s := newStack(t, "--group-initial-rebalance-delay-ms", "0")
	s.start(t)
	var in bytes.Buffer
	const lines = 20000
	for i := range lines {
		fmt.Fprintf(&in, "k%d:value %d\n", i%10, i)
	}
	kcat(t, &in, "-b", s.addr, "-P", "-t", "kcat", "-K", ":", "-X", "acks=all", "-X", "enable.idempotence=true", "-z", "lz4")
	kcat(t, strings.NewReader("first\n"), "-b", s.addr, "-P", "-t", "grouped")
	if out := groupRead(t, s.addr); out != "first\n" {
		t.Fatalf("the group read %q", out)
	}
	s.kill()
	s.wipe(t)
	s.start(t)
	out := kcat(t, nil, "-b", s.addr, "-C", "-t", "kcat", "-o", "beginning", "-e", "-q")
	if got := strings.Count(out, "\n"); got != lines {
		t.Fatalf("%d lines came back of %d", got, lines)
	}
	kcat(t, strings.NewReader("second\n"), "-b", s.addr, "-P", "-t", "grouped")
	if out := groupRead(t, s.addr); out != "second\n" {
		t.Fatalf("after the kill the group read %q: its offset was lost", out)
	}
	s.stop(t)
	s.verify(t)
}

// groupRead consumes what a group has not read, and commits.
func groupRead(t *testing.T, addr string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "kcat", "-b", addr, "-G", "readers", "-c", "1", "-q", "-X", "auto.offset.reset=earliest", "grouped").Output()
	if err != nil {
		t.Fatalf("kcat -G: %v", err)
	}
	return string(out)
}

func kcat(t *testing.T, in interface{ Read([]byte) (int, error) }, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "kcat", args...)
	if in != nil {
		cmd.Stdin = in
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("kcat %s: %v\n%s", strings.Join(args, " "), err, &stderr)
	}
	return string(out)
}

// TestAcksOneSurvivesACrashOfTheBroker kills the broker while records are
// acknowledged with acks=1, and restarts it on its disk: all of them are there, at
// the offsets that were acknowledged (P2).
func TestAcksOneSurvivesACrashOfTheBroker(t *testing.T) {
	s := newStack(t)
	s.start(t)
	const topic = "acks1"
	if _, err := kadm.NewClient(client(t, s.addr)).CreateTopic(t.Context(), 4, 1, nil, topic); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	got := map[string]acked{}
	for round := range 5 {
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			cl, err := kgo.NewClient(kgo.SeedBrokers(s.addr), kgo.DefaultProduceTopic(topic), kgo.RequiredAcks(kgo.LeaderAck()),
				kgo.DisableIdempotentWrite(), kgo.RecordRetries(0), kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
			if err != nil {
				t.Error(err)
				return
			}
			defer cl.Close()
			for i := 0; ctx.Err() == nil; i++ {
				cl.Produce(context.Background(), &kgo.Record{Value: fmt.Appendf(nil, "%d-%d", round, i)}, func(r *kgo.Record, err error) {
					if err == nil {
						mu.Lock()
						got[string(r.Value)] = acked{r.Partition, r.Offset}
						mu.Unlock()
					}
				})
				if i%20 == 0 {
					time.Sleep(time.Millisecond)
				}
			}
		})
		time.Sleep(700 * time.Millisecond)
		s.kill()
		cancel()
		wg.Wait()
		s.start(t)
	}
	if len(got) == 0 {
		t.Fatal("nothing was acknowledged: the test showed nothing")
	}
	check(t, s.addr, topic, got)
	s.stop(t)
	s.verify(t)
}
