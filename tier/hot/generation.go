package hot

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"
	badgeropts "github.com/dgraph-io/badger/v4/options"

	"github.com/firnlog/firn/record"
)

const (
	// memTable is Badger's memtable. It holds the slot tables, and a generation ends
	// before it is full: Sync would not reach one that has just become immutable.
	memTable = 16 << 20
	// memBudget is what a generation may put into its memtable.
	memBudget = memTable - 2<<20
	// memPerBatch is the most that a batch adds to it: its line of a slot table, the
	// head of a run, and what Badger adds to a slot of one batch. It also bounds the
	// index of a generation.
	memPerBatch = 72
	// lineBytes and partitionBytes are about what the index takes of the heap for each
	// batch, and for each partition of a generation.
	lineBytes      = 48
	partitionBytes = 128
	// largeTable is the size from which on Badger keeps a slot table in its value log,
	// at most 15 % of the memtable.
	largeTable = 1 << 20
	// valueOverhead is what the slot table adds to a value on disk.
	valueOverhead = entrySize
	// slotRoom is the largest slot that a generation takes beyond its target.
	slotRoom = 32 << 20
)

type genState uint8

const (
	filling genState = iota // slots are appended
	retired                 // complete; waits to be sealed
	sealed                  // its bytes are in the bucket in sealed form; a cache
)

// generation is one directory: a Badger with the slot tables, and the values beside
// it.
type generation struct {
	id     uint64 // ascending in the order of age, within one Tier
	origin origin
	seed   uint32
	path   string
	log    *slog.Logger

	refs   atomic.Int64 // one for the tier, one for each pin
	space  reservation  // used by the appender alone
	values *values

	mu      sync.RWMutex
	db      *badger.DB                  // nil when nothing is to be added any more; see cool
	index   map[record.Partition][]line // ordered by offset, and so by slot
	state   genState
	first   uint64 // first slot
	next    uint64 // slot behind the last
	limit   uint64 // slots below are readable (H2)
	settled bool   // limit is final
	past    bool   // its session has ended: what is below limit is committed
	keep    bool   // holds leftovers that nobody has replayed yet
	// forgotten says that its leftovers are dealt with: see forgottenFile.
	forgotten bool
	synced    uint64 // slots below are durable
	broken    error  // why nothing more is appended or synced
	bytes     int64  // of values
	disk      int64  // bytes and overhead: what counts against the quota
	batches   int
	memory    int64
	maxTs     int64
	opened    time.Time
	ended     time.Time
	gone      bool // no pins any more: dropped, or the tier is closed
	dropped   bool // to be removed when the last pin is released
}

// options are small: what Badger holds here is one slot table for each slot.
func options(path string, log *slog.Logger) badger.Options {
	o := badger.DefaultOptions(path)
	o.ValueThreshold = largeTable
	o.DetectConflicts = false
	o.Compression = badgeropts.None
	o.MemTableSize = memTable
	o.NumMemtables = 2
	o.ValueLogFileSize = memTable // more than the tables of a generation
	o.BlockCacheSize = 0
	o.IndexCacheSize = 0
	o.MetricsEnabled = false
	o.NumCompactors = 2
	o.CompactL0OnClose = false
	o.SyncWrites = false // it would only log an msync that failed; see Sync
	o.BypassLockGuard = true
	// Our own checksum says more (H1), but without Badger's a damaged length makes
	// it leave a file locked that Close then waits for.
	o.VerifyValueChecksum = true
	o.ChecksumVerificationMode = badgeropts.OnTableRead
	o.Logger = badgerLog{log}
	return o
}

// capacity is the address space for a generation's values: the target and the slot
// that passes it.
func capacity(target int64) int64 { return target + slotRoom }

// createGeneration makes the directory of a new, empty generation. It blocks for
// some ten milliseconds and is called ahead of need.
func createGeneration(root string, o origin, target int64, log *slog.Logger, now time.Time) (g *generation, err error) {
	g = &generation{
		origin: o, seed: o.seed(), path: filepath.Join(root, o.dir()), log: log, opened: now, maxTs: -1,
		limit: math.MaxUint64, settled: true, index: make(map[record.Partition][]line),
	}
	if err := os.RemoveAll(g.path); err != nil {
		return nil, fmt.Errorf("clear generation: %w", err)
	}
	if err := os.MkdirAll(g.path, 0o755); err != nil {
		return nil, fmt.Errorf("create generation: %w", err)
	}
	if g.db, err = openBadger(options(g.path, log)); err != nil {
		return nil, errors.Join(fmt.Errorf("create generation: %w", err), os.RemoveAll(g.path))
	}
	if g.values, err = createValues(g.path, capacity(target)); err == nil {
		err = g.space.open(g.path, g.values.f)
	}
	if err == nil {
		err = g.put(1, []byte{keyOrigin}, o.encode())
	}
	// Badger does not sync the directories that its new files are in.
	if err == nil {
		err = errors.Join(g.db.Sync(), syncDir(g.path), syncDir(root))
	}
	if err != nil {
		g.end(true)
		return nil, fmt.Errorf("create generation: %w", err)
	}
	g.refs.Store(1)
	return g, nil
}

