package journal

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	mrand "math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/planted"
	"github.com/firnlog/firn/tier/cold"
)

// ErrClosed answers Commit when the journal is not running, or stopped before
// the fate of the commands was known: they may yet be committed.
var ErrClosed = errors.New("journal stopped: the commands may or may not be committed")

// Options of a journal. The zero value is right for production.
type Options struct {
	Logger *slog.Logger
	// Poll is how often an idle broker looks for entries of others. Default 1 s.
	Poll time.Duration
	// SnapshotEvery is the number of entries between snapshots. Default 512.
	SnapshotEvery uint64
	// Keep is how long entries below a snapshot stay, by the store's clock, so
	// that slow readers find them. Default 24 h.
	Keep time.Duration
	// Retry is the first pause after an answer that decided nothing; it doubles
	// up to 32 times that. Default 50 ms.
	Retry time.Duration
	// Observe, if not nil, is told of each attempt to win a number.
	Observe func(won bool)
}

// Journal is a broker's end of the shared journal. Open it, then Run it: Commit
// is answered while it runs. All methods may be called from many goroutines.
type Journal struct {
	opts  Options
	store cold.Store
	nonce [16]byte
	log   *slog.Logger

	reader *Reader // owned by Run (by Open before it)
	seq    uint64
	latest uint64 // newest snapshot put or seen

	inbox chan *proposal
	nudge chan struct{}
	ended chan struct{}

	state   atomic.Pointer[catalog.State]
	contact atomic.Int64 // since born, nanoseconds

	mu      sync.Mutex
	changed chan struct{}
	born    time.Time
}

type proposal struct {
	cmds    []catalog.Command
	results []catalog.Result
	err     error
	done    chan struct{}
}

// Open reads the journal to its end. In an empty bucket it founds the cluster.
func Open(ctx context.Context, store cold.Store, opts Options) (*Journal, error) {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Poll == 0 {
		opts.Poll = time.Second
	}
	if opts.SnapshotEvery == 0 {
		opts.SnapshotEvery = 512
	}
	if opts.Keep == 0 {
		opts.Keep = 24 * time.Hour
	}
	if opts.Retry == 0 {
		opts.Retry = 50 * time.Millisecond
	}
	j := &Journal{
		opts: opts, store: store, log: opts.Logger, reader: NewReader(store),
		inbox: make(chan *proposal), nudge: make(chan struct{}, 1), ended: make(chan struct{}),
		changed: make(chan struct{}), born: time.Now(),
	}
	_, _ = rand.Read(j.nonce[:])
	if err := j.catchup(ctx); err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	for j.reader.state.ClusterID() == "" {
		p := &proposal{cmds: []catalog.Command{&catalog.CreateCluster{ID: newClusterID()}}, done: make(chan struct{})}
		if err := j.commit(ctx, []*proposal{p}); err != nil {
			return nil, fmt.Errorf("found the cluster: %w", err)
		}
	}
	j.latest = j.reader.snapshot
	return j, nil
}

// newClusterID is 22 characters of URL-safe base64, as Kafka's are.
func newClusterID() string {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
	var b [22]byte
	_, _ = rand.Read(b[:])
	for i, c := range b {
		b[i] = digits[c&63]
	}
	return string(b[:])
}

// State is the catalog as this broker knows it. It never blocks; the result is
// never changed.
func (j *Journal) State() *catalog.State { return j.state.Load() }

// Changed returns a channel that is closed at the next change of State. Take it
// before you look at State, so that no change is missed.
func (j *Journal) Changed() <-chan struct{} {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.changed
}

// Nudge says that the journal grew, as gossip tells: look now. It never blocks.
func (j *Journal) Nudge() {
	select {
	case j.nudge <- struct{}{}:
	default:
	}
}

// Contact is how long ago the journal was last known to be current (S13).
func (j *Journal) Contact() time.Duration {
	return time.Since(j.born) - time.Duration(j.contact.Load())
}

// Commit proposes commands, all in one entry, and returns what became of each
// once they are durable and applied here. The error is ctx's, or ErrClosed: then
// the commands may still be committed. It blocks for about a round trip to the
// bucket, and for as long as the bucket is away.
func (j *Journal) Commit(ctx context.Context, cmds ...catalog.Command) ([]catalog.Result, error) {
	p := &proposal{cmds: cmds, done: make(chan struct{})}
	select {
	case j.inbox <- p:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-j.ended:
		return nil, ErrClosed
	}
	select {
	case <-p.done:
		return p.results, p.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Run commits proposals and follows the entries of others until ctx ends. It
// returns an error only if the journal cannot be followed any further.
func (j *Journal) Run(ctx context.Context) error {
	defer close(j.ended)
	poll := time.NewTicker(j.opts.Poll)
	defer poll.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case p := <-j.inbox:
			batch := j.gather(p)
			err := j.commit(ctx, batch)
			for _, p := range batch {
				if err != nil {
					p.err = errors.Join(ErrClosed, err)
				}
				close(p.done)
			}
			if err != nil && ctx.Err() == nil {
				return err
			}
			if err == nil {
				j.housekeep(ctx)
			}
			continue
		case <-j.nudge:
		case <-poll.C:
		}
		if err := j.catchup(ctx); err != nil && ctx.Err() == nil {
			if errors.Is(err, catalog.ErrVersion) || errors.Is(err, catalog.ErrCorrupt) {
				return err
			}
			j.log.Warn("journal is out of reach", "err", err, "contact", j.Contact())
		}
	}
}

