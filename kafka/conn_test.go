package kafka

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/firnlog/firn/record"
)

func TestFramesOutOfBoundsCloseTheConnection(t *testing.T) {
	p := serve(t, newFake(), Limits{Frame: 1000, ProduceFrame: 5000})
	head := func(size uint32, key, version uint16) []byte {
		b := binary.BigEndian.AppendUint32(nil, size)
		return binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(b, key), version)
	}
	for name, b := range map[string][]byte{
		"larger than allowed":         head(1001, 3, 9),
		"produce larger than allowed": head(5001, 0, 9),
		"no room for a header":        head(9, 3, 9),
		"negative":                    head(0xffffffff, 3, 9),
		"too large for anything":      {0x7f, 0xff, 0xff, 0xff, 0, 0},
		"HTTP, cut short":             []byte("GET "),
		"HTTP":                        []byte("GET / HTTP/1.1\r\n"),
		"TLS":                         {0x16, 3, 1, 2, 0, 1, 0, 1},
		"cut client id":               append(head(10, 3, 9), 0, 0, 0, 1, 0x7f, 0xff),
		"body cut short":              append(head(11, 3, 9), 0, 0, 0, 1, 0xff, 0xff, 0),
	} {
		t.Run(name, func(t *testing.T) {
			c := p.client(t)
			go c.nc.Write(b)
			c.closed()
		})
	}
	// Between the limits only Produce passes.
	f := newFake()
	f.topic("t", 1)
	c := serve(t, f, Limits{Frame: 1000, ProduceFrame: 5000}).client(t)
	wantCode(t, "produce of 3000 bytes", produceOne(c, 9, "t", batch(record.None, 1, string(make([]byte, 1500)))).ErrorCode, codeNone)
}

func TestSlowAndIdleClientsAreClosed(t *testing.T) {
	head := []byte{0, 0, 0, 100, 0, 0, 0, 9}
	for _, x := range []struct {
		name string
		send []byte
		want time.Duration
	}{
		{"never sends", nil, 10 * time.Minute},
		{"stops in the head", head[:3], 10 * time.Minute},
		{"stops in the body", head, 30 * time.Second},
	} {
		t.Run(x.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := serve(t, newFake(), Limits{}).client(t)
				c.nc.SetDeadline(time.Time{})
				began := time.Now()
				c.nc.Write(x.send)
				c.closed()
				if took := time.Since(began); took != x.want {
					t.Errorf("closed after %v, want %v", took, x.want)
				}
			})
		})
	}
	t.Run("takes no answer", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := serve(t, newFake(), Limits{}).client(t)
			c.send(kmsg.NewPtrMetadataRequest())
			time.Sleep(31 * time.Second)
			if _, err := c.nc.Write([]byte{0}); err == nil {
				t.Error("the connection is still open")
			}
		})
	})
	t.Run("waiting for an answer is not idle", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFake()
			f.topic("t", 1)
			c := serve(t, f, Limits{}).client(t)
			c.nc.SetDeadline(time.Time{})
			q := fetchOf(12, f, "t", 0)
			q.MaxWaitMillis = 25 * 60_000
			began := time.Now()
			ask[*kmsg.FetchResponse](c, 12, q)
			if took := time.Since(began); took != 25*time.Minute {
				t.Errorf("answered after %v", took)
			}
		})
	})
}

func TestOnlySoManyBytesAreInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.topic("t", 1)
		f.hold = make(chan struct{})
		p := serve(t, f, Limits{ProduceFrame: 1 << 20, InFlight: 1 << 20})
		big := batch(record.Gzip, 1, randomText(900_000))
		c, d, e := p.client(t), p.client(t), p.client(t)
		c.send(produceOf(9, -1, "t", 0, big))
		synctest.Wait()
		sent := make(chan struct{})
		go func() { d.send(produceOf(9, -1, "t", 0, big)); close(sent) }()
		synctest.Wait()
		if n := f.appended(); n != 1 {
			t.Fatalf("%d appends, want 1: the second must wait", n)
		}
		// Small requests have a budget of their own.
		ask[*kmsg.MetadataResponse](e, 9, kmsg.NewPtrMetadataRequest())
		close(f.hold)
		c.receive()
		<-sent
		d.receive()
		if n := f.appended(); n != 2 {
			t.Fatalf("%d appends, want 2", n)
		}
	})
}

