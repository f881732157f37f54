//go:build ring4

package ring4

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/firnlog/firn/localstack/proc"
)

// clone copies the folder of a broker that runs, file by file, as they are at each moment.
func clone(t *testing.T, to, from string) {
	t.Helper()
	n := 0
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && path != from {
			return nil // deleted meanwhile
		}
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		}
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if n++; err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), b, 0o644)
	})
	if err != nil || n == 0 {
		t.Fatalf("%d files copied: %v", n, err)
	}
}

// TestACloneOfARunningMachine copies the data folder of a broker under load and starts a
// second process on the copy, which has the same node id. While the first one runs, the
// clone gives up and says why. When the first one is frozen, as a machine is that is moved,
// the clone takes its place under load; and the first one, when it wakes, finds that out
// and ends. Nothing is lost or there twice.
func TestACloneOfARunningMachine(t *testing.T) {
	first, other, second := newStack(t), newStack(t), newStack(t)
	other.store, second.store = first.store, first.store
	first.start(t)
	other.start(t)
	const topic = "clone"
	adm := kadm.NewClient(client(t, other.addr, kgo.SeedBrokers(first.addr, other.addr)))
	if _, err := adm.CreateTopic(t.Context(), 8, 1, nil, topic); err != nil {
		t.Fatal(err)
	}
	w := startWriters(t, other.addr, topic, 3)
	flows := func(n int, what string) {
		t.Helper()
		for end, deadline := w.acknowledged()+n, time.Now().Add(time.Minute); w.acknowledged() < end; time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("nothing is acknowledged %s", what)
			}
		}
	}
	flows(5000, "at first")

	for range 2 {
		if err := os.RemoveAll(second.data); err != nil {
			t.Fatal(err)
		}
		clone(t, second.data, first.data)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		b, err := proc.Start(ctx, second.log, second.bin, "--store", second.store, "--data-dir", second.data, "--listeners", second.addr, "--http", "127.0.0.1:0", "--gossip", "127.0.0.1:0")
		cancel()
		if err == nil {
			b.Kill()
			t.Fatal("a clone serves beside the broker that it is a copy of")
		}
		if !strings.Contains(err.Error(), "two brokers with one node id") || !strings.Contains(err.Error(), first.addr) {
			t.Errorf("the clone ended with %v", err)
		}
		flows(1000, "beside the clone")
	}

	if err := os.RemoveAll(second.data); err != nil {
		t.Fatal(err)
	}
	if err := first.broker.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	clone(t, second.data, first.data)
	second.start(t)
	if second.broker.Node != first.broker.Node {
		t.Errorf("the clone is node %s, want %s", second.broker.Node, first.broker.Node)
	}
	leads := func() (n int) {
		m, err := adm.Metadata(t.Context(), topic)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range m.Topics[topic].Partitions {
			if strconv.Itoa(int(p.Leader)) == second.broker.Node {
				n++
			}
		}
		return n
	}
	for deadline := time.Now().Add(time.Minute); leads() == 0; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the clone of a broker that is frozen leads nothing")
		}
	}
	flows(5000, "by the clone")
	if err := first.broker.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	select {
	case <-first.broker.Exited():
	case <-time.After(time.Minute):
		t.Error("the broker that was frozen and replaced still runs")
	}
	if b, err := os.ReadFile(first.log.Name()); err != nil || !strings.Contains(string(b), "two brokers with one node id") {
		t.Errorf("the frozen broker did not say why it ended (%v)", err)
	}
	flows(5000, "after the frozen broker woke")
	got := w.stop(t)
	check(t, other.addr, topic, got)
	second.stop(t)
	check(t, other.addr, topic, got)
	other.stop(t)
	other.verify(t)
}
