package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/firnlog/firn/broker"
	"github.com/firnlog/firn/broker/settings"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/cold/coldtest/s3server"
	"github.com/firnlog/firn/tier/cold/mem"
	"github.com/firnlog/firn/tier/cold/open"
)

// running is a command that runs until it is interrupted.
type running struct {
	t         testing.TB
	interrupt context.CancelFunc
	ended     chan answer
	shown     string // up to the line that was waited for
}

// start runs a command and waits until it has printed what matches.
func (c cli) start(until string, args ...string) *running {
	c.t.Helper()
	ctx, cancel := context.WithCancel(c.t.Context())
	r := &running{t: c.t, interrupt: cancel, ended: make(chan answer, 1)}
	s := &screen{until: regexp.MustCompile(until), seen: make(chan struct{})}
	var errOut lockedBuffer
	go func() {
		code := run(ctx, args, strings.NewReader(""), s, &errOut)
		r.ended <- answer{code, s.String(), errOut.String()}
	}()
	select {
	case <-s.seen:
	case a := <-r.ended:
		c.t.Fatalf("firn %s ended with %d\n%s%s", strings.Join(args, " "), a.code, a.out, a.err)
	case <-time.After(30 * time.Second):
		c.t.Fatalf("firn %s printed only\n%s%s", strings.Join(args, " "), s, errOut.String())
	}
	r.shown = s.String()
	c.t.Cleanup(func() { cancel() })
	return r
}

// stop interrupts it and returns all that it said.
func (r *running) stop() answer {
	r.t.Helper()
	r.interrupt()
	select {
	case a := <-r.ended:
		return a
	case <-time.After(30 * time.Second):
		r.t.Fatal("it does not end")
	}
	return answer{}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// screen tells when something has been printed.
type screen struct {
	lockedBuffer
	until *regexp.Regexp
	seen  chan struct{}
	once  sync.Once
}

func (s *screen) Write(p []byte) (int, error) {
	n, err := s.lockedBuffer.Write(p)
	if s.until.MatchString(s.String()) {
		s.once.Do(func() { close(s.seen) })
	}
	return n, err
}

func fetch(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func kafkaAddress(t *testing.T, banner string) string {
	t.Helper()
	m := regexp.MustCompile(`Kafka +(\S+)`).FindStringSubmatch(banner)
	if m == nil {
		t.Fatalf("no address in\n%s", banner)
	}
	return m[1]
}

const anywhere = "--listeners 127.0.0.1:0 --http 127.0.0.1:0 --gossip 127.0.0.1:0"

func TestDevKeepsWhatItAcknowledged(t *testing.T) {
	clearEnvironment(t)
	t.Chdir(t.TempDir())
	c := cli{t: t}
	args := append([]string{"dev"}, strings.Fields(anywhere)...)
	d := c.start("Ctrl-C stops it", args...)
	addr := kafkaAddress(t, d.shown)
	c.in("one\ntwo\n").ok("produce", "t", "--brokers", addr)
	http := regexp.MustCompile(`http://\S+`).FindString(d.shown)
	for path, want := range map[string]string{
		"/metrics": `kafka_topic_partition_current_offset{partition="0",topic="t"} 2`, "/livez": "ok", "/readyz": "ok", "/": "/metrics",
	} {
		if body := fetch(t, http+path); !strings.Contains(body, want) {
			t.Errorf("no %s in %s:\n%s", want, path, body)
		}
	}
	a := d.stop()
	if a.code != exitOK || !regexp.MustCompile(`(?m)^Stopped in \S+: (flushed .+|nothing was left to flush); 0 bytes pending\.$`).MatchString(a.out) {
		t.Errorf("exit code %d, it says\n%s%s", a.code, a.out, a.err)
	}
	if _, err := os.Stat(filepath.Join(".firn", "bucket")); err != nil {
		t.Error(err)
	}

	d = c.start("Ctrl-C stops it", args...)
	addr = kafkaAddress(t, d.shown)
	c.prints("one\ntwo\n", "consume", "t", "--brokers", addr)
	if a := c.run("dev", "--listeners", addr, "--http", "127.0.0.1:0", "--memory"); a.code != exitError ||
		!strings.Contains(a.err, "--listeners") || !strings.Contains(a.err, "--any-port takes the next free ones") {
		t.Errorf("a port that is taken: %d %s", a.code, a.err)
	}
	if a := c.run(args...); a.code != exitError || a.out != "" {
		t.Errorf("two on one folder: %d %s%s", a.code, a.out, a.err)
	}
	if a := d.stop(); a.code != exitOK {
		t.Errorf("%d %s", a.code, a.err)
	}
}

// Where clients look for brokers says nothing of how many are to run, and a broker says
// which program it is.
func TestDevRunsWhateverClientsAreTold(t *testing.T) {
	clearEnvironment(t)
	t.Setenv("FIRN_BROKERS", "localhost:9092,localhost:9093")
	t.Setenv("FIRN_FORMAT", "json")
	t.Setenv("FIRN_TIMEOUT", "3s")
	t.Setenv("FIRN_PROFILE", "none")
	d := cli{t: t}.start("Ctrl-C stops it", append([]string{"dev", "--memory"}, strings.Fields(anywhere)...)...)
	page := fetch(t, regexp.MustCompile(`http://\S+`).FindString(d.shown)+"/metrics")
	if want := `version="` + programVersion() + `"`; !strings.Contains(page, want) {
		t.Errorf("no %s in\n%s", want, page)
	}
	if a := d.stop(); a.code != exitOK {
		t.Errorf("%d %s", a.code, a.err)
	}
}

// What the bucket does not take while a broker stops is not called flushed.
func TestDevSaysWhatItCouldNotFlush(t *testing.T) {
	clearEnvironment(t)
	var down atomic.Bool
	server := s3server.Start(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if down.Load() {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			next.ServeHTTP(w, r)
		})
	})
	c := cli{t: t}
	d := c.start("Ctrl-C stops it", append([]string{"dev", "--store", "minio://" + server.Host + "/" + server.Bucket, "--data-dir", t.TempDir(), "--drain-timeout-ms", "200"}, strings.Fields(anywhere)...)...)
	t.Setenv("FIRN_BROKERS", kafkaAddress(t, d.shown))
	c.in("in the bucket\n").ok("produce", "t")
	down.Store(true)
	c.in("on the disk alone\n").ok("produce", "t", "--acks", "1")
	if a := d.stop(); a.code != exitError || !regexp.MustCompile(`(?m)^Stopped in \S+: .*; [1-9]\d* bytes pending\.$`).MatchString(a.out) || !strings.Contains(a.err, "in the hot tier, for the next start") {
		t.Errorf("exit code %d, it says\n%s%s", a.code, a.out, a.err)
	}
}

