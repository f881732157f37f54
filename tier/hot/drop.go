package hot

import (
	"fmt"
)

// MarkSealed says that the bucket holds the generation's records in sealed form
// and the catalog knows it: the generation is a cache from now on, which the
// quota may drop, oldest first. Its memory is given back.
func (t *Tier) MarkSealed(id uint64) error {
	g := t.generation(id)
	if g == nil {
		return fmt.Errorf("%w: generation %d", ErrNotHeld, id)
	}
	g.mu.Lock()
	if g.state == filling {
		g.mu.Unlock()
		return fmt.Errorf("mark generation %d sealed: it is being filled", id)
	}
	g.state = sealed
	g.mu.Unlock()
	t.background(func() { t.cool(g) })
	return nil
}

// Drop removes a generation. Readers that have it pinned keep it until they are
// done. The one that is being filled cannot be dropped.
func (t *Tier) Drop(id uint64) error {
	t.mu.Lock()
	var dropped *generation
	gens := make([]*generation, 0, len(t.gens))
	for _, g := range t.gens {
		if g.id == id && g != t.active {
			dropped = g
			continue
		}
		gens = append(gens, g)
	}
	t.gens = gens
	t.mu.Unlock()
	if dropped == nil {
		return fmt.Errorf("%w: generation %d", ErrNotHeld, id)
	}
	dropped.mu.Lock()
	dropped.gone, dropped.dropped = true, true
	dropped.mu.Unlock()
	t.stats.dropped.Add(1)
	t.release(dropped)
	return nil
}

// shed drops what is only a cache, oldest first, until one more generation fits the
// quota and the disk, and memory and descriptors (H8). It works a generation ahead of
// need, since room comes back in the background.
func (t *Tier) shed() {
	gens := t.list()
	var used, index int64
	for _, g := range gens {
		disk, memory := g.size()
		used += disk
		index += memory
	}
	free, err := t.free(t.dir)
	if err != nil {
		return
	}
	want, left := t.opts.GenerationBytes, len(gens)
	for _, g := range gens {
		over := t.opts.MaxBytes > 0 && used+want > t.opts.MaxBytes || index > t.opts.IndexBytes || left >= t.most()
		if !over && free >= want+2*spare {
			return
		}
		g.mu.RLock()
		cache := !g.keep && (g.state == sealed || g.state == retired && g.past)
		g.mu.RUnlock()
		disk, memory := g.size()
		if cache && t.Drop(g.id) == nil {
			used -= disk
			free += disk
			index -= memory
			left--
		}
	}
}

// most is how many generations there may be: as many as the quota takes when they are
// half full, and those of an hour that are sealed for their age.
func (t *Tier) most() int {
	return int(max(t.opts.fewest, 2*t.opts.MaxBytes/t.opts.GenerationBytes))
}

// size is what a generation counts against the quota, and what its index takes of memory.
func (g *generation) size() (disk, memory int64) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.disk, int64(g.batches)*lineBytes + int64(len(g.index))*partitionBytes
}

// quota refuses what would pass the quota.
func (t *Tier) quota(values int64) error {
	if t.opts.MaxBytes <= 0 {
		return nil
	}
	var used int64
	for _, i := range t.Generations() {
		used += i.DiskBytes
	}
	if used+values <= t.opts.MaxBytes {
		return nil
	}
	t.shed()
	return fmt.Errorf("%w: %d of %d bytes are in use and not sealed yet", ErrFull, used, t.opts.MaxBytes)
}

// cool closes the Badger of a generation that is sealed, which gives back its memtable
// (20 MB of heap) and its goroutines: the index is in memory, and the values are
// read without it. It waits for nobody but a Sync under way.
func (t *Tier) cool(g *generation) {
	t.syncTurn <- struct{}{}
	defer func() { <-t.syncTurn }()
	g.mu.Lock()
	db := g.db
	if g.gone || db == nil { // it ends with the generation
		g.mu.Unlock()
		return
	}
	if !t.roomFor(g.memory) {
		g.mu.Unlock()
		return
	}
	g.db, g.memory, g.synced = nil, 0, g.next
	g.refs.Add(1) // nobody ends it now
	g.mu.Unlock()
	defer t.release(g)
	if err := closeBadger(g.path, db); err != nil {
		t.log.Warn("hot tier generation is lost to the next start", "generation", g.path, "error", err)
	}
}

// roomFor reports whether a memtable of so many bytes may be closed, which writes it
// out. Where there is no room it stays open until the end; see finish.
func (t *Tier) roomFor(memory int64) bool {
	free, err := t.free(t.dir)
	return err == nil && free >= memory+spare
}
