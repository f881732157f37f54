package hot

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// StartSession ends the generation of the session before it, if any: what is
// appended from now on belongs to the new session. first is the first slot that
// it will append.
func (t *Tier) StartSession(s Session, first uint64) error {
	t.turn <- struct{}{}
	defer func() { <-t.turn }()
	switch {
	case t.isClosed():
		return ErrClosed
	case s.ID < t.over:
		return fmt.Errorf("%w: session %d is over", ErrOrder, s.ID)
	}
	t.retire()
	t.clear()
	spare := t.takeSpare()
	t.mu.Lock()
	var seq uint64
	for _, g := range t.gens { // a session may be started again only by mistake
		if g.origin.session.ID == s.ID {
			seq = g.origin.seq + 1
		}
	}
	t.mu.Unlock()
	if spare != nil {
		t.background(func() { t.discard(spare) })
	}
	t.session, t.started, t.seq, t.nextSlot = s, true, seq, first
	t.notUntil = time.Time{}
	t.prepare()
	return nil
}

// Append takes the batches of one slot, all or none. Entries of one partition
// are ascending and, for speed, next to each other. The values are copied: the
// caller may use their buffers again when it returns. What was appended can be
// read at once; who may see it yet is the reader's business.
//
// The slots of a session ascend. A slot that was left out, or refused, ends the
// generation before it (H3). An error is the tier's own trouble, never the
// record's: the caller goes on without the tier.
func (t *Tier) Append(slot Slot, entries []Entry) error {
	t.turn <- struct{}{}
	defer func() { <-t.turn }()
	err := t.append(slot, entries)
	switch {
	case err == nil:
		t.setState(Healthy, nil)
	case errors.Is(err, ErrFull):
		t.setState(Full, err)
		t.stats.refused.Add(1)
	case errors.Is(err, ErrOrder), errors.Is(err, ErrTooLarge), errors.Is(err, ErrClosed):
		t.stats.refused.Add(1)
	default:
		t.setState(Unavailable, err)
		t.stats.refused.Add(1)
	}
	return err
}

func (t *Tier) append(slot Slot, entries []Entry) error {
	if t.isClosed() {
		return ErrClosed
	}
	if !t.started || slot.Session != t.session.ID || slot.Seq < t.nextSlot {
		return fmt.Errorf("%w: slot %d of session %d, want %d of %d or above", ErrOrder, slot.Seq, slot.Session, t.nextSlot, t.session.ID)
	}
	values, memory := cost(entries)
	if values > slotRoom || memory > memBudget/2 {
		return fmt.Errorf("%w: %d batches, %d bytes", ErrTooLarge, len(entries), values)
	}
	g, err := t.room(slot.Seq, values, memory)
	if err != nil {
		return err
	}
	for i := range entries {
		if i > 0 && entries[i].Partition == entries[i-1].Partition {
			continue
		}
		if last := g.last(entries[i].Partition); entries[i].Base <= last {
			return fmt.Errorf("%w: offset %d of %s after %d", ErrOrder, entries[i].Base, entries[i].Partition, last)
		}
	}
	tab, encoded, err := tabulate(g.origin, g.first, slot.Seq, uint32(g.values.end.Load()), entries)
	if err != nil {
		return err
	}
	// First the values, then the table that makes the slot exist.
	if _, err = g.values.append(entries); err == nil {
		err = g.put(slot.Seq-g.first+2, tableKey(slot.Seq), encoded)
	}
	if err != nil {
		t.fail(g, err)
		return fmt.Errorf("append slot %d to hot tier: %w", slot.Seq, err)
	}
	g.admit(tab)
	t.nextSlot = slot.Seq + 1
	t.stats.appends.Add(1)
	t.stats.appended.Add(values)
	return nil
}

// cost is what the values of a slot take on disk and in the memtable.
func cost(entries []Entry) (values, memory int64) {
	for i := range entries {
		values += int64(len(entries[i].Value)) + valueOverhead
	}
	return values, int64(len(entries)+2) * memPerBatch
}

// room returns the generation that takes the slot, with room promised for it.
func (t *Tier) room(seq uint64, values, memory int64) (*generation, error) {
	g := t.current()
	if g != nil {
		g.mu.Lock()
		if g.batches == 0 { // the slot that it was opened for was refused
			g.first, g.next, g.synced = seq, seq, seq
		}
		full := g.broken != nil || g.disk >= t.opts.GenerationBytes || g.memory+memory > memBudget ||
			g.next != seq || seq-g.first > math.MaxUint32
		g.mu.Unlock()
		if full {
			t.retire()
			g = nil
		}
	}
	if g == nil {
		if time.Now().Before(t.notUntil) {
			return nil, ErrUnavailable
		}
		var err error
		if g, err = t.open(seq); err != nil {
			t.rest(err)
			return nil, err
		}
	}
	if err := t.quota(values); err != nil {
		return nil, err
	}
	if err := g.space.take(g.path, values, memory, t.free); err != nil {
		t.shed()
		return nil, err
	}
	g.mu.Lock()
	g.memory += memory
	g.mu.Unlock()
	return g, nil
}