// randomText does not compress to nothing.
func randomText(n int) string {
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "%x ", uint64(i)*0x9e3779b97f4a7c15)
	}
	return b.String()
}

func TestOnlySoManyRequestsAreReadAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.topic("t", 1)
		f.hold = make(chan struct{})
		c := serve(t, f, Limits{Pipelined: 3}).client(t)
		go func() {
			for i := range 10 {
				c.nc.Write(frame(produceOf(9, -1, "t", 0, batch(0, 1, "a")), int32(i)))
			}
		}()
		synctest.Wait()
		if n := f.appended(); n != 5 { // at its turn, in the queue, and in the reader's hand
			t.Errorf("%d requests were started, want 5", n)
		}
		close(f.hold)
		for i := range 10 {
			if corr, _ := c.receive(); corr != int32(i) {
				t.Fatalf("answer %d came as number %d", corr, i)
			}
		}
	})
}

// A Produce behind a request that is not started must not overtake it (K2).
func TestProduceDoesNotOvertake(t *testing.T) {
	f := newFake()
	c := serve(t, f, Limits{}).client(t)
	go func() {
		q := createOf("t", 1, 1)
		q.SetVersion(5)
		c.nc.Write(frame(q, 0))
		c.nc.Write(frame(produceOf(9, -1, "t", 0, batch(0, 1, "a")), 1))
	}()
	c.receive()
	_, b := c.receive()
	r := parse[*kmsg.ProduceResponse](t, produceOf(9, -1, "t", 0, nil), b)
	wantCode(t, "produce to the topic just created", r.Topics[0].Partitions[0].ErrorCode, codeNone)
}

func TestAcksZeroIsAppendedThoughTheClientLeaves(t *testing.T) {
	f := newFake()
	f.topic("t", 1)
	c := serve(t, f, Limits{}).client(t)
	for range 20 {
		c.send(produceOf(9, 0, "t", 0, batch(0, 1, "a")))
	}
	c.nc.Close()
	waitFor(t, func() bool { return f.appended() == 20 })
}

func TestPanicEndsOneConnectionWithOneLine(t *testing.T) {
	f := newFake()
	f.topic("t", 1)
	var out lockedBuffer
	s := New(Options{Backend: f.backend(), Logger: slog.New(slog.NewTextHandler(&out, nil))})
	s.node.table[3].serve = func(context.Context, *node, *call) answer { panic("at the disco") }
	s.node.table[keyProduce].start = func(context.Context, *node, *call) func(context.Context) answer { panic("in the reader") }
	ctx, cancel := context.WithCancel(context.Background())
	p := newPipes()
	ended := make(chan error)
	go func() { ended <- s.Serve(ctx, p, "") }()
	good := p.client(t)
	for i, q := range []kmsg.Request{kmsg.NewPtrMetadataRequest(), produceOf(9, -1, "t", 0, batch(0, 1, "a"))} {
		c := p.client(t)
		c.send(q)
		c.closed()
		waitFor(t, func() bool { return strings.Count(out.String(), "\n") == i+1 })
	}
	ask[*kmsg.FindCoordinatorResponse](good, 0, kmsg.NewPtrFindCoordinatorRequest())
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if got := out.String(); strings.Count(got, "panic") < 2 || strings.Count(got, "\n") != 2 {
		t.Errorf("log: %s", got)
	}
	// Nothing stays charged.
	for _, l := range s.lanes {
		if !l.budget.TryAcquire(l.size) {
			t.Error("the budget was not given back")
		}
	}
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

func TestDrainAnswersWhatHasBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.topic("t", 1)
		f.hold = make(chan struct{})
		s := New(Options{Backend: f.backend()})
		ctx, cancel := context.WithCancel(context.Background())
		p := newPipes()
		ended := make(chan error, 1)
		go func() { ended <- s.Serve(ctx, p, "") }()
		producer, poller, idle, half := p.client(t), p.client(t), p.client(t), p.client(t)
		producer.send(produceOf(9, -1, "t", 0, batch(0, 1, "a")))
		synctest.Wait()
		poll := fetchOf(12, f, "t", 1)
		poll.MaxWaitMillis = 60_000
		poller.send(poll)
		half.nc.Write([]byte{0, 0, 0, 50, 0, 3})
		synctest.Wait()

		began := time.Now()
		cancel()
		poller.receive() // at once
		idle.closed()
		half.closed()
		if took := time.Since(began); took != 0 {
			t.Errorf("idle connections and long polls took %v", took)
		}
		time.Sleep(3 * time.Second)
		close(f.hold)
		producer.receive()
		producer.closed()
		if err := <-ended; err != nil || time.Since(began) != 3*time.Second {
			t.Errorf("Serve ended after %v: %v", time.Since(began), err)
		}
		if c := p.dial(); c != nil {
			if _, err := c.Write([]byte{0}); err == nil {
				t.Error("a new connection was taken")
			}
		}
	})
	t.Run("not for ever", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFake()
			f.topic("t", 1)
			f.hold = make(chan struct{})
			s := New(Options{Backend: f.backend()})
			ctx, cancel := context.WithCancel(context.Background())
			p := newPipes()
			ended := make(chan error, 1)
			go func() { ended <- s.Serve(ctx, p, "") }()
			c := p.client(t)
			c.send(produceOf(9, -1, "t", 0, batch(0, 1, "a")))
			synctest.Wait()
			began := time.Now()
			cancel()
			if err := <-ended; err != nil || time.Since(began) != 10*time.Second {
				t.Errorf("Serve ended after %v: %v", time.Since(began), err)
			}
		})
	})
}

