package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/firnlog/firn/broker"
	"github.com/firnlog/firn/broker/settings"
	"github.com/firnlog/firn/replay"
)

// brokerOn runs a broker on a bucket until it is stopped.
func brokerOn(t *testing.T, url string) (addr string, stop func()) {
	t.Helper()
	v, err := settings.New(settings.Source{Name: "test", Values: map[string]string{"store": url, "listeners": "127.0.0.1:0", "http": "127.0.0.1:0"}})
	if err != nil {
		t.Fatal(err)
	}
	store, place, err := broker.OpenStore(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan broker.Addresses, 1), make(chan error, 1)
	go func() {
		ended <- broker.Run(ctx, broker.Options{Settings: v, Store: store, Place: place}, func(a broker.Addresses) { ready <- a })
	}()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("broker: %v", err)
		}
	}
	t.Cleanup(stop)
	select {
	case a := <-ready:
		return a.Kafka, stop
	case err := <-ended:
		stopped = true
		t.Fatal(err)
	case <-time.After(20 * time.Second):
		t.Fatal("broker is not ready")
	}
	return "", nil
}

// written is a bucket with a topic of 3 partitions and 90 records; the timestamp of
// record n is n seconds.
func written(t *testing.T) (c cli, url, addr string, stop func()) {
	t.Helper()
	clearEnvironment(t)
	c, url = cli{t: t}, "file://"+t.TempDir()
	addr, stop = brokerOn(t, url)
	c.ok("topic", "create", "t", "-p", "3", "--brokers", addr)
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DefaultProduceTopic("t"))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	for n := range 90 {
		r := &kgo.Record{Partition: int32(n % 3), Key: fmt.Appendf(nil, "k%d", n), Value: fmt.Appendf(nil, "v%d;", n), Timestamp: time.Unix(int64(n), 0), Headers: []kgo.RecordHeader{{Key: "n", Value: fmt.Append(nil, n)}}}
		if err := cl.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	return c, url, addr, stop
}

func TestReplayWithAndWithoutBrokers(t *testing.T) {
	c, url, addr, stop := written(t)
	var want strings.Builder
	for n := range 90 {
		fmt.Fprintf(&want, "v%d;", n)
	}
	for _, gone := range []bool{false, true} {
		if gone {
			stop()
		}
		c.prints(want.String(), "replay", "t", "--store", url, "--format", "raw")
		c.prints("1 10 k31\n1 11 k34\n", "replay", "t", "--store", url, "-p", "1", "--from", "10", "--to", "12", "--format", "%p %o %k\n")
		c.prints("v88;v89;", "replay", "t", "--store", url, "--from", "@88000", "--format", "raw")
		c.prints("", "replay", "t", "--store", url, "--from", "end", "--format", "raw")
		if !gone {
			c.prints(c.ok("consume", "t", "-p", "2", "--json", "--brokers", addr), "replay", "t", "--store", url, "-p", "2")
		}
	}
	var p planned
	if err := json.Unmarshal([]byte(c.ok("replay", "t", "--store", url, "--dry-run", "--json")), &p); err != nil {
		t.Fatal(err)
	}
	if got := c.ok("replay", "t", "--store", url, "--dry-run", "--format", "json"); decoded[planned](t, got).Records != 90 {
		t.Fatal(got)
	}
	if p.Records != 90 || p.Objects == 0 || p.Gets < p.Objects || p.Bytes == 0 || p.Cost <= 0 || p.Currency != "USD" {
		t.Fatalf("%+v", p)
	}
}