// open publishes the generation that begins at the slot: the one opened ahead,
// when there is one.
func (t *Tier) open(seq uint64) (*generation, error) {
	t.shed()
	g := t.takeSpare()
	if g == nil {
		var err error
		if g, err = t.create(t.nextOrigin()); err != nil {
			return nil, err
		}
	}
	g.mu.Lock()
	g.first, g.next, g.synced = seq, seq, seq
	g.opened = time.Now()
	g.mu.Unlock()
	t.add(g, true)
	t.prepare()
	return g, nil
}

func (t *Tier) nextOrigin() origin {
	o := origin{session: t.session, seq: t.seq}
	t.seq++
	return o
}

func (t *Tier) create(o origin) (*generation, error) {
	if free, err := t.free(t.dir); err != nil {
		return nil, err
	} else if free < spare+valueStep+memStep {
		return nil, ErrFull
	}
	return createGeneration(t.dir, o, t.opts.GenerationBytes, t.log, time.Now())
}

// prepare opens the next generation ahead, so that to rotate is to swap a
// pointer. Without it, or when it failed, the next one is opened when needed.
func (t *Tier) prepare() {
	o, ready := t.nextOrigin(), make(chan struct{})
	t.ready = ready
	t.background(func() {
		defer close(ready)
		g, err := t.create(o)
		if err != nil {
			return
		}
		t.mu.Lock()
		late := t.closed
		if !late {
			t.spare = g
		}
		t.mu.Unlock()
		if late {
			t.discard(g)
		}
	})
}

// takeSpare waits for the generation that is being opened ahead, which never
// takes longer than to open one now, and takes it.
func (t *Tier) takeSpare() *generation {
	if t.ready != nil {
		<-t.ready
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.spare
	t.spare = nil
	return g
}

// Rotate ends the generation that is being filled, if it holds anything: it can
// be sealed. The next slot begins a new one.
func (t *Tier) Rotate() {
	t.turn <- struct{}{}
	defer func() { <-t.turn }()
	t.retire()
}

// retire ends the active generation. An empty one stays.
func (t *Tier) retire() {
	t.mu.Lock()
	g := t.active
	if g != nil {
		g.mu.Lock()
		if g.batches == 0 && g.next == g.first && g.broken == nil {
			g.mu.Unlock()
			t.mu.Unlock()
			return
		}
		g.state, g.ended = retired, time.Now()
		g.mu.Unlock()
		g.space.close()
		g.values.trim()
		t.active = nil
	}
	t.mu.Unlock()
	if g != nil {
		select {
		case t.retired <- struct{}{}:
		default:
		}
	}
}

// clear removes the active generation that retire has left, since it is empty: it is of
// the session that it was opened in, and must take nothing of another.
func (t *Tier) clear() {
	t.mu.Lock()
	g := t.active
	t.active = nil
	t.mu.Unlock()
	if g != nil {
		_ = t.Drop(g.id)
	}
}

// fail ends a generation that the disk has failed. What it holds is kept: each
// read checks for itself.
func (t *Tier) fail(g *generation, err error) {
	g.mu.Lock()
	if g.broken == nil {
		g.broken = err
	}
	g.mu.Unlock()
	t.retire()
	t.rest(err)
}

// rest keeps the tier from trying again at once.
func (t *Tier) rest(err error) {
	if !errors.Is(err, ErrFull) {
		t.notUntil = time.Now().Add(t.opts.Retry)
	}
}

func (t *Tier) current() *generation {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.active
}

func (t *Tier) isClosed() bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.closed
}

// complain is how often it is told at most that the tier takes nothing. A disk that is nearly
// full takes records again at every seal, some times a second.
const complain = 10 * time.Second

// advice is what may be done about a state.
var advice = map[State]string{
	Full:        "give it more disk (hot.max.bytes, and what the disk has), or have it sealed sooner (seal.bytes)",
	Unavailable: "look at the disk of data.dir",
}

// setState notes the state and tells of it when it is another than the one that was told
// last. To be called with the turn.
func (t *Tier) setState(s State, err error) {
	t.stats.state.Store(int32(s))
	if s == t.told {
		return
	}
	now := time.Now()
	switch {
	case s == Healthy:
		t.log.Info("hot tier takes records again")
	case now.Sub(t.saidAt) < complain:
		return
	default:
		t.saidAt = now
		t.log.Warn("hot tier takes no records; acks=1 waits for the bucket until it does", "state", s.String(), "reason", err, "advice", advice[s])
	}
	t.told = s
}