const (
	maxCommands = 1000    // of one entry; ids of jobs have ten bits for it
	maxInline   = 1 << 18 // bytes of commands before they go to a side object
	maxEntry    = 8 << 20 // bytes of commands gathered into one entry
)

// gather takes what else is waiting, so that one put commits it all.
func (j *Journal) gather(first *proposal) []*proposal {
	batch := []*proposal{first}
	n := len(first.cmds)
	registers := hasRegister(first)
	for n < maxCommands/2 {
		select {
		case p := <-j.inbox:
			// One entry registers one session (S1): a second one waits its turn,
			// which is the next entry of this same loop.
			if r := hasRegister(p); r && registers || n+len(p.cmds) > maxCommands {
				go func() {
					select {
					case j.inbox <- p:
					case <-j.ended:
						p.err = ErrClosed
						close(p.done)
					}
				}()
				return batch
			} else if r {
				registers = true
			}
			batch = append(batch, p)
			n += len(p.cmds)
		default:
			return batch
		}
	}
	return batch
}

func hasRegister(p *proposal) bool {
	for _, c := range p.cmds {
		if _, ok := c.(*catalog.RegisterSession); ok {
			return true
		}
	}
	return false
}

// commit makes one entry of the proposals and puts it under the next number
// until one of its puts wins (J1, J2, J3).
func (j *Journal) commit(ctx context.Context, batch []*proposal) error {
	var cmds []catalog.Command
	for _, p := range batch {
		cmds = append(cmds, p.cmds...)
	}
	payload := append([]byte{0}, catalog.EncodeCommands(cmds)...)
	for {
		n := j.reader.state.Number() + 1
		body := payload
		j.seq++
		w := writer{j.nonce, j.seq}
		if len(payload) > maxInline {
			if err := j.putSide(ctx, w, n, payload[1:]); err != nil {
				return err
			}
			body = append([]byte{1}, sideName(w)...)
		}
		won, err := j.settle(ctx, numbered(PrefixEntries, n), frame{kindEntry, n, w, body})
		if err != nil {
			return err
		}
		if j.opts.Observe != nil {
			j.opts.Observe(won)
		}
		if won {
			// J3: had this number been given up before the put landed?
			if err := j.insist(ctx, func() error { return j.reader.followBoundary(ctx) }); err != nil {
				return err
			}
			won = n > j.reader.floor
		}
		if won {
			results := j.reader.apply(Entry{Number: n, Writer: j.nonce, Commands: cmds})
			j.contact.Store(int64(time.Since(j.born)))
			j.publish()
			for _, p := range batch {
				p.results, results = results[:len(p.cmds):len(p.cmds)], results[len(p.cmds):]
			}
			return nil
		}
		if err := j.insist(ctx, func() error { return j.catchup(ctx) }); err != nil {
			return err
		}
	}
}

func (j *Journal) putSide(ctx context.Context, w writer, n uint64, cmds []byte) error {
	won, err := j.settle(ctx, sideName(w), frame{kindSide, n, w, cmds})
	if err == nil && !won {
		return fmt.Errorf("%s: %w: somebody else's object", sideName(w), catalog.ErrCorrupt)
	}
	return err
}

// settle sends the same bytes until it is known whose object is there (S2, S3).
func (j *Journal) settle(ctx context.Context, name string, f frame) (mine bool, err error) {
	body := cold.Bytes(f.encode())
	err = j.insist(ctx, func() error {
		actx, cancel := context.WithTimeout(ctx, attemptTimeout)
		defer cancel()
		err := j.store.PutIfAbsent(actx, name, body)
		if err == nil {
			mine = true
			return nil
		}
		if !errors.Is(err, cold.ErrExists) {
			return fmt.Errorf("put %s: %w", name, err)
		}
		g, err := j.reader.get(ctx, name, f.kind, f.number)
		if err != nil {
			return err
		}
		mine = g.writer == f.writer || planted.Is(planted.JournalOverrun)
		return nil
	})
	return mine, err
}

// attemptTimeout bounds one put of the journal; they are small.
const attemptTimeout = 10 * time.Second

// insist repeats what failed without a decision until it is decided, or ctx ends.
func (j *Journal) insist(ctx context.Context, do func() error) error {
	pause := j.opts.Retry
	for {
		err := do()
		if err == nil || errors.Is(err, catalog.ErrVersion) || errors.Is(err, catalog.ErrCorrupt) {
			return err
		}
		if pause > j.opts.Retry { // the first failure is no news
			j.log.Warn("journal: the bucket did not answer, trying again", "err", err)
		}
		t := time.NewTimer(pause/2 + mrand.N(pause))
		select {
		case <-ctx.Done():
			t.Stop()
			return errors.Join(ctx.Err(), err)
		case <-t.C:
		}
		pause = min(2*pause, 32*j.opts.Retry)
	}
}

