package pump

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/ingest"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/cold/fault"
	"github.com/firnlog/firn/tier/cold/mem"
	"github.com/firnlog/firn/tier/cold/trace"
	"github.com/firnlog/firn/tier/hot"
	"github.com/firnlog/firn/tier/object"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// agreed is a catalog in one place: what the journal does, without a bucket.
type agreed struct {
	mu    sync.Mutex
	state *catalog.State
	// lose makes a commit be applied and not answered.
	lose func(catalog.Command) bool
	took time.Duration
	// before is called when a commit is on its way.
	before func(catalog.Command)
	// after is called when a commit is in the state and not answered yet.
	after func(catalog.Command)
	// looked is called when somebody is about to look at the state.
	looked func()
}

func (a *agreed) State() *catalog.State {
	if a.looked != nil {
		a.looked()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.state
}

func (a *agreed) Commit(ctx context.Context, cmds ...catalog.Command) ([]catalog.Result, error) {
	time.Sleep(a.took)
	if a.before != nil {
		a.before(cmds[0])
	}
	if a.after != nil {
		defer a.after(cmds[0])
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	next := a.state.Clone()
	res := next.Apply(next.Number()+1, cmds)
	a.state = next
	if a.lose != nil && a.lose(cmds[0]) {
		return nil, errors.New("the answer of the journal was lost")
	}
	return res, nil
}

func (a *agreed) must(t testing.TB, cmds ...catalog.Command) []catalog.Result {
	t.Helper()
	res, err := a.Commit(context.Background(), cmds...)
	require.NoError(t, err)
	for _, r := range res {
		require.NoError(t, r.Err)
	}
	return res
}

// rig is a bucket, a catalog and one broker's pump.
type rig struct {
	t       testing.TB
	bucket  *mem.Store
	store   *fault.Store
	catalog *agreed
	opts    Options
	watch   trace.Observer // of the store, from the next boot on; nil: nobody

	*Pump
	live   atomic.Pointer[Pump] // Pump, for those who run beside
	nonces byte
	stop   context.CancelFunc
	ran    chan error
}

var topic = record.TopicID{1}

func part(i int32) record.Partition { return record.Partition{Topic: topic, Index: i} }

// newRig makes a world with one topic, and a broker that owns its partitions.
func newRig(t testing.TB, partitions int, o Options) *rig {
	r := &rig{t: t, bucket: mem.New(), catalog: &agreed{state: catalog.NewState()}, opts: o}
	r.store = fault.Wrap(r.bucket, fault.Healthy)
	r.catalog.must(t, &catalog.CreateCluster{ID: "test"})
	r.catalog.must(t, &catalog.CreateTopic{Name: "t", ID: topic, Replicas: 1, Owners: make([]uint64, partitions)})
	r.boot()
	return r
}

// boot starts a broker: a new session, which fences those before it and takes
// their partitions (S6 to S8), as package broker will.
func (r *rig) boot() {
	r.opts.Store, r.opts.Catalog = r.seen(), r.catalog
	r.Pump = New(r.opts)
	r.live.Store(r.Pump)
	ctx, cancel := context.WithCancel(context.Background())
	r.stop, r.ran = cancel, make(chan error, 1)
	p, ran := r.Pump, r.ran
	go func() { ran <- p.Run(ctx) }()
	r.takeOver()
}

// seen is the store as a broker that boots now gets it.
func (r *rig) seen() cold.Store {
	if r.watch == nil {
		return r.store
	}
	return trace.Wrap(r.store, r.watch)
}

func (r *rig) register() Session {
	r.nonces++
	s := Session{Nonce: [16]byte{r.nonces}}
	s.ID = r.catalog.must(r.t, &catalog.RegisterSession{Nonce: s.Nonce, Node: 1})[0].ID
	return s
}

func (r *rig) takeOver() {
	ctx := context.Background()
	s := r.register()
	for _, old := range r.catalog.State().Sessions() {
		if old.ID == s.ID || old.Sealed {
			continue
		}
		f, err := Fence(ctx, FenceOptions{
			Store: r.seen(), Nonce: s.Nonce,
			Session: Session{ID: old.ID, Nonce: old.Nonce}, From: old.Covered,
		})
		require.NoError(r.t, err)
		r.catalog.must(r.t, &catalog.SealSession{Session: old.ID, Covered: old.Covered, Fence: f.Slot, Extents: f.Extents(old.ID)})
	}
	require.NoError(r.t, r.Begin(ctx, s))
	topic, _ := r.catalog.State().TopicNamed("t")
	var all []record.Partition
	for _, p := range topic.Partitions {
		all = append(all, p.ID)
	}
	producers, err := LoadProducers(ctx, r.seen(), r.catalog.State(), all...)
	require.NoError(r.t, err)
	var owned []Owned
	for _, p := range topic.Partitions {
		r.catalog.must(r.t, &catalog.Take{Session: s.ID, Items: []catalog.TakeItem{{Partition: p.ID, Epoch: p.Epoch + 1, Start: p.Next}}})
		owned = append(owned, Owned{p.ID, ingest.Start{Epoch: p.Epoch + 1, Next: p.Next, Producers: producers[p.ID]}})
	}
	require.NoError(r.t, r.Own(ctx, s.ID, owned...))
}

// kill ends the pump as a crash would, but for its goroutines.
func (r *rig) kill() {
	r.stop()
	require.NoError(r.t, <-r.ran)
}

// frame counts its references, and spoils its bytes when nobody holds it.
type frame struct {
	refs  atomic.Int32
	bytes []byte
}

func (f *frame) Retain() { f.refs.Add(1) }

func (f *frame) Release() {
	switch n := f.refs.Add(-1); {
	case n < 0:
		panic("frame released too often")
	case n == 0:
		for i := range f.bytes {
			f.bytes[i] = 0xee
		}
	}
}

// batch is one batch with the given values, in a buffer of its own.
func batch(t testing.TB, values ...string) ([]byte, record.Header) {
	var b record.Builder
	for _, v := range values {
		b.Add(time.Now().UnixMilli(), nil, []byte(v))
	}
	out, err := b.Build()
	require.NoError(t, err)
	h, err := record.ParseHeader(out)
	require.NoError(t, err)
	return out, h
}

func request(t testing.TB, acks ingest.Acks, p record.Partition, values ...string) (*Request, *frame) {
	b, h := batch(t, values...)
	f := &frame{bytes: b}
	f.Retain()
	return &Request{
		Request: ingest.Request{Acks: acks, Timeout: 30 * time.Second, Items: []ingest.Item{{Partition: p, Batch: b, Header: h}}},
		Frame:   f,
	}, f
}

// produce sends values as one batch and waits for the answer.
func (r *rig) produce(acks ingest.Acks, p record.Partition, values ...string) ingest.Result {
	r.t.Helper()
	req, _ := request(r.t, acks, p, values...)
	if err := r.Produce(context.Background(), req); err != nil {
		return ingest.Result{Base: -1, Err: err}
	}
	<-req.Done()
	return req.Results[0]
}

// log reads a whole partition as a reader does: the overlay first, the catalog
// second, the bytes from the bucket, each run checked.
func (r *rig) log(p record.Partition) []string {
	r.t.Helper()
	recent := r.Recent(p, 0)
	c, ok := r.catalog.State().Partition(p)
	require.True(r.t, ok)
	extents := append([]catalog.Extent{}, c.Extents...)
	for _, x := range recent {
		if x.Base >= c.Next {
			extents = append(extents, x)
		}
	}
	var out []string
	for _, x := range extents {
		require.EqualValues(r.t, len(out), x.Base, "offsets are dense")
		b, err := r.bucket.Get(context.Background(), x.Object.Name(), cold.Range{Offset: x.Pos, Length: x.Len}, nil)
		require.NoError(r.t, err)
		require.NoError(r.t, object.VerifyRun(object.Run{
			Partition: p, Epoch: x.Epoch, Base: x.Base, Next: x.Next, Pos: x.Pos, Len: x.Len, CRC: x.CRC, MaxTimestamp: x.MaxTimestamp, Records: x.Records,
		}, b))
		for len(b) > 0 {
			h, one, rest, err := record.Next(b)
			require.NoError(r.t, err)
			require.Equal(r.t, record.CRC(one), h.CRC)
			require.Equal(r.t, x.Epoch, h.LeaderEpoch)
			it := record.Iterate(h, one, nil)
			for it.Next() {
				out = append(out, string(it.Record.Value))
			}
			require.NoError(r.t, it.Err())
			b = rest
		}
	}
	return out
}

func (r *rig) slots(session uint64) int {
	n := 0
	for info, err := range r.bucket.List(context.Background(), prefix(session), "") {
		require.NoError(r.t, err)
		b, err := r.bucket.Get(context.Background(), info.Name, cold.Whole, nil)
		require.NoError(r.t, err)
		h, err := object.ParseHeader(b)
		require.NoError(r.t, err)
		if h.Kind == object.WAL {
			n++
		}
	}
	return n
}

// tier is a hot tier that does as it is told.
type tier struct {
	mu       sync.Mutex
	fail     error
	failSync error
	hang     chan struct{}
	appended []hot.Slot
	syncs    []hot.Slot
	started  []hot.Session
}

func (h *tier) StartSession(s hot.Session, first uint64) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.started = append(h.started, s)
	return nil
}

func (h *tier) Append(s hot.Slot, entries []hot.Entry) error {
	h.mu.Lock()
	hang := h.hang
	h.mu.Unlock()
	if hang != nil {
		<-hang
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fail != nil {
		return h.fail
	}
	for _, e := range entries {
		b, err := record.ParseHeader(e.Value)
		if err != nil || b.BaseOffset != e.Base || b.LastOffset() != e.Last || record.CRC(e.Value) != b.CRC {
			return fmt.Errorf("%w: batch of offset %d", hot.ErrDamaged, e.Base)
		}
	}
	h.appended = append(h.appended, s)
	return nil
}

func (h *tier) Sync(s hot.Slot) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.syncs = append(h.syncs, s)
	return h.failSync
}
