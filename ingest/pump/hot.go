package pump

import (
	"context"
	"sync"
	"time"

	"github.com/firnlog/firn/ingest"
	"github.com/firnlog/firn/planted"
	"github.com/firnlog/firn/tier/hot"
)

// hotter feeds the hot tier: one goroutine appends slots in order, in groups, one
// syncs those that somebody waits for. Neither keeps the loop waiting: what it cannot take,
// it skips (U3).
type hotter struct {
	hot     Hot
	stage   Stage // nil: goroutines and the clock
	backlog int64
	tell    func(hotEvent)

	mu      sync.Mutex
	queue   []hotTask
	bytes   int64
	since   time.Time  // the oldest of queue
	due     bool       // queue is to be written out now
	unsaved []hot.Slot // appended, not synced, oldest first
	wanted  int        // the first so many of unsaved are to be synced
	closed  bool

	appendable, syncable chan struct{} // cap 1: something is there
}

// Slots that nobody waits for are written in groups: the tail cache has them, so that
// no reader misses them, and the bucket has them, so that no crash loses them.
// Written one by one, beside each put, they would make the put wait: on most file
// systems a sync also writes what others have changed.
const (
	hotGroup  = 1 << 20
	hotLinger = 100 * time.Millisecond
)

// hotForever is how long the one that appends waits when nothing is queued.
const hotForever = time.Hour

// hotTask is a slot to append, or, with flight nil, a session to start.
type hotTask struct {
	flight *flight
	start  hot.Session
}

// hotEvent tells the loop what became of a slot.
type hotEvent struct {
	flight *flight // appended or not: its bytes are free
	err    error   // why it was not
	synced hot.Slot
}

func newHotter(h Hot, stage Stage, backlog int64, tell func(hotEvent)) *hotter {
	return &hotter{hot: h, stage: stage, backlog: backlog, tell: tell, appendable: make(chan struct{}, 1), syncable: make(chan struct{}, 1)}
}

func (h *hotter) now() time.Time {
	if h.stage != nil {
		return h.stage.Now()
	}
	return time.Now()
}

// hear waits until there is something in c, or the timer, if not nil, has run for so
// long. The error is that of ctx.
func (h *hotter) hear(ctx context.Context, c <-chan struct{}, timer *time.Timer, wait time.Duration) error {
	if h.stage != nil {
		due := h.stage.Now().Add(wait)
		if timer != nil && wait < hotForever {
			h.stage.At(due, func() {})
		}
		err := h.stage.Wait(ctx, func() bool { return len(c) > 0 || timer != nil && !h.stage.Now().Before(due) })
		for len(c) > 0 {
			<-c
		}
		return err
	}
	var rings <-chan time.Time
	if timer != nil {
		timer.Reset(wait)
		rings = timer.C
	}
	select {
	case <-c:
	case <-rings:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// push queues a task. It reports false when too much waits already.
func (h *hotter) push(t hotTask) bool {
	h.mu.Lock()
	if t.flight != nil && (h.bytes >= h.backlog || h.closed) {
		h.mu.Unlock()
		return false
	}
	first := len(h.queue) == 0
	if h.queue = append(h.queue, t); first {
		h.since = h.now()
	}
	if t.flight != nil {
		h.bytes += t.flight.slot.Memory()
	}
	h.due = h.due || t.flight == nil || t.flight.slot.Sync || h.bytes >= hotGroup
	wake := first || h.due
	h.mu.Unlock()
	if wake {
		poke(h.appendable)
	}
	return true
}

// settled says that slots of the session below seq are committed: nobody waits
// for them to be synced.
func (h *hotter) settled(session, seq uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := 0
	for n < len(h.unsaved) && (h.unsaved[n].Session < session || h.unsaved[n].Session == session && h.unsaved[n].Seq < seq) {
		n++
	}
	h.unsaved = h.unsaved[n:]
	h.wanted = max(0, h.wanted-n)
}

// pop takes the next task that is due. Otherwise it says how long to wait: for ever
// when nothing is queued.
func (h *hotter) pop() (t hotTask, ok bool, wait time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.queue) == 0 {
		h.due = false
		return hotTask{}, false, hotForever
	}
	if !h.due && !h.closed {
		if wait = hotLinger - h.now().Sub(h.since); wait > 0 {
			return hotTask{}, false, wait
		}
		h.due = true // all that is queued, in one go
	}
	t = h.queue[0]
	h.queue[0] = hotTask{}
	h.queue = h.queue[1:]
	return t, true, 0
}

// append is the goroutine that appends, until ctx ends. Then it gives back what
// is queued.
func (h *hotter) append(ctx context.Context) {
	var entries []hot.Entry
	timer := time.NewTimer(hotForever)
	defer timer.Stop()
	for {
		t, ok, wait := h.pop()
		switch {
		case !ok:
			if h.hear(ctx, h.appendable, timer, wait) != nil {
				h.mu.Lock()
				h.closed = true
				done := len(h.queue) == 0
				h.mu.Unlock()
				if done {
					return
				}
			}
		case t.flight == nil:
			if err := h.hot.StartSession(t.start, 0); err != nil {
				h.tell(hotEvent{err: err})
			}
		default:
			s := t.flight.slot
			entries = entriesOf(entries[:0], s)
			var err error
			if ctx.Err() == nil {
				err = h.hot.Append(hot.Slot{Session: s.Session, Seq: s.Seq}, entries)
			} else {
				err = ctx.Err()
			}
			clear(entries)
			h.mu.Lock()
			h.bytes -= s.Memory()
			if err == nil {
				h.unsaved = append(h.unsaved, hot.Slot{Session: s.Session, Seq: s.Seq})
				if s.Sync {
					h.wanted = len(h.unsaved)
				}
			}
			h.mu.Unlock()
			if s.Sync {
				poke(h.syncable)
			}
			h.tell(hotEvent{flight: t.flight, err: err})
		}
	}
}

// sync is the goroutine that syncs, until ctx ends. All slots before one that
// somebody waits for are synced with it: what is appended again after a crash
// must have no gap (P2).
func (h *hotter) sync(ctx context.Context) {
	for {
		h.mu.Lock()
		var next hot.Slot
		want := h.wanted > 0
		if want {
			next = h.unsaved[0]
			h.unsaved = h.unsaved[1:]
			h.wanted--
		}
		h.mu.Unlock()
		if want {
			// When it fails, who waits is answered by the bucket.
			if planted.Is(planted.AckUnsynced) {
				h.tell(hotEvent{synced: next})
				continue
			}
			if err := h.hot.Sync(next); err == nil {
				h.tell(hotEvent{synced: next})
			}
			continue
		}
		if h.hear(ctx, h.syncable, nil, 0) != nil {
			return
		}
	}
}

// entriesOf lists a slot's batches as the hot tier wants them.
func entriesOf(out []hot.Entry, s *ingest.Slot) []hot.Entry {
	for i := range s.Parts {
		p := &s.Parts[i]
		for j := range p.Batches {
			b := &p.Batches[j]
			out = append(out, hot.Entry{
				Partition: p.Partition, Base: b.Base, Last: b.Base + int64(b.Header.LastOffsetDelta),
				Epoch: p.Epoch, MaxTimestamp: b.Header.MaxTimestamp, Batch: true, Value: b.Bytes,
			})
		}
	}
	return out
}

// poke puts a value into a channel of capacity one, unless there is one.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
