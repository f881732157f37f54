package kafka

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/record"
)

// fake is a broker of one node whose log is a slice. It copies what it is given,
// so that a frame that is released too early shows.
type fake struct {
	listener string // that clients come by
	mu       sync.Mutex
	state    *catalog.State
	brokers  []Broker
	settings map[string]string
	logs     map[record.Partition]*fakeLog
	watches  map[*fakeWatch]bool
	session  uint64
	number   uint64
	nextID   int64
	appends  []Append // as they came
	hold     chan struct{}
	reads    []Read
	readErr  error
	groupsAt int32
	// settled is what was asked for in vain, in so many calls; comesBack makes that find it.
	settled   []record.Partition
	settles   int
	comesBack bool
	groups    *fakeGroups
	// others is what other brokers have put into the journal, which shows when it is asked
	// for; heard is how often it was.
	others []catalog.Command
	heard  int
}

type fakeLog struct {
	batches [][]byte
	start   int64
	hw, lso int64
	epoch   int32
	aborted []AbortedTxn
	gone    bool
	found   map[Find]Found
}

func newFake() *fake {
	f := &fake{
		state: catalog.NewState(), settings: map[string]string{}, logs: map[record.Partition]*fakeLog{},
		watches: map[*fakeWatch]bool{}, brokers: []Broker{{Node: 1, Host: "firn", Port: 9092}}, nextID: 1000, groupsAt: 1, groups: newFakeGroups(),
	}
	f.apply(&catalog.CreateCluster{ID: "firn-test"})
	f.session = f.apply(&catalog.RegisterSession{Node: 1, Advertised: "firn:9092"})[0].ID
	return f
}

func (f *fake) backend() Backend {
	return Backend{Cluster: f, Settings: f, Log: f, History: f, Producers: f, Topics: alterer{f}, Groups: f,
		Members: f.groups, Offsets: f.groups, GroupAdmin: f.groups}
}

// apply applies commands and gives new partitions a log.
func (f *fake) apply(cmds ...catalog.Command) []catalog.Result {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.state.Clone()
	f.number++
	rs := s.Apply(f.number, cmds)
	f.state = s
	for _, t := range s.Topics() {
		for _, p := range t.Partitions {
			if f.logs[p.ID] == nil && p.Owner == f.session {
				f.logs[p.ID] = &fakeLog{epoch: p.Epoch, found: map[Find]Found{}}
			}
		}
	}
	return rs
}

// topic creates a topic and returns it.
func (f *fake) topic(name string, partitions int, configs ...string) *catalog.Topic {
	m := map[string]string{}
	for i := 0; i < len(configs); i += 2 {
		m[configs[i]] = configs[i+1]
	}
	if err := f.Create(context.Background(), []NewTopic{{Name: name, Partitions: int32(partitions), Replicas: 1, Configs: m}})[0]; err != nil {
		panic(err)
	}
	t, _ := f.State().TopicNamed(name)
	return t
}

func (f *fake) log(t *catalog.Topic, p int32) *fakeLog {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.logs[record.Partition{Topic: t.ID, Index: p}]
}

func (f *fake) State() *catalog.State {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state
}

// Hear implements Cluster: it applies what others have done. What is asked of several
// groups asks it several times at once.
func (f *fake) Hear(context.Context) {
	f.mu.Lock()
	f.heard++
	others := f.others
	f.others = nil
	f.mu.Unlock()
	if others != nil {
		f.apply(others...)
	}
}
func (f *fake) Self() int32 { return 1 }
func (f *fake) Brokers(listener string) []Broker {
	if listener == "" {
		return f.brokers
	}
	var out []Broker // of the listener, whose hosts have its name in front
	for _, b := range f.brokers {
		b.Host = listener + "." + b.Host
		out = append(out, b)
	}
	return out
}

func (f *fake) Setting(name string) (string, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	v, ok := f.settings[name]
	return v, ok
}