func TestConnectionsAreLimited(t *testing.T) {
	f := newFake()
	o := &countingObserver{}
	s := New(Options{Backend: f.backend(), Limits: Limits{Connections: 3, ConnectionsPerIP: 2}, Observer: o})
	ctx, cancel := context.WithCancel(context.Background())
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, ln, "") }()
	dial := func() *client {
		nc, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		nc.SetDeadline(time.Now().Add(10 * time.Second))
		t.Cleanup(func() { nc.Close() }) // and not by the collector of garbage, which leaves a place for another
		return &client{t: t, nc: nc}
	}
	a, b := dial(), dial()
	for _, c := range []*client{a, b} {
		ask[*kmsg.MetadataResponse](c, 9, kmsg.NewPtrMetadataRequest())
	}
	if n, err := dial().nc.Read(make([]byte, 1)); n > 0 || err == nil {
		t.Error("a third connection from one address was taken")
	}
	a.nc.Close()
	waitFor(t, func() bool { return o.get("connected") == 1 })
	ask[*kmsg.MetadataResponse](dial(), 9, kmsg.NewPtrMetadataRequest())
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if o.get("max_connections_per_ip") != 1 || o.get("connected") != 0 || o.get("Metadata") != 3 {
		t.Errorf("observed %+v", o.n)
	}
	c := census{perIP: map[string]int{}}
	for i := range 4 {
		why := c.admit(fmt.Sprint(i), Limits{Connections: 3, ConnectionsPerIP: 2})
		if (why == "max_connections") != (i == 3) {
			t.Errorf("connection %d: %q", i, why)
		}
	}
}

// When a broker dies, all its clients come to another one at once.
func TestAThousandClientsConnectAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		connect := func(l Limits) time.Duration {
			s := New(Options{Backend: newFake().backend(), Limits: l})
			ctx, cancel := context.WithCancel(context.Background())
			ln := &crowd{left: 1000}
			began := time.Now()
			var last time.Time
			err := s.accept(ctx, ln, func(nc net.Conn) {
				last = time.Now()
				nc.Close()
			})
			cancel()
			if !errors.Is(err, net.ErrClosed) || ln.left != 0 {
				t.Fatalf("%d were left, %v", ln.left, err)
			}
			return last.Sub(began)
		}
		if took := connect(Limits{}); took > 0 {
			t.Errorf("without a limit the last one waited %v", took)
		}
		if took := connect(Limits{ConnectionRate: 100}); took < 8*time.Second || took > 10*time.Second {
			t.Errorf("at 100 a second the last one waited %v", took)
		}
	})
}

// crowd is a listener to which so many connect at once.
type crowd struct{ left int }

func (c *crowd) Accept() (net.Conn, error) {
	if c.left == 0 {
		return nil, net.ErrClosed
	}
	c.left--
	nc, other := net.Pipe()
	other.Close()
	return nc, nil
}

func (c *crowd) Close() error   { return nil }
func (c *crowd) Addr() net.Addr { return &net.TCPAddr{} }

type countingObserver struct {
	mu sync.Mutex
	n  map[string]int
}