func TestTheDemoHasTrafficAndAGroupThatLags(t *testing.T) {
	clearEnvironment(t)
	c := cli{t: t}
	d := c.start("Ctrl-C stops it", append([]string{"dev", "--demo", "--memory"}, strings.Fields(anywhere)...)...)
	t.Setenv("FIRN_BROKERS", kafkaAddress(t, d.shown))
	// 30 orders take more than a second: the group reads 10 in that time.
	orders := c.ok("consume", "orders", "--follow", "-n", "30")
	if n := strings.Count(orders, `"cents":`); n != 30 {
		t.Errorf("%d orders in\n%s", n, orders)
	}
	c.ok("consume", "page-views", "--follow", "-n", "10")
	var g []groupDescription
	for range 20 { // a busy machine may need longer to form the group
		decode(t, c.run("group", "describe", "billing", "--json").out, &g)
		if len(g) == 1 && len(g[0].Members) == 1 && g[0].Lag >= 10 {
			break
		}
		c.ok("consume", "orders", "-o", "end", "-n", "10")
	}
	if len(g) != 1 || len(g[0].Members) != 1 || g[0].Lag < 10 {
		t.Errorf("the group: %+v", g)
	}
	if a := d.stop(); a.code != exitOK || strings.Contains(a.err, "the demo has stopped") {
		t.Errorf("%d %s", a.code, a.err)
	}
}

func TestBrokerPrintsOneLineWhenItServes(t *testing.T) {
	clearEnvironment(t)
	c := cli{t: t}
	b := c.start("ready .*\n", append([]string{"broker", "--store", "mem://", "--rack", "a", "--node-id", "7"}, strings.Fields(anywhere)...)...)
	a := b.stop()
	if a.code != exitOK || !regexp.MustCompile(`^ready kafka=127\.0\.0\.1:\d+ http=127\.0\.0\.1:\d+ gossip=\S+ node=7\n$`).MatchString(a.out) {
		t.Errorf("%d %q", a.code, a.out)
	}
	var told []string
	for line := range strings.Lines(a.err) {
		var said struct{ Level, Msg string }
		if err := json.Unmarshal([]byte(line), &said); err != nil {
			t.Errorf("not a line of JSON: %s", line)
		}
		said.Msg, _, _ = strings.Cut(said.Msg, ":")
		told = append(told, said.Msg)
	}
	if want := []string{"starting", "serving", "asked to stop", "stopped"}; !slices.Equal(told, want) {
		t.Errorf("the log tells %q of its life, want %q", told, want)
	}
}

