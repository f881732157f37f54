package hot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/dgraph-io/badger/v4"
	"golang.org/x/sync/errgroup"

	"github.com/firnlog/firn/record"
)

var dirName = regexp.MustCompile(`^[0-9]{20}-[0-9]{6,}$`)

// recover opens the generations that earlier lives of the broker left.
func (t *Tier) recover(ctx context.Context) error {
	names, err := os.ReadDir(t.dir)
	if err != nil {
		return fmt.Errorf("recover hot tier: %w", err)
	}
	names = slices.DeleteFunc(names, func(n os.DirEntry) bool { return !n.IsDir() || !dirName.MatchString(n.Name()) })
	var mu sync.Mutex
	var found []*generation
	var lost, left []string
	one := func(name string) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		g, why, err := t.revive(filepath.Join(t.dir, name))
		mu.Lock()
		defer mu.Unlock()
		switch {
		case g != nil:
			found = append(found, g)
		case scarce(why):
			left = append(left, fmt.Sprintf("%s: %v", name, why))
		case why != nil:
			lost = append(lost, fmt.Sprintf("%s: %v", name, why))
		}
		return err
	}
	var at atomic.Int64
	var turns errgroup.Group
	for range t.atOnce(names) {
		turns.Go(func() error {
			for i := at.Add(1) - 1; i < int64(len(names)); i = at.Add(1) - 1 {
				if err := one(names[i].Name()); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err = turns.Wait()
	slices.SortFunc(found, func(a, b *generation) int {
		if c := cmp.Compare(a.origin.session.ID, b.origin.session.ID); c != 0 {
			return c
		}
		return cmp.Compare(a.origin.seq, b.origin.seq)
	})
	for _, g := range found {
		t.add(g, false)
	}
	if err != nil {
		return err
	}
	if len(lost) > 0 {
		t.log.Warn("hot tier: removed what cannot be read; reads go to the bucket", "generations", lost)
	}
	if len(left) > 0 {
		t.log.Error("hot tier: no room to open what an earlier life left; it stays for the next start, and what it alone holds of acks=1 is not restored before", "generations", left)
	}
	return nil
}

// recoverAtOnce is how many directories are opened at once: it is the disk that each waits
// for, and Badger takes 20 MB of heap for each meanwhile.
const recoverAtOnce = 4

// atOnce is one where room is scarce, which all would count on, and after a life that ended
// while it opened some: the one that ended it is to be suspected again (attempt), and none
// beside it.
func (t *Tier) atOnce(names []os.DirEntry) int {
	if free, err := t.free(t.dir); err != nil || free < recoverAtOnce*(memTable+memStep) {
		return 1
	}
	for _, n := range names {
		if _, err := os.Stat(filepath.Join(t.dir, n.Name(), openingFile)); err == nil {
			return 1
		}
	}
	return recoverAtOnce
}

// revive opens one directory; nil when there is nothing in it, or why not. What cannot be
// read is removed; an error is that this failed.
func (t *Tier) revive(path string) (g *generation, why, err error) {
	if free, err := t.free(t.dir); err == nil && free < memStep { // Badger would fail, or fault (H5)
		return nil, ErrFull, nil
	}
	g, why = t.load(path)
	if why == nil && g.batches > 0 {
		return g, nil, nil
	}
	if g != nil {
		_ = g.end(!scarce(why))
	}
	if scarce(why) {
		_ = os.Remove(filepath.Join(path, openingFile)) // it was no attempt
		return nil, why, nil
	}
	if err := os.RemoveAll(path); err != nil {
		return nil, why, fmt.Errorf("recover hot tier: %w", err)
	}
	return nil, why, nil
}

// scarce reports whether something failed for want of room, of descriptors or of memory:
// nothing is wrong with what was to be opened. Badger makes text of what the system says.
func scarce(err error) bool {
	return err != nil && slices.ContainsFunc([]error{ErrFull, syscall.ENOSPC, syscall.EDQUOT, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM}, func(e error) bool {
		return errors.Is(err, e) || strings.Contains(err.Error(), e.Error())
	})
}

// load opens one directory and rebuilds its index from its slot tables.
func (t *Tier) load(path string) (*generation, error) {
	done, err := attempt(path)
	if err != nil {
		return nil, err
	}
	g := &generation{path: path, log: t.log, state: retired, keep: true, maxTs: -1, index: make(map[record.Partition][]line)}
	if _, err := os.Stat(filepath.Join(path, forgottenFile)); err == nil {
		g.keep, g.forgotten = false, true
	}
	if err := screen(path); err != nil {
		return nil, err
	}
	if err := t.roomToOpen(path); err != nil {
		return nil, err
	}
	if g.values, err = openValues(path); err != nil {
		return nil, err
	}
	g.refs.Store(1)
	if g.db, err = openBadger(options(path, t.log)); err != nil {
		return g, err
	}
	if err := g.reindex(); err != nil {
		return g, err
	}
	if err := done(); err != nil {
		return g, err
	}
	// Nothing is added to it any more: its Badger has done its work, as in cool.
	if g.memory = int64(g.batches) * memPerBatch; t.roomFor(g.memory) {
		db := g.db
		g.db, g.memory = nil, 0
		if err := closeBadger(path, db); err != nil {
			return g, err
		}
	}
	if info, err := os.Stat(path); err == nil {
		g.opened, g.ended = info.ModTime(), info.ModTime()
	} else {
		g.opened, g.ended = time.Now(), time.Now()
	}
	return g, nil
}

// roomToOpen is ErrFull where Badger would find no room for the tables that it makes of its
// memtables' logs as soon as it opens them: it writes them through a mapping (H5).
func (t *Tier) roomToOpen(path string) error {
	logs, err := filepath.Glob(filepath.Join(path, "*.mem"))
	if err != nil {
		return err
	}
	need := int64(memStep)
	for _, log := range logs {
		info, err := os.Stat(log)
		if err != nil {
			return err
		}
		need += info.Size()
	}
	if free, err := t.free(t.dir); err == nil && free < need {
		return fmt.Errorf("%w: %d bytes are free, to open it takes %d", ErrFull, free, need)
	}
	return nil
}

// openingFile says how often a directory was opened without success.
const openingFile = "opening"

// attempts is how often in a row a process may end while it opens a directory. Badger ends
// it when it finds certain kinds of damage, which must not happen for ever. But a process
// that somebody kills ends there, too, now and then, and what the directory alone holds of
// acks=1 must outlive that: so many times in a row is no accident.
const attempts = 10

// attempt counts how often in a row a directory was opened without success.
func attempt(path string) (done func() error, err error) {
	name := filepath.Join(path, openingFile)
	n := 0
	if b, err := os.ReadFile(name); err == nil {
		n, _ = strconv.Atoi(string(b))
	}
	if n >= attempts {
		return nil, fmt.Errorf("%w: opening it failed %d times", ErrDamaged, n)
	}
	if err := os.WriteFile(name, []byte(strconv.Itoa(n+1)), 0o644); err != nil {
		return nil, err
	}
	return func() error { return os.Remove(name) }, nil
}

// reindex reads the origin and the slot tables. A table that is damaged is a slot
// that does not exist.
func (g *generation) reindex() (err error) {
	defer guard(&err)()
	txn := g.db.NewTransactionAt(math.MaxUint64, false)
	defer txn.Discard()
	item, err := txn.Get([]byte{keyOrigin})
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil // torn before the first slot
	}
	if err != nil {
		return err
	}
	b, err := item.ValueCopy(nil)
	if err != nil {
		return err
	}
	if g.origin, err = parseOrigin(b); err != nil {
		return err
	}
	if g.origin.dir() != filepath.Base(g.path) {
		return fmt.Errorf("%w: directory belongs to %s", ErrDamaged, g.origin.dir())
	}
	g.seed = g.origin.seed()
	it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{keyTable}})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		k := it.Item().Key()
		if len(k) != 9 {
			continue
		}
		seq := be.Uint64(k[1:])
		if g.batches == 0 {
			g.first = seq
		}
		if b, err = it.Item().ValueCopy(b[:0]); err != nil {
			continue
		}
		tab, err := parseTable(g.origin, g.first, b)
		if err != nil || tab.seq != seq || !g.fits(tab) {
			g.log.Debug("hot tier slot table is damaged", "generation", g.path, "slot", seq, "error", err)
			continue
		}
		g.admit(tab)
	}
	return nil
}

