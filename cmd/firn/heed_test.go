package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/firnlog/firn/replay"
)

// interrupted runs a command, reads lines of its output, ends its context as Ctrl-C does,
// and returns its answer.
func interrupted(t *testing.T, in io.Reader, lines string, args ...string) answer {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out, from := io.Pipe()
	var errOut bytes.Buffer
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, args, in, from, &errOut)
		from.Close()
	}()
	got := make([]byte, len(lines))
	if _, err := io.ReadFull(out, got); err != nil || string(got) != lines {
		t.Fatalf("firn %s printed %q: %v", strings.Join(args, " "), got, err)
	}
	cancel()
	go func() { _, _ = io.Copy(io.Discard, out) }()
	return answer{code: <-ended, err: errOut.String()}
}

// What was acknowledged is printed while the input lasts, and Ctrl-C is heard while
// nothing comes.
func TestProduceIsInterruptedWhileItsInputWaits(t *testing.T) {
	newKafka(t, kfake.SeedTopics(1, "one"))
	in, typed := io.Pipe()
	defer typed.Close()
	go func() { _, _ = typed.Write([]byte("a\n")) }()
	a := interrupted(t, in, "0\n", "produce", "one", "-o", "%o\n")
	if a.code != exitError || !strings.Contains(a.err, "interrupted: 1 record acknowledged, the rest of the input was not read") {
		t.Errorf("exit code %d: %s", a.code, a.err)
	}
}

// An output that ends before the log did is not taken for the whole.
func TestConsumeThatIsInterruptedSaysHowFarItGot(t *testing.T) {
	c, k := newKafka(t, kfake.SeedTopics(1, "one"))
	c.in("a\nb\nc\n").ok("produce", "one")
	ends(k, 3, 3)
	a := interrupted(t, strings.NewReader(""), "a\nb\nc\n", "consume", "one")
	if a.code != exitError || !strings.Contains(a.err, "interrupted: one partition 0 is read up to offset 3 of 10") {
		t.Errorf("exit code %d: %s", a.code, a.err)
	}
	if a := interrupted(t, strings.NewReader(""), "a\nb\nc\n", "consume", "one", "--follow"); a.code != exitOK {
		t.Errorf("--follow: exit code %d: %s", a.code, a.err)
	}
}

func TestStandardInputEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		in, typed := io.Pipe()
		defer typed.Close()
		h := bufio.NewReader(&heeding{ctx, in})
		go func() { _, _ = typed.Write([]byte("yes\nor")) }()
		if line, err := h.ReadString('\n'); line != "yes\n" || err != nil {
			t.Fatalf("%q, %v", line, err)
		}
		go func() { time.Sleep(time.Second); cancel() }()
		if line, err := h.ReadString('\n'); line != "or" || !errors.Is(err, context.Canceled) {
			t.Errorf("%q, %v", line, err)
		}
	})
}

// The client tells of records that it refuses when it likes, also after it has flushed. Till
// then no checkpoint may say that they are there.
func TestARecordThatTheClientRefusesIsNotPassedOver(t *testing.T) {
	_, k := newKafka(t, kfake.SeedTopics(1, "one"))
	for range 100 {
		g := &globals{brokers: k.ListenAddrs()[0], timeout: time.Minute}
		ctx, cl, err := g.connect(t.Context(), kgo.MaxBufferedBytes(10))
		if err != nil {
			t.Fatal(err)
		}
		s := &topicSink{ctx: ctx, cl: cl, topic: "one", end: func() {}}
		if err := s.put("", &replay.Record{Value: make([]byte, 11)}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.settle(); err == nil {
			t.Fatal("a record that was not produced is there to stay")
		}
		if err := s.close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAnInterruptIsCalledOne(t *testing.T) {
	c, _ := newKafka(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if a := c.runContext(ctx, "topic", "list"); a.code != exitError || a.err != "firn: interrupted\n" || a.out != "" {
		t.Errorf("exit code %d: %q, %q", a.code, a.out, a.err)
	}
}