// openBadger opens a database. Whatever it panics with becomes an error. Where there may
// not be enough descriptors it does not try: what Badger has when it runs out of them,
// descriptors, goroutines and memory, it keeps for ever, and there is an attempt a second.
func openBadger(o badger.Options) (db *badger.DB, err error) {
	if err := affords(descriptors); err != nil {
		return nil, err
	}
	defer guard(&err)()
	return badger.OpenManaged(o)
}

// descriptors is how many a generation may need while it is opened, and some more.
const descriptors = 16

// affords fails where so many descriptors cannot be had.
func affords(n int) error {
	var taken []*os.File
	defer func() {
		for _, f := range taken {
			_ = f.Close()
		}
	}()
	for range n {
		f, err := os.Open(os.DevNull)
		if err != nil {
			return err
		}
		taken = append(taken, f)
	}
	return nil
}

// guard turns a panic of Badger, or a fault on a mapped page that the disk
// cannot give, into an error of the function that defers the result.
func guard(err *error) func() {
	old := debug.SetPanicOnFault(true)
	return func() {
		if r := recover(); r != nil {
			*err = fmt.Errorf("%w: badger: %v", ErrDamaged, r)
		}
		debug.SetPanicOnFault(old)
	}
}

// put writes one key.
func (g *generation) put(version uint64, key, value []byte) (err error) {
	defer guard(&err)()
	txn := g.db.NewTransactionAt(math.MaxUint64, true)
	defer txn.Discard()
	if err := txn.Set(key, value); err != nil {
		return err
	}
	return txn.CommitAt(version, nil)
}

// admit adds a slot that is on disk to the index.
func (g *generation) admit(t table) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, r := range t.runs {
		lines := g.index[r.partition]
		g.index[r.partition] = append(lines, r.lines...)
		for _, l := range r.lines {
			g.bytes += int64(l.size)
			g.disk += int64(l.size) + valueOverhead
			g.batches++
			g.maxTs = max(g.maxTs, l.maxTs)
		}
	}
	g.next = t.seq + 1
}

// last is the last offset of the partition in this generation, -1 for none.
func (g *generation) last(p record.Partition) int64 {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if l := g.index[p]; len(l) > 0 {
		return l[len(l)-1].last()
	}
	return -1
}

// acquire pins the generation. It fails after it was dropped.
func (g *generation) acquire() bool {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if g.gone {
		return false
	}
	g.refs.Add(1)
	return true
}

// find returns the lines of a partition, and the position of the first that ends
// at or behind the offset. The lines are never changed, only added to.
func (g *generation) find(p record.Partition, offset int64) ([]line, int) {
	g.mu.RLock()
	lines, limit, first := g.index[p], g.limit, g.first
	g.mu.RUnlock()
	if limit <= first {
		return nil, 0
	}
	if n := len(lines); n > 0 && limit-first <= uint64(lines[n-1].slot) {
		end, _ := slices.BinarySearchFunc(lines, limit-first, func(l line, s uint64) int {
			if uint64(l.slot) < s {
				return -1
			}
			return 1
		})
		lines = lines[:end]
	}
	i, _ := slices.BinarySearchFunc(lines, offset, func(l line, o int64) int {
		if l.last() < o {
			return -1
		}
		return 1
	})
	return lines, i
}

// value returns the bytes of one line, checked (H1), for a caller that has pinned
// the generation. They stay valid until the pin is released (H4).
func (g *generation) value(p record.Partition, l line) (v []byte, err error) {
	defer guard(&err)()
	if v, err = g.values.at(int64(l.pos), int64(l.size)); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	seq := g.first + uint64(l.slot)
	if seal(g.seed, seq, l.pos, p, l.base, v) != l.crc {
		return nil, fmt.Errorf("%w: slot %d, offset %d of %s", ErrDamaged, seq, l.base, p)
	}
	return v, nil
}

// end closes the files. With remove it gives their room back, directory and all.
func (g *generation) end(remove bool) (err error) {
	defer guard(&err)()
	g.space.close()
	if g.values != nil {
		if remove { // first, since closing Badger would not return without room to write to
			_ = g.values.f.Truncate(0)
		}
		err = g.values.close()
	}
	if g.db != nil {
		err = errors.Join(err, closeBadger(g.path, g.db))
	}
	if remove {
		err = errors.Join(err, os.RemoveAll(g.path))
	}
	if err != nil {
		return fmt.Errorf("close generation: %w", err)
	}
	return nil
}

// closeBadger closes a database. Badger tries for ever to write its memtable out
// when the directory is gone.
func closeBadger(path string, db *badger.DB) (err error) {
	defer guard(&err)()
	if err := os.MkdirAll(path, 0o755); err != nil {
		return err
	}
	return errors.Join(db.Close(), noteTables(path))
}

func syncDir(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