func TestReplayToATopic(t *testing.T) {
	c, url, addr, _ := written(t)
	c.ok("topic", "create", "u", "-p", "3", "--brokers", addr)
	c.ok("replay", "t", "--store", url, "--to-topic", "u", "--brokers", addr)
	f := "%p %o %k %v %T %h{ %k=%v }\n"
	c.prints(c.ok("consume", "t", "-p", "1", "-f", f, "--brokers", addr), "consume", "u", "-p", "1", "-f", f, "--brokers", addr)
	c.ok("topic", "create", "one", "-p", "1", "--brokers", addr)
	c.fails(exitError, "firn topic add-partitions one --num 2", "replay", "t", "--store", url, "--to-topic", "one", "--brokers", addr)
	c.ok("replay", "t", "-p", "0", "--store", url, "--to-topic", "one", "--brokers", addr)
	c.fails(exitError, "firn topic create none -p 3", "replay", "t", "--store", url, "--to-topic", "none", "--brokers", addr)
	if got := c.ok("topic", "list", "--brokers", addr); strings.Contains(got, "none") {
		t.Errorf("a replay that was refused has made a topic:\n%s", got)
	}
}

// TestReplayGoesOnAtItsCheckpoint kills it at every record, and begins again.
func TestReplayGoesOnAtItsCheckpoint(t *testing.T) {
	c, url, _, stop := written(t)
	stop()
	dir := t.TempDir()
	want := c.ok("replay", "t", "--store", url)
	for _, at := range []int{1, 2, 45, 89} {
		out, mark := filepath.Join(dir, fmt.Sprintf("out%d", at)), filepath.Join(dir, fmt.Sprintf("mark%d", at))
		args := []string{"replay", "t", "--store", url, "--out", out, "--checkpoint", mark}
		// What a kill leaves: a checkpoint of some records before, and half a record more.
		interrupt(t, url, out, mark, at)
		c.ok(args...)
		got, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != want {
			t.Fatalf("killed at record %d, the file is\n%s\nwant\n%s", at, got, want)
		}
		c.ok(args...) // nothing is left
		if again, err := os.ReadFile(out); err != nil || string(again) != want {
			t.Fatalf("%v\n%s", err, again)
		}
		c.fails(exitUsage, `--from "start", not "3"`, append(args, "--from", "3")...)
		if err := os.Truncate(out, 10); err != nil {
			t.Fatal(err)
		}
		c.fails(exitError, "it has 10 bytes", args...)
	}
}

