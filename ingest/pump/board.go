package pump

import (
	"slices"
	"sync"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/record"
)

// Progress is how far a partition has come.
type Progress struct {
	HighWatermark int64 // end of what is committed (S4)
	LastStable    int64 // end of what read_committed may see
	LogStart      int64 // as the owner was told
	Epoch         int32
}

// board is what readers see of the partitions that this broker leads. The loop
// writes it, anybody reads it; an entry's lock is held for a few assignments.
type board struct {
	entries sync.Map // record.Partition → *entry
	waking  []*Watch // the loop's scratch
	// loose are the entries with an overlay, the loop's: what moves the covered mark looks
	// at these, and not at all partitions that are led.
	loose map[record.Partition]*entry
}

type entry struct {
	mu       sync.Mutex
	progress Progress
	// recent are the committed extents that the catalog may not describe yet. Who
	// was given a prefix of it keeps it: it is only ever appended to and resliced.
	recent  []catalog.Extent
	watches map[*Watch]struct{}
	gone    bool
}

func (b *board) find(p record.Partition) *entry {
	v, ok := b.entries.Load(p)
	if !ok {
		return nil
	}
	return v.(*entry)
}

// open makes a partition known, or gives a known one a new epoch.
func (b *board) open(p record.Partition, pr Progress) {
	if e := b.find(p); e != nil {
		e.mu.Lock()
		e.progress.Epoch = pr.Epoch
		e.progress.LogStart = max(e.progress.LogStart, pr.LogStart)
		e.mu.Unlock()
		return
	}
	b.entries.Store(p, &entry{progress: pr})
}

// shut forgets a partition and wakes who waits for it: they find that this broker
// does not lead it. It returns what was in its overlay.
func (b *board) shut(p record.Partition) []catalog.Extent {
	e := b.find(p)
	if e == nil {
		return nil
	}
	b.entries.Delete(p)
	delete(b.loose, p)
	e.mu.Lock()
	left := e.recent
	e.gone = true
	b.gather(e)
	e.watches = nil
	e.mu.Unlock()
	b.wake()
	return left
}

// advance publishes one committed run; false when the partition was shut since, or
// is another log by now.
func (b *board) advance(p record.Partition, x catalog.Extent, stable int64) bool {
	e := b.find(p)
	if e == nil {
		return false
	}
	e.mu.Lock()
	if e.progress.HighWatermark != x.Base {
		e.mu.Unlock()
		return false
	}
	e.progress.HighWatermark = x.Next
	e.progress.LastStable = stable
	if len(e.recent) == 0 {
		b.loose[p] = e
	}
	e.recent = append(e.recent, x)
	b.gather(e)
	e.mu.Unlock()
	b.wake()
	return true
}

// epoch publishes the epoch that a new session has (S9).
func (b *board) epoch(p record.Partition, epoch int32) {
	if e := b.find(p); e != nil {
		e.mu.Lock()
		e.progress.Epoch = epoch
		e.mu.Unlock()
	}
}

// trim publishes a log start.
func (b *board) trim(p record.Partition, start int64) {
	if e := b.find(p); e != nil {
		e.mu.Lock()
		e.progress.LogStart = max(e.progress.LogStart, start)
		e.mu.Unlock()
	}
}

// cover takes out of all overlays what lies in slots of the session below to.
func (b *board) cover(session, to uint64) {
	for p, e := range b.loose {
		e.mu.Lock()
		switch n := covered(e.recent, session, to); {
		case n == 0:
		case n == len(e.recent):
			e.recent = nil
			delete(b.loose, p)
		default:
			// A copy, so that what was covered does not stay reachable for ever. Readers
			// keep theirs.
			e.recent = slices.Clone(e.recent[n:])
		}
		e.mu.Unlock()
	}
}

// overlays calls fn with each overlay, which stays as it is.
func (b *board) overlays(fn func(record.Partition, []catalog.Extent)) {
	for p, e := range b.loose {
		fn(p, e.recent[:len(e.recent):len(e.recent)]) // the loop alone writes it
	}
}

// ends calls fn with each partition and its high watermark, in no particular order.
func (b *board) ends(fn func(p record.Partition, hw int64)) {
	b.entries.Range(func(k, v any) bool {
		e := v.(*entry)
		e.mu.Lock()
		hw := e.progress.HighWatermark
		e.mu.Unlock()
		fn(k.(record.Partition), hw)
		return true
	})
}

// covered is how many of the extents lie in slots of the session below to, or of
// sessions before it.
func covered(recent []catalog.Extent, session, to uint64) int {
	n := 0
	for n < len(recent) && (recent[n].Object.A < session || recent[n].Object.A == session && recent[n].Object.B < to) {
		n++
	}
	return n
}

// gather notes who is to be woken once the entry's lock, which the caller holds,
// is given back.
func (b *board) gather(e *entry) {
	b.waking = b.waking[:0]
	for w := range e.watches {
		b.waking = append(b.waking, w)
	}
}

func (b *board) wake() {
	for i, w := range b.waking {
		w.wake()
		b.waking[i] = nil
	}
}

// Watch wakes when one of its partitions has come on, or is not led any more.
type Watch struct {
	ready   chan struct{}
	entries []*entry
}

// Ready receives a value after a watched partition has changed. It stays ready
// until it is received from, so nothing is missed between a look and a wait.
func (w *Watch) Ready() <-chan struct{} { return w.ready }

// Close ends the watch. It must be called.
func (w *Watch) Close() {
	for _, e := range w.entries {
		e.mu.Lock()
		delete(e.watches, w)
		e.mu.Unlock()
	}
	w.entries = nil
}

func (w *Watch) wake() {
	select {
	case w.ready <- struct{}{}:
	default:
	}
}

// Watch registers interest in partitions. Take it first, look at Progress second,
// wait for Ready third. Partitions that this broker does not lead are left out. It
// costs one registration each, however many watches there are.
func (p *Pump) Watch(partitions ...record.Partition) *Watch {
	w := &Watch{ready: make(chan struct{}, 1), entries: make([]*entry, 0, len(partitions))}
	for _, id := range partitions {
		e := p.board.find(id)
		if e == nil {
			continue
		}
		e.mu.Lock()
		gone := e.gone
		if !gone {
			if e.watches == nil {
				e.watches = make(map[*Watch]struct{})
			}
			e.watches[w] = struct{}{}
		}
		e.mu.Unlock()
		if gone {
			w.wake()
			continue
		}
		w.entries = append(w.entries, e)
	}
	return w
}

// Progress says how far a partition has come that this broker leads; false when
// it does not lead it.
func (p *Pump) Progress(id record.Partition) (Progress, bool) {
	e := p.board.find(id)
	if e == nil {
		return Progress{}, false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.progress, true
}

// Recent returns the committed extents of a partition that end above from and that
// the catalog may not describe yet, in order. Call it before looking at the
// catalog's state: whatever it leaves out is in there by then. The slice must
// not be changed.
func (p *Pump) Recent(id record.Partition, from int64) []catalog.Extent {
	e := p.board.find(id)
	if e == nil {
		return nil
	}
	e.mu.Lock()
	recent := e.recent[:len(e.recent):len(e.recent)]
	e.mu.Unlock()
	i, _ := slices.BinarySearchFunc(recent, from, func(x catalog.Extent, o int64) int {
		if x.Next <= o {
			return -1
		}
		return 1
	})
	return recent[i:]
}