func (o *countingObserver) add(what string, n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.n == nil {
		o.n = map[string]int{}
	}
	o.n[what] += n
}

func (o *countingObserver) get(what string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.n[what]
}

func (o *countingObserver) Connected(d int)      { o.add("connected", d) }
func (o *countingObserver) Refused(why string)   { o.add(why, 1) }
func (o *countingObserver) Malformed(api string) { o.add("malformed "+api, 1) }
func (o *countingObserver) Answered(api string, _ int16, in, out int, _ time.Duration) {
	o.add(api, 1)
}

// keeper is a log that keeps frames for longer than their requests live, as
// uploads and caches do.
type keeper struct {
	*fake
	kept chan Append
}

func (k keeper) Append(ctx context.Context, a Append) (Appending, error) {
	k.kept <- a
	out := &fakeAppending{}
	for range a.Items {
		out.out = append(out.out, Appended{})
	}
	return out, nil
}

func TestFramesLiveAsLongAsTheLogHoldsThem(t *testing.T) {
	f := newFake()
	f.topic("t", 1)
	b := f.backend()
	k := keeper{f, make(chan Append, 100)}
	b.Log = k
	pool := NewPool()
	s := New(Options{Backend: b, Pool: pool})
	ctx, cancel := context.WithCancel(context.Background())
	p := newPipes()
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, p, "") }()
	c := p.client(t)
	want := batch(record.None, 1, strings.Repeat("payload", 100))
	for range 50 {
		if got := produceOne(c, 9, "t", want); got.ErrorCode != 0 {
			t.Fatal(got)
		}
	}
	// All are answered; none has been released. No two share memory.
	seen := map[*byte]bool{}
	var held []Append
	for range 50 {
		a := <-k.kept
		if got := a.Items[0].Batch; !bytes.Equal(got, want) || seen[&got[0]] {
			t.Fatal("a frame was used again while the log held it")
		} else {
			seen[&got[0]] = true
		}
		held = append(held, a)
	}
	for _, a := range held {
		a.Frame.Release()
	}
	// Now they are used again.
	produceOne(c, 9, "t", want)
	if raceEnabled {
		// The pool drops buffers at random under the race detector.
	} else if a := <-k.kept; !seen[&a.Items[0].Batch[0]] {
		t.Error("released frames are not used again")
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// What the log keeps of a large request takes memory by the batches that it was given:
// neither what was refused, nor what was compressed anew, stays with them.
func TestBatchesDoNotKeepWhatCameWithThem(t *testing.T) {
	f := newFake()
	f.topic("t", 1)
	f.topic("packed", 1, "compression.type", "gzip")
	b := f.backend()
	k := keeper{f, make(chan Append, 1)}
	b.Log = k
	pool := NewPool()
	pool.Poison = true
	s := New(Options{Backend: b, Pool: pool})
	ctx, cancel := context.WithCancel(context.Background())
	p := newPipes()
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, p, "") }()
	c := p.client(t)
	small, large := batch(record.None, 1, "small"), batch(record.None, 1, strings.Repeat("x", 100_000))
	h, err := record.ParseHeader(large)
	if err != nil {
		t.Fatal(err)
	}
	packed, err := record.Recompress(h, large, new(record.Decoder), record.Gzip)
	if err != nil {
		t.Fatal(err)
	}
	for what, x := range map[string]struct {
		large string // topic
		want  [][]byte
		kept  bool
	}{
		"taken":           {"t", [][]byte{small, large}, true},
		"refused":         {"nowhere", [][]byte{small}, false},
		"compressed anew": {"packed", [][]byte{small, packed}, false},
	} {
		q := produceOf(9, -1, "t", 0, small)
		q.Topics = append(q.Topics, produceOf(9, -1, x.large, 0, large).Topics...)
		ask[*kmsg.ProduceResponse](c, 9, q)
		a := <-k.kept
		if kept := a.Frame != nil; kept != x.kept {
			t.Errorf("%s: the frame of %d bytes is kept: %v, want %v", what, len(large), kept, x.kept)
		}
		if a.Frame == nil {
			ask[*kmsg.ProduceResponse](c, 9, produceOf(9, -1, "nowhere", 0, small)) // the call before is over
		}
		for i, it := range a.Items {
			if !bytes.Equal(it.Batch, x.want[i]) {
				t.Errorf("%s: batch %d is not the one that was sent", what, i)
			}
		}
		if a.Frame != nil {
			a.Frame.Release()
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// What the log keeps of clients that do not batch takes memory by what they sent.
func TestSmallBatchesKeepLittleMemory(t *testing.T) {
	f := newFake()
	f.topic("t", 1)
	b := f.backend()
	k := keeper{f, make(chan Append, 1)}
	b.Log = k
	s := New(Options{Backend: b})
	ctx, cancel := context.WithCancel(context.Background())
	p := newPipes()
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, p, "") }()
	c := p.client(t)
	for _, size := range []int{1, 100, 300, 1000, 3000} {
		produceOne(c, 9, "t", batch(record.None, 1, strings.Repeat("x", size)))
		a := <-k.kept
		if sent, kept := len(a.Items[0].Batch), len(a.Frame.(*buffer).whole); kept > 4*sent {
			t.Errorf("%d bytes keep %d", sent, kept)
		}
		a.Frame.Release()
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestPool(t *testing.T) {
	p := NewPool()
	last := 0
	for n := 1; n < 200<<20; n += 1 + n/7 {
		class, size := classOf(n)
		if size < n || size > minClass && size > n+n/4+1 || class < last {
			t.Fatalf("%d bytes: class %d of %d", n, class, size)
		}
		last = class
		if _, again := classOf(size); again != size {
			t.Fatalf("%d bytes: class of %d, but that is in one of %d", n, size, again)
		}
	}
	if last >= len(p.classes) {
		t.Fatalf("class %d of %d", last, len(p.classes))
	}
	p.Poison = true
	b := p.get(100)
	copy(b.bytes, "hello")
	view := b.bytes[:5]
	b.Retain()
	b.Release()
	if string(view) != "hello" {
		t.Fatal("poisoned while it was held")
	}
	b.Release()
	if view[0] != poison {
		t.Fatal("not poisoned at the last release")
	}
	mustPanic(t, "release", b.Release)
	mustPanic(t, "retain", b.Retain)
}

func mustPanic(t *testing.T, what string, f func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Errorf("%s of a dead frame did not panic", what)
		}
	}()
	f()
}