// interrupt runs a replay up to a record, saves, and writes a bit more.
func interrupt(t *testing.T, url, out, mark string, at int) {
	t.Helper()
	g := &globals{}
	cmd := newReplay(g)
	cmd.SetErr(os.Stderr)
	r := &replayer{g: g, cmd: cmd, topic: "t", store: url, from: "start", to: "end", out: out, format: "jsonl", checkpoint: mark}
	store, _, err := broker.OpenStore(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	h, err := replay.Open(t.Context(), store, "t", replay.Options{})
	if err != nil {
		t.Fatal(err)
	}
	m, err := r.loadCheckpoint(h)
	if err != nil {
		t.Fatal(err)
	}
	if m.Spans, err = h.Resolve(t.Context(), replay.Choice{To: replay.End()}); err != nil {
		t.Fatal(err)
	}
	s, err := r.open(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	k := &keeper{path: mark, mark: m, sink: s, every: time.Hour, last: time.Now()}
	n, killed := 0, errors.New("killed")
	_, err = h.Replay(t.Context(), m.copySpans(), replay.How{}, func(x *replay.Record) error {
		if err := s.put("t", x); err != nil {
			return err
		}
		if n++; n > at { // written, and not noted
			return killed
		}
		if err := k.wrote(x); err != nil {
			return err
		}
		if n == at {
			return k.save()
		}
		return nil
	})
	if !errors.Is(err, killed) {
		t.Fatal(err)
	}
	if _, err := s.settle(); err != nil {
		t.Fatal(err)
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
}

func TestReplayRefusesWhatMakesNoSense(t *testing.T) {
	c, url, _, stop := written(t)
	stop()
	file := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		code int
		want string
		args []string
	}{
		{exitUsage, "--store is not set", []string{"replay", "t"}},
		{exitUsage, "--from", []string{"replay", "t", "--store", url, "--from", "-3"}},
		{exitUsage, "--to", []string{"replay", "t", "--store", url, "--to", "@yesterday"}},
		{exitUsage, "--from 5 is behind --to 2", []string{"replay", "t", "--store", url, "--from", "5", "--to", "2"}},
		{exitUsage, "--from @-1h is behind --to @-2h", []string{"replay", "t", "--store", url, "--from", "@-1h", "--to", "@-2h"}},
		{exitUsage, "--speed", []string{"replay", "t", "--store", url, "--speed", "0"}},
		{exitUsage, "--speed", []string{"replay", "t", "--store", url, "--speed", "NaN"}},
		{exitUsage, "--format", []string{"replay", "t", "--store", url, "--format", "csv"}},
		{exitUsage, "--checkpoint needs", []string{"replay", "t", "--store", url, "--checkpoint", "c"}},
		{exitUsage, "it is no checkpoint", []string{"replay", "t", "--store", url, "--out", file + "o", "--checkpoint", file}},
		{exitUsage, "is not empty", []string{"replay", "t", "--store", url, "--out", file}},
		{exitError, "no such topic", []string{"replay", "nope", "--store", url}},
		{exitError, "no partition 9", []string{"replay", "t", "--store", url, "-p", "9"}},
		{exitError, "no cluster in this bucket", []string{"replay", "t", "--store", "file://" + t.TempDir()}},
	} {
		c.fails(x.code, x.want, x.args...)
	}
	if b, _ := os.ReadFile(file); string(b) != "precious" {
		t.Fatalf("%q", b)
	}
}

// A slot that is damaged, and lies nowhere else yet, costs what is in it and behind it.
func TestReplayBeforeADamagedSlot(t *testing.T) {
	c, url, addr, _ := written(t)
	c.in("more\n").ok("produce", "t", "-p", "1", "--brokers", addr)
	dir := filepath.Join(t.TempDir(), "bucket")
	copyFolder(t, dir, strings.TrimPrefix(url, "file://"))
	slots, err := filepath.Glob(filepath.Join(dir, "wal/*/*"))
	if err != nil || len(slots) == 0 {
		t.Fatal(slots, err)
	}
	slices.Sort(slots)
	newest := slots[len(slots)-1]
	if err := errors.Join(os.Chmod(newest, 0o600), os.Truncate(newest, 100)); err != nil {
		t.Fatal(err)
	}
	c.fails(exitError, "--to OFFSET", "replay", "t", "--store", "file://"+dir, "-p", "1")
	c.prints("1 28\n1 29\n", "replay", "t", "--store", "file://"+dir, "-p", "1", "--from", "28", "--to", "30", "--format", "%p %o\n")
}

// TestReadmeReplay runs the README's section on a bucket whose broker is gone.
func TestReadmeReplay(t *testing.T) {
	b, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(b), "\n## Replay\n")
	_, rest, ok := strings.Cut(section, "```console\n")
	transcript, _, ok2 := strings.Cut(rest, "```")
	if !ok || !ok2 {
		t.Fatal("the section has no transcript")
	}
	clearEnvironment(t)
	url := "file://" + t.TempDir()
	addr, stop := brokerOn(t, url)
	firn(t, addr, "firn topic create orders -p 1")
	for _, kv := range []string{"table-1 tea", "table-1 coffee", "table-2 cake"} {
		k, v, _ := strings.Cut(kv, " ")
		if out, code := firn(t, addr, "echo "+v+" | firn produce orders -k "+k); code != exitOK {
			t.Fatal(out)
		}
	}
	stop()
	t.Setenv("FIRN_STORE", url)
	var got strings.Builder
	for line := range strings.Lines(transcript) {
		if cmd, is := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "$ "); is {
			out, _ := firn(t, addr, cmd)
			got.WriteString("$ " + cmd + "\n" + out)
		}
	}
	if got.String() != transcript {
		t.Fatalf("the README says\n%s\nthe program says\n%s", transcript, got.String())
	}
}