// catchup applies the entries of others.
func (j *Journal) catchup(ctx context.Context) error {
	before := j.reader.state
	start := time.Now()
	err := j.reader.Catchup(ctx, nil)
	if err == nil {
		j.contact.Store(int64(start.Sub(j.born)))
	}
	if j.reader.state != before || j.state.Load() == nil {
		j.publish()
	}
	return err
}

func (j *Journal) publish() {
	j.state.Store(j.reader.state)
	j.mu.Lock()
	close(j.changed)
	j.changed = make(chan struct{})
	j.mu.Unlock()
}

// housekeep puts a snapshot when one is due, and gives up old entries.
func (j *Journal) housekeep(ctx context.Context) {
	n := j.reader.state.Number()
	j.latest = max(j.latest, j.reader.snapshot)
	if n < j.latest+j.opts.SnapshotEvery {
		return
	}
	if err := j.snapshot(ctx, n); err != nil {
		j.log.Warn("journal: no snapshot this time", "err", err)
		return
	}
	j.latest = n
	if err := j.collect(ctx, n); err != nil {
		j.log.Warn("journal: old entries stay for now", "err", err)
	}
}

func (j *Journal) snapshot(ctx context.Context, n uint64) error {
	j.seq++
	f := frame{kindSnapshot, n, writer{j.nonce, j.seq}, j.reader.state.Encode()}
	err := j.store.PutIfAbsent(ctx, numbered(PrefixSnapshots, n), cold.Bytes(f.encode()))
	if err != nil && !errors.Is(err, cold.ErrExists) {
		return fmt.Errorf("put snapshot %d: %w", n, err)
	}
	return nil
}

// collect advances the boundary to the newest snapshot that is older than Keep,
// both times by the store's clock, and then deletes what lies at or below it: the
// journal says first what can no longer count (S10, S11).
func (j *Journal) collect(ctx context.Context, n uint64) error {
	newest, err := j.store.Stat(ctx, numbered(PrefixSnapshots, n))
	if err != nil {
		return fmt.Errorf("stat snapshot %d: %w", n, err)
	}
	var floor uint64
	var old []string
	for info, err := range j.store.List(ctx, PrefixSnapshots, "") {
		if err != nil {
			return fmt.Errorf("list snapshots: %w", err)
		}
		m, ok := parseNumber(PrefixSnapshots, info.Name)
		if ok && m < n && newest.Modified.Sub(info.Modified) >= j.opts.Keep {
			floor = max(floor, m)
			old = append(old, info.Name)
		}
	}
	if floor <= j.reader.floor {
		return nil
	}
	j.seq++
	b := binary.AppendUvarint(binary.AppendUvarint(nil, floor), n)
	k := j.reader.boundary + 1
	won, err := j.settle(ctx, numbered(PrefixBoundaries, k), frame{kindBoundary, k, writer{j.nonce, j.seq}, b})
	if err != nil || !won {
		return err // somebody else does it
	}
	if err := j.reader.followBoundary(ctx); err != nil {
		return err
	}
	for info, err := range j.store.List(ctx, PrefixEntries, "") {
		if err != nil {
			return fmt.Errorf("list entries: %w", err)
		}
		if m, ok := parseNumber(PrefixEntries, info.Name); ok && m <= floor {
			old = append(old, info.Name)
		}
	}
	for _, name := range old {
		if name == numbered(PrefixSnapshots, n) {
			continue
		}
		if err := j.store.Delete(ctx, name); err != nil {
			return fmt.Errorf("delete %s: %w", name, err)
		}
	}
	return j.collectSide(ctx, newest)
}

// collectSide deletes side objects that are older than Keep: the entries that
// named them lie below the boundary or never won.
func (j *Journal) collectSide(ctx context.Context, newest cold.Info) error {
	boundary, err := j.store.Stat(ctx, numbered(PrefixSnapshots, j.reader.snapshot))
	if err != nil {
		return fmt.Errorf("stat snapshot: %w", err)
	}
	for info, err := range j.store.List(ctx, PrefixSide, "") {
		if err != nil {
			return fmt.Errorf("list side objects: %w", err)
		}
		if boundary.Modified.Sub(info.Modified) < j.opts.Keep || newest.Modified.Sub(info.Modified) < j.opts.Keep {
			continue
		}
		b, err := j.store.Get(ctx, info.Name, cold.Whole, nil)
		if err != nil {
			continue
		}
		f, err := decodeFrame(b, kindSide, frameNumber(b))
		if err == nil && f.number <= j.reader.floor {
			if err := j.store.Delete(ctx, info.Name); err != nil {
				return fmt.Errorf("delete %s: %w", info.Name, err)
			}
		}
	}
	return nil
}

func frameNumber(b []byte) uint64 {
	if len(b) < frameHead {
		return 0
	}
	return binary.LittleEndian.Uint64(b[8:])
}