func (f *fake) List(_ context.Context, node int32) ([]Setting, error) {
	if node > 1 {
		return nil, ErrNoBroker
	}
	if node < 0 {
		return nil, nil
	}
	out := []Setting{
		{Name: "auto.create.topics.enable", Type: catalog.TypeBool, Value: "true", Default: "true", Source: SetByDefault},
		{Name: "default.replication.factor", Type: catalog.TypeInt, Value: "1", Default: "1", Source: SetByDefault},
		{Name: "delete.topic.enable", Type: catalog.TypeBool, Value: "true", Default: "true", Source: SetByDefault},
		{Name: "log.cleanup.policy", Type: catalog.TypeList, Value: "delete", Default: "delete", Source: SetByDefault},
		{Name: "message.max.bytes", Type: catalog.TypeInt, Value: "2097152", Default: "1048588", Source: SetForCluster, Lower: []Lower{{"1048576", SetAtStart}}},
		{Name: "num.partitions", Type: catalog.TypeInt, Value: "3", Default: "1", Source: SetAtStart, ReadOnly: true},
		{Name: "ssl.key", Type: catalog.TypeString, Value: "secret", Sensitive: true, Source: SetAtStart},
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for name, v := range f.settings {
		out = append(out, Setting{Name: name, Value: v, Source: SetAtStart})
	}
	return out, nil
}

func (f *fake) Alter(_ context.Context, node int32, set map[string]*string, replace, validateOnly bool) error {
	for name, v := range set {
		if name == "bogus" {
			return fmt.Errorf("%w: unknown broker setting: %s", catalog.ErrInvalidConfig, name)
		}
		if !validateOnly {
			f.mu.Lock()
			if v == nil {
				delete(f.settings, name)
			} else {
				f.settings[name] = *v
			}
			f.mu.Unlock()
		}
	}
	return nil
}

// fakeAppending is answered at once, or when f.hold is closed.
type fakeAppending struct {
	hold chan struct{}
	out  []Appended
}

func (a *fakeAppending) Wait(ctx context.Context) ([]Appended, error) {
	if a.hold != nil {
		select {
		case <-a.hold:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return a.out, nil
}

func (f *fake) Append(_ context.Context, a Append) (Appending, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.appends = append(f.appends, a)
	out := &fakeAppending{hold: f.hold}
	for _, it := range a.Items {
		l := f.logs[it.Partition]
		if l == nil || l.gone {
			out.out = append(out.out, Appended{Base: -1, LogAppendTime: -1, Err: ErrNotLeader})
			continue
		}
		b := slices.Clone(it.Batch)
		record.Rebase(b, l.hw, l.epoch)
		l.batches = append(l.batches, b)
		at := int64(-1)
		if it.Header.LogAppendTime() {
			at = it.Header.MaxTimestamp
		}
		out.out = append(out.out, Appended{Base: l.hw, LogAppendTime: at, LogStart: l.start})
		l.hw += int64(it.Header.NumRecords)
		l.lso = l.hw
	}
	if a.Frame != nil {
		a.Frame.Release()
	}
	f.wakeLocked()
	return out, nil
}

// put appends a batch of n records to a partition.
func (f *fake) put(t *catalog.Topic, p int32, batch []byte) {
	id := record.Partition{Topic: t.ID, Index: p}
	h, err := record.ParseHeader(batch)
	if err != nil {
		panic(err)
	}
	f.Append(context.Background(), Append{Items: []Item{{id, batch, h}}, Frame: nobody{}})
}

type nobody struct{}

func (nobody) Retain()  {}
func (nobody) Release() {}

func (f *fake) wakeLocked() {
	for w := range f.watches {
		select {
		case w.ready <- struct{}{}:
		default:
		}
	}
}

func (f *fake) Progress(p record.Partition) (Progress, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := f.logs[p]
	if l == nil || l.gone {
		return Progress{}, false
	}
	return Progress{l.hw, l.lso, l.start, l.epoch}, true
}

type fakeWatch struct {
	f     *fake
	ready chan struct{}
}

func (w *fakeWatch) Ready() <-chan struct{} { return w.ready }
func (w *fakeWatch) Close() {
	w.f.mu.Lock()
	defer w.f.mu.Unlock()
	delete(w.f.watches, w)
}

// Settle makes what was gone for the sake of a test come back, as f.settle says.
func (f *fake) Settle(_ context.Context, ps []record.Partition) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.settled = append(f.settled, ps...)
	f.settles++
	for _, p := range ps {
		if l := f.logs[p]; l != nil && f.comesBack {
			l.gone = false
		}
	}
}

func (f *fake) Watch([]record.Partition) Watch {
	f.mu.Lock()
	defer f.mu.Unlock()
	w := &fakeWatch{f, make(chan struct{}, 1)}
	f.watches[w] = true
	return w
}

func (f *fake) Read(_ context.Context, r Read) (Batches, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reads = append(f.reads, r)
	if f.readErr != nil {
		return Batches{}, f.readErr
	}
	l := f.logs[r.Partition]
	out := Batches{Next: r.From}
	size := 0
	for _, b := range l.batches {
		h, _ := record.ParseHeader(b)
		if h.LastOffset() < r.From {
			continue
		}
		if h.BaseOffset >= r.End || size+len(b) > r.MaxBytes && !(r.Whole && size == 0) {
			break
		}
		out.Bytes = append(out.Bytes, b)
		out.Next = h.NextOffset()
		size += len(b)
	}
	if r.Aborted {
		for _, a := range l.aborted {
			if a.FirstOffset < out.Next {
				out.Aborted = append(out.Aborted, a)
			}
		}
	}
	return out, nil
}

func (f *fake) Find(_ context.Context, p record.Partition, q Find) (Found, error) {
	l := f.logs[p]
	if v, ok := l.found[q]; ok {
		return v, nil
	}
	return Found{-1, -1, -1}, nil
}

func (f *fake) EpochEnd(_ context.Context, p record.Partition, epoch int32) (int32, int64, error) {
	l := f.logs[p]
	if epoch > l.epoch {
		return -1, -1, nil
	}
	return l.epoch, l.hw, nil
}

func (f *fake) Trim(_ context.Context, p record.Partition, offset int64) (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.logs[p].start = offset
	return offset, nil
}

func (f *fake) NewID(context.Context) (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.nextID++
	return f.nextID, nil
}

var fakeTopicIDs atomic.Uint64

func (f *fake) Create(_ context.Context, ts []NewTopic) []error {
	var errs []error
	for _, t := range ts {
		var id record.TopicID
		binary.BigEndian.PutUint64(id[:], fakeTopicIDs.Add(1)<<16|0xF)
		errs = append(errs, f.apply(&catalog.CreateTopic{
			Name: t.Name, ID: id, Replicas: t.Replicas, Configs: t.Configs, Owners: slices.Repeat([]uint64{f.session}, int(t.Partitions)),
		})[0].Err)
	}
	return errs
}

func (f *fake) Delete(_ context.Context, ids []record.TopicID) []error {
	var errs []error
	for _, id := range ids {
		errs = append(errs, f.apply(&catalog.DeleteTopic{ID: id})[0].Err)
	}
	return errs
}

func (f *fake) Grow(_ context.Context, id record.TopicID, from, add int32) error {
	return f.apply(&catalog.AddPartitions{ID: id, From: from, Owners: slices.Repeat([]uint64{f.session}, int(add))})[0].Err
}

// alterer keeps Topics.Alter and Settings.Alter, which share a name, apart.
type alterer struct{ *fake }

func (f alterer) Alter(_ context.Context, id record.TopicID, set map[string]*string, replace bool) error {
	return f.apply(&catalog.AlterTopic{ID: id, Replace: replace, Set: set})[0].Err
}

func (f *fake) Coordinator(_ context.Context, group string) (int32, error) {
	if f.groupsAt < 0 {
		return 0, ErrCoordinatorNotAvailable
	}
	return f.groupsAt, nil
}

// pipes is a listener on which clients are given pipes.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), done: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial() net.Conn {
	client, server := net.Pipe()
	select {
	case p.conns <- server:
		return client
	case <-p.done:
		client.Close()
		return client
	}
}

// serve runs a server of the fake until the test ends.
func serve(t testing.TB, f *fake, l Limits) *pipes {
	t.Helper()
	return serveBackend(t, f.backend(), l)
}

func serveBackend(t testing.TB, b Backend, l Limits) *pipes {
	t.Helper()
	p := newPipes()
	pool := NewPool()
	pool.Poison = true
	s := New(Options{Backend: b, Limits: l, Pool: pool, Logger: slog.New(slog.NewTextHandler(testLog{t}, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	listener := ""
	if f, ok := b.Cluster.(*fake); ok {
		listener = f.listener
	}
	go func() { ended <- s.Serve(ctx, p, listener) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return p
}

type testLog struct{ t testing.TB }

func (l testLog) Write(b []byte) (int, error) {
	l.t.Logf("%s", b)
	return len(b), nil
}

// client is one connection that speaks in raw frames.
type client struct {
	t    testing.TB
	nc   net.Conn
	corr int32
}

func (p *pipes) client(t testing.TB) *client {
	c := &client{t: t, nc: p.dial()}
	t.Cleanup(func() { c.nc.Close() })
	c.nc.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

// frame encodes a request with its header and size.
func frame(q kmsg.Request, corr int32) []byte {
	b := kmsg.NewRequestFormatter(kmsg.FormatterClientID("test")).AppendRequest(nil, q, corr)
	return b
}

func (c *client) send(q kmsg.Request) {
	c.t.Helper()
	c.corr++
	if _, err := c.nc.Write(frame(q, c.corr)); err != nil {
		c.t.Fatalf("send: %v", err)
	}
}

// receive reads one answer and returns its correlation id and what follows.
func (c *client) receive() (int32, []byte) {
	c.t.Helper()
	var size [4]byte
	if _, err := io.ReadFull(c.nc, size[:]); err != nil {
		c.t.Fatalf("receive: %v", err)
	}
	b := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(c.nc, b); err != nil {
		c.t.Fatalf("receive: %v", err)
	}
	return int32(binary.BigEndian.Uint32(b)), b[4:]
}

// closed checks that the server closes the connection without another byte.
func (c *client) closed() {
	c.t.Helper()
	if n, err := io.Copy(io.Discard, c.nc); n > 0 || err != nil && err != io.ErrClosedPipe {
		c.t.Fatalf("%d bytes came, then %v; want a closed connection", n, err)
	}
}

// parse decodes the answer to q.
func parse[R kmsg.Response](t testing.TB, q kmsg.Request, b []byte) R {
	t.Helper()
	r := q.ResponseKind()
	r.SetVersion(q.GetVersion())
	if r.IsFlexible() && r.Key() != keyApiVersions {
		if b[0] != 0 {
			t.Fatalf("answer has header tags: % x", b[:8])
		}
		b = b[1:]
	}
	if err := r.ReadFrom(b); err != nil {
		t.Fatalf("answer to %T v%d: %v", q, q.GetVersion(), err)
	}
	// What kmsg reads it writes again in the same bytes: nothing lies behind.
	if again := r.AppendTo(nil); !slices.Equal(again, b) {
		t.Fatalf("answer to %T v%d is not what kmsg would write", q, q.GetVersion())
	}
	return r.(R)
}

// ask sends q in a version and waits for its answer.
func ask[R kmsg.Response](c *client, version int16, q kmsg.Request) R {
	c.t.Helper()
	q.SetVersion(version)
	c.send(q)
	corr, b := c.receive()
	if corr != c.corr {
		c.t.Fatalf("answer has correlation id %d, want %d", corr, c.corr)
	}
	return parse[R](c.t, q, b)
}

// batch builds a batch of records with the given values, keyed by themselves.
func batch(codec record.Codec, at int64, values ...string) []byte {
	b := record.Builder{Codec: codec}
	for _, v := range values {
		b.Add(at, []byte(v), []byte(v))
	}
	out, err := b.Build()
	if err != nil {
		panic(err)
	}
	return out
}

// must makes a code readable in failures.
func wantCode(t testing.TB, what string, got int16, want code) {
	t.Helper()
	if code(got) != want {
		t.Errorf("%s: error code %d, want %d", what, got, want)
	}
}