// fits reports whether the offsets of a table ascend from what is there.
func (g *generation) fits(t table) bool {
	for _, r := range t.runs {
		last := int64(-1)
		if l := g.index[r.partition]; len(l) > 0 {
			last = l[len(l)-1].last()
		}
		for _, l := range r.lines {
			if l.base <= last || l.base > math.MaxInt64-int64(l.delta) {
				return false
			}
			last = l.last()
		}
	}
	return true
}

// Unsettled returns the earlier sessions whose records the tier holds but does
// not serve, oldest first: for each the broker finds out, or decides, where its
// fence is, and calls Settle.
func (t *Tier) Unsettled() []Session {
	var out []Session
	for _, g := range t.list() {
		g.mu.RLock()
		if !g.settled && !slices.Contains(out, g.origin.session) {
			out = append(out, g.origin.session)
		}
		g.mu.RUnlock()
	}
	return out
}

// Over says that the sessions below a number have ended: none of them takes anything
// more, not even its first slot, so that Generations has all that there will ever be of
// them to settle.
func (t *Tier) Over(below uint64) {
	t.turn <- struct{}{}
	defer func() { <-t.turn }()
	t.over = max(t.over, below)
	t.started = t.started && t.session.ID >= t.over
}

// Settle says where a session ended: what its slots below the fence hold is
// committed and served from now on, the rest never is (H2). It applies to a
// session of an earlier life, and to the present one once it has been fenced. A
// session of that number with another nonce is another cluster's and is dropped.
// Nothing more is appended to the session.
func (t *Tier) Settle(s Session, fence uint64) {
	t.turn <- struct{}{}
	defer func() { <-t.turn }()
	if t.session.ID == s.ID {
		t.started = false
	}
	for _, g := range t.list() {
		if g.origin.session.ID != s.ID {
			continue
		}
		if g.origin.session.Nonce != s.Nonce {
			_ = t.Drop(g.id)
			continue
		}
		g.mu.Lock()
		if !g.settled || fence < g.limit {
			g.limit, g.settled, g.past, g.keep = fence, true, true, fence < g.next && !g.forgotten
		}
		g.mu.Unlock()
	}
}

