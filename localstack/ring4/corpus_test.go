//go:build ring4

package ring4

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestGoSourceTreeComesBackByteForByte sends Go's own source tree through the
// log, a record a line, keyed by the file's name; kills the broker, empties its
// disk, and rebuilds every file from the log.
func TestGoSourceTreeComesBackByteForByte(t *testing.T) {
	s := newStack(t, "--seal-interval-ms", "3000")
	s.start(t)
	const topic = "corpus"
	lines, want := sendTree(t.Context(), t, s.addr, topic, func(int64) {})
	time.Sleep(4 * time.Second) // long enough for a generation to be sealed: some is, some is not
	s.kill()
	s.wipe(t)
	rebuildFromBucket(t, s, topic, lines, want)
	s.start(t)
	rebuild(t, s.addr, topic, lines, want)
	s.stop(t)
	s.verify(t)
}

// linesPerKill makes it some ten kills: the tree has about three million lines.
const linesPerKill = 300_000

// TestGoSourceTreeComesBackFromAClusterUnderKills sends the same tree through three
// brokers, of which one after the other is killed, with its disk emptied or not, while
// it flows. Every file is rebuilt from the log, and from the bucket when all are gone.
func TestGoSourceTreeComesBackFromAClusterUnderKills(t *testing.T) {
	seeded := rng(t)
	first := newStack(t, "--seal-interval-ms", "3000")
	brokers := []*stack{first, newStack(t, first.args...), newStack(t, first.args...)}
	for _, s := range brokers {
		s.store = first.store
		s.start(t)
	}
	seeds := make([]string, len(brokers))
	for i, s := range brokers {
		seeds[i] = s.addr
	}
	const topic = "corpus"
	// A kill is due after every so many lines, however fast they flow: the sender hands
	// it over and goes on while the broker is down.
	due := make(chan struct{})
	ctx, giveUp := context.WithCancelCause(t.Context())
	defer giveUp(nil)
	kills := 0
	var killer sync.WaitGroup
	killer.Go(func() {
		for range due {
			time.Sleep(time.Duration(seeded.IntN(100)) * time.Millisecond)
			s := brokers[kills%len(brokers)]
			s.kill()
			if kills%2 == 1 {
				s.wipe(t)
			}
			if err := s.launch(ctx); err != nil {
				giveUp(err)
				return
			}
			kills++
		}
	})
	lines, want := sendTree(ctx, t, first.addr, topic, func(line int64) {
		if line%linesPerKill == 0 {
			select {
			case due <- struct{}{}:
			case <-ctx.Done():
			}
		}
	}, kgo.SeedBrokers(seeds...))
	close(due)
	killer.Wait()
	if kills < len(brokers) {
		t.Fatalf("%d lines, a kill after every %d of them: not every broker was killed", lines, linesPerKill)
	}
	t.Logf("%d kills while the tree flowed", kills)
	rebuild(t, first.addr, topic, lines, want)
	for _, s := range brokers {
		s.kill()
		s.wipe(t)
	}
	rebuildFromBucket(t, first, topic, lines, want)
	first.verify(t)
}

// sendTree sends the files of Go's source tree, a record a line, keyed by the file's
// name, and waits until all are acknowledged. It calls sent after each line that it
// handed to the client. It returns how many lines there are, and each file's SHA-256. When
// ctx ends it fails with the cause.
func sendTree(ctx context.Context, t *testing.T, addr, topic string, sent func(line int64), opts ...kgo.Opt) (lines int64, want map[string][32]byte) {
	t.Helper()
	root := goroot(t)
	adm := kadm.NewClient(client(t, addr, opts...))
	if _, err := adm.CreateTopic(t.Context(), 16, 1, map[string]*string{"max.message.bytes": kadm.StringPtr("8388608")}, topic); err != nil {
		t.Fatal(err)
	}
	cl := client(t, addr, append(opts, kgo.DefaultProduceTopic(topic), kgo.MaxBufferedRecords(50000), kgo.ProducerBatchMaxBytes(4<<20))...) // one line has 1.4 MB
	want = map[string][32]byte{}
	var size int64
	var once sync.Once
	var perr error
	began := time.Now()
	for _, dir := range []string{"src", "test"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			name := strings.TrimPrefix(path, root+"/")
			want[name] = sha256.Sum256(b)
			size += int64(len(b))
			for rest := b; len(rest) > 0; {
				line := rest
				if i := bytes.IndexByte(rest, '\n'); i >= 0 {
					line = rest[:i+1]
				}
				rest = rest[len(line):]
				lines++
				cl.Produce(ctx, &kgo.Record{Key: []byte(name), Value: line}, func(_ *kgo.Record, err error) {
					if err != nil {
						once.Do(func() { perr = err })
					}
				})
				sent(lines)
			}
			return context.Cause(ctx)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := cl.Flush(ctx); err != nil || perr != nil {
		t.Fatal(context.Cause(ctx), err, perr)
	}
	t.Logf("%d files, %d lines, %d bytes acknowledged in %v", len(want), lines, size, time.Since(began).Round(time.Millisecond))
	return lines, want
}

func rebuild(t *testing.T, addr, topic string, lines int64, want map[string][32]byte) {
	t.Helper()
	began := time.Now()
	files := map[string]*bytes.Buffer{}
	cl := client(t, addr, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	for n := int64(0); n < lines; {
		ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
		fetches := cl.PollFetches(ctx)
		cancel()
		if errs := fetches.Errors(); len(errs) > 0 {
			t.Fatalf("after %d of %d lines: %v", n, lines, errs)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			f := files[string(r.Key)]
			if f == nil {
				f = new(bytes.Buffer)
				files[string(r.Key)] = f
			}
			f.Write(r.Value)
			n++
		})
	}
	wrong := 0
	for name, sum := range want {
		var b []byte
		if f := files[name]; f != nil {
			b = f.Bytes()
		}
		if sha256.Sum256(b) != sum {
			if wrong++; wrong < 10 {
				t.Errorf("%s came back different", name)
			}
		}
	}
	if wrong > 0 {
		t.Fatalf("%d of %d files came back different", wrong, len(want))
	}
	t.Logf("%d files rebuilt in %v, every SHA-256 equal", len(want), time.Since(began).Round(time.Millisecond))
}

func goroot(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(fmt.Errorf("go env GOROOT: %w", err))
	}
	return strings.TrimSpace(string(out))
}