func TestTheBannersCommandsWorkAsTheyStand(t *testing.T) {
	values := func(m map[string]string) *settings.Values {
		v, err := settings.New(settings.Source{Name: "test", Values: m})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	var all strings.Builder
	for _, b := range []banner{
		{
			Addresses: broker.Addresses{Kafka: "127.0.0.1:9092", HTTP: "127.0.0.1:8080", Node: 1}, Took: 87 * time.Millisecond, Program: "firn",
			Values: values(map[string]string{"store": "file:///home/ann%20e/.firn/bucket", "data.dir": "/home/ann e/.firn/data"}),
		},
		{
			Addresses: broker.Addresses{Kafka: "0.0.0.0:9192", HTTP: "[::]:8081", Node: 1}, Took: time.Second, Program: "go run ./cmd/firn", Demo: true,
			Values: values(map[string]string{"store": "mem://"}),
		},
	} {
		all.WriteString(b.String())
	}
	golden(t, "banner.txt", all.String())
}

func TestTheSecondInterruptEndsAtOnce(t *testing.T) {
	signals := make(chan os.Signal, 2)
	asked, code := make(chan struct{}), make(chan int, 1)
	go interrupts(signals, func() { close(asked) }, func(c int) { code <- c })
	signals <- os.Interrupt
	<-asked
	select {
	case c := <-code:
		t.Fatalf("the first one ends it with %d", c)
	default:
	}
	signals <- os.Interrupt
	if c := <-code; c != 130 {
		t.Errorf("exit code %d", c)
	}
}

// One tries this store and then that, in one folder.
func TestDevKeepsAHotTierForEachStore(t *testing.T) {
	clearEnvironment(t)
	t.Chdir(t.TempDir())
	c := cli{t: t}
	other := "file://" + filepath.ToSlash(filepath.Join(t.TempDir(), "other"))
	for _, store := range []string{"mem://", "", other, "mem://", "", other} {
		args := append([]string{"dev"}, strings.Fields(anywhere)...)
		if store != "" {
			args = append(args, "--store", store)
		}
		if a := c.start("Ctrl-C stops it", args...).stop(); a.code != exitOK {
			t.Fatalf("%q: %d %s", store, a.code, a.err)
		}
	}
	folders, err := filepath.Glob(filepath.Join(".firn", "data*"))
	if err != nil || len(folders) != 2 {
		t.Errorf("%v, want those of two buckets (%v)", folders, err)
	}
}

// A folder has any name: none is taken for a part of a URL, nor for another folder's.
func TestTheBucketIsInTheFolderThatWasNamed(t *testing.T) {
	for _, folder := range []string{"/home/a b", "/home/50%20off", "/c#", "/who?x=y", "/100%", "/é"} {
		l, err := open.Parse(bucketURL(filepath.FromSlash(folder)))
		if want := filepath.FromSlash(folder + "/bucket"); err != nil || l.Path != want {
			t.Errorf("%q: the bucket is in %q: %v", folder, l.Path, err)
		}
	}
}

func TestAnyPortTakesTheNextFreeOne(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	got := freeFrom(ln.Addr().String())
	if got == ln.Addr().String() || !strings.HasPrefix(got, "127.0.0.1:") {
		t.Errorf("%s is taken, and it is given %s", ln.Addr(), got)
	}
}

func TestFlushedCountsFromTheMomentOn(t *testing.T) {
	f := &flushed{}
	s := f.watch(mem.New())
	put := func(name string, n int) {
		t.Helper()
		if err := s.PutIfAbsent(t.Context(), name, cold.Bytes(make([]byte, n))); err != nil {
			t.Fatal(err)
		}
	}
	put("wal/1/0", 10)
	f.begin()
	if f.String() != "nothing was left to flush" {
		t.Error(f)
	}
	put("wal/1/1", 1500)
	put("wal/1/2", 1500)
	put("seg/1/0", 3<<20)
	put("catalog/journal/1", 10)
	if err := s.PutIfAbsent(t.Context(), "wal/1/2", cold.Bytes(nil)); !errors.Is(err, cold.ErrExists) {
		t.Fatal(err)
	}
	if got, want := f.String(), "flushed 2 WAL objects (2.9 KiB), 1 sealed object (3.0 MiB), 1 of the catalog"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestLogsAreJSONUnlessSaidOtherwise(t *testing.T) {
	for _, c := range []struct {
		format, level string
		json          bool
		lines         int
	}{{"json", "info", true, 2}, {"json", "error", true, 1}, {"text", "debug", false, 3}} {
		v, err := settings.New(settings.Source{Name: "test", Values: map[string]string{"log.format": c.format, "log.level": c.level}})
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		l := logger(v, &b)
		l.Debug("d")
		l.Info("i", "k", "v")
		l.Error("e")
		if n := strings.Count(b.String(), "\n"); n != c.lines || json.Valid([]byte(strings.SplitN(b.String(), "\n", 2)[0])) != c.json || strings.Contains(b.String(), "\x1b") {
			t.Errorf("%+v: %q", c, b.String())
		}
	}
	if isTerminal(io.Discard) || isColorful(os.Stdout) && os.Getenv("NO_COLOR") != "" {
		t.Error("colors where there should be none")
	}
}