// stuck is a backend whose bucket is gone.
type stuck struct{ *fake }

func (s stuck) Create(ctx context.Context, ts []NewTopic) []error {
	<-ctx.Done()
	return slices.Repeat([]error{ctx.Err()}, len(ts))
}
func (s stuck) NewID(ctx context.Context) (int64, error) { <-ctx.Done(); return 0, ctx.Err() }
func (s stuck) Alter(ctx context.Context, _ record.TopicID, _ map[string]*string, _ bool) error {
	<-ctx.Done()
	return ctx.Err()
}
func (s stuck) Read(ctx context.Context, _ Read) (Batches, error) {
	<-ctx.Done()
	return Batches{}, ctx.Err()
}

func TestNothingTakesForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.fill(f.topic("t", 1), 0, 1, 100)
		b := f.backend()
		b.Topics, b.Producers, b.Log = stuck{f}, stuck{f}, stuck{f}
		c := serveBackend(t, b, Limits{}).client(t)
		c.nc.SetDeadline(time.Time{})
		began := time.Now()
		took := func() time.Duration { d := time.Since(began); began = time.Now(); return d }
		q := createOf("u", 1, 1)
		q.TimeoutMillis = 7000
		r := ask[*kmsg.CreateTopicsResponse](c, 7, q)
		if d := took(); d != 7*time.Second || code(r.Topics[0].ErrorCode) != codeRequestTimedOut {
			t.Errorf("CreateTopics took %v: error %d", d, r.Topics[0].ErrorCode)
		}
		i := ask[*kmsg.InitProducerIDResponse](c, 4, kmsg.NewPtrInitProducerIDRequest())
		if d := took(); d != time.Minute || i.ErrorCode == 0 {
			t.Errorf("InitProducerId took %v: error %d", d, i.ErrorCode)
		}
		fq := fetchOf(12, f, "t", 0)
		fq.MaxWaitMillis = 500
		fr := ask[*kmsg.FetchResponse](c, 12, fq)
		if d := took(); d != coldLimit+500*time.Millisecond || code(fr.Topics[0].Partitions[0].ErrorCode) != codeKafkaStorageError {
			t.Errorf("Fetch took %v: error %d", d, fr.Topics[0].Partitions[0].ErrorCode)
		}
	})
}
