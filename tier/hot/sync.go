package hot

import "fmt"

// Sync makes a slot that was appended durable: after it has returned nil, the
// slot survives the loss of power, if the disk does. It blocks for one sync of the
// values and one of the memtable's log. Callers that wait together share
// one: call it from as many goroutines as there are slots to be acknowledged. A
// generation that is sealed has nothing to sync: the bucket holds it.
//
// It is explicit, rather than Badger's SyncWrites, since that only logs an msync
// that failed. After a failure the generation takes no more slots, and none of
// its slots is ever called durable later: the kernel has forgotten which pages
// it lost.
func (t *Tier) Sync(slot Slot) error {
	g, err := t.holder(slot)
	if err != nil {
		return err
	}
	defer t.release(g)
	if done, err := g.durable(slot.Seq); done {
		return err
	}
	t.syncTurn <- struct{}{}
	defer func() { <-t.syncTurn }()
	if done, err := g.durable(slot.Seq); done {
		return err
	}
	return g.sync()
}

// holder pins the generation that holds a slot.
func (t *Tier) holder(slot Slot) (*generation, error) {
	gens := t.list()
	for i := len(gens) - 1; i >= 0; i-- {
		g := gens[i]
		g.mu.RLock()
		holds := g.origin.session.ID == slot.Session && g.first <= slot.Seq && slot.Seq < g.next
		g.mu.RUnlock()
		if holds && g.acquire() {
			return g, nil
		}
	}
	return nil, fmt.Errorf("%w: slot %d of session %d", ErrNotHeld, slot.Seq, slot.Session)
}

// durable reports whether it is known that the slot is, or never will be.
func (g *generation) durable(seq uint64) (bool, error) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if seq < g.synced {
		return true, nil
	}
	if g.broken != nil {
		return true, fmt.Errorf("sync hot tier: %w", g.broken)
	}
	return false, nil
}

// sync covers what was appended before it began.
func (g *generation) sync() (err error) {
	g.mu.RLock()
	upto, db := g.next, g.db // cool takes it away in its own turn
	g.mu.RUnlock()
	err = func() (err error) {
		defer guard(&err)()
		if err := g.values.sync(); err != nil || db == nil {
			return err
		}
		return db.Sync()
	}()
	g.mu.Lock()
	defer g.mu.Unlock()
	if err != nil {
		g.broken = fmt.Errorf("sync: %w", err)
		return fmt.Errorf("sync hot tier: %w", err)
	}
	g.synced = max(g.synced, upto)
	return nil
}