// Leftover gives fn the slots of a session from the given one on, in order: what
// its fence cut off, for the broker to append anew (P2). fn gets all entries of a
// slot; one that is damaged has no Value. The values are valid until fn returns.
// After Forget there are none.
func (t *Tier) Leftover(session, from uint64, fn func(seq uint64, entries []Entry) error) error {
	for _, g := range t.list() {
		g.mu.RLock()
		over := g.forgotten
		g.mu.RUnlock()
		if g.origin.session.ID != session || over || !g.acquire() {
			continue
		}
		err := t.leftover(g, from, fn)
		t.release(g)
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *Tier) leftover(g *generation, from uint64, fn func(seq uint64, entries []Entry) error) error {
	type held struct {
		line
		partition record.Partition
	}
	var found []held
	g.mu.RLock()
	for p, all := range g.index {
		for _, l := range all {
			if g.first+uint64(l.slot) >= from {
				found = append(found, held{l, p})
			}
		}
	}
	g.mu.RUnlock()
	// Values lie in the order of slots, and of the entries of each.
	slices.SortFunc(found, func(a, b held) int { return cmp.Compare(a.pos, b.pos) })
	for len(found) > 0 {
		n := 1
		for n < len(found) && found[n].slot == found[0].slot {
			n++
		}
		entries := make([]Entry, n)
		for i, l := range found[:n] {
			v, err := g.value(l.partition, l.line)
			if err != nil {
				t.stats.damaged.Add(1)
			}
			entries[i] = Entry{Partition: l.partition, Base: l.base, Last: l.last(), Epoch: l.epoch, MaxTimestamp: l.maxTs, Value: v}
		}
		if err := fn(g.first+uint64(found[0].slot), entries); err != nil {
			return err
		}
		found = found[n:]
	}
	return nil
}

// Left returns the partitions of which Leftover has something, each once.
func (t *Tier) Left(session, from uint64) []record.Partition {
	seen := map[record.Partition]struct{}{}
	for _, g := range t.list() {
		g.mu.RLock()
		if g.origin.session.ID == session && !g.forgotten {
			for p, all := range g.index {
				if n := len(all); n > 0 && g.first+uint64(all[n-1].slot) >= from {
					seen[p] = struct{}{}
				}
			}
		}
		g.mu.RUnlock()
	}
	return slices.Collect(maps.Keys(seen))
}

// Forget says that the leftovers of a session are dealt with: what is left of it
// is a cache, in later lives as well. It blocks for some syncs when there were any.
func (t *Tier) Forget(session uint64) {
	for _, g := range t.list() {
		if g.origin.session.ID != session {
			continue
		}
		g.mu.Lock()
		useless := g.settled && g.limit <= g.first && g.state != filling
		left := !g.forgotten && g.limit < g.next
		g.keep, g.forgotten = false, true
		g.mu.Unlock()
		if !useless && left {
			if err := g.noteForgotten(); err != nil {
				t.log.Warn("hot tier generation is dropped, since a later start would restore what is lost", "generation", g.path, "error", err)
				useless = true
			}
		}
		if useless {
			_ = t.Drop(g.id)
		}
	}
}

// forgottenFile says that what a generation holds beyond its session's fence is dealt with.
const forgottenFile = "forgotten"

func (g *generation) noteForgotten() error {
	f, err := os.Create(filepath.Join(g.path, forgottenFile))
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close(), syncDir(g.path))
}
