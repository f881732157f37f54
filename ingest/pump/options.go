package pump

import (
	"context"
	"log/slog"
	"time"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/ingest"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/hot"
)

// Options are a Pump's parts and settings. Store and Catalog must be given.
type Options struct {
	Store    cold.Store
	Settler  *cold.Settler // of Store; nil makes one that does not hedge
	Catalog  Catalog
	Hot      Hot      // nil: acks=1 waits for the bucket
	Tail     Tail     // nil: nothing is cached
	Observer Observer // nil: nobody looks
	Logger   *slog.Logger
	Ingest   ingest.Config

	// Behind is how many committed slots may be undescribed by the catalog before
	// Uncovered says so. Default 128: a fencer reads that many footers, in parallel, in
	// a tenth of a second, and the entry that describes them is one put in 128.
	Behind uint64
	// BehindRuns is how many runs in committed slots may be undescribed before
	// Uncovered says so: with ten thousand active partitions a slot has as many.
	// Default 65,536: some megabytes of memory and of journal.
	BehindRuns int
	// HotBacklog is how much memory may wait for the hot tier before slots pass it
	// by. Default 64 MiB.
	HotBacklog int64
	// Wall is the time by the calendar, by which producers expire. It must not block.
	// Default: the clock's.
	Wall func() time.Time
	// Stage is where simulations run it; nil for goroutines and the clock.
	Stage Stage
}

func (o Options) defaults() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Observer == nil {
		o.Observer = Unobserved{}
	}
	if o.Settler == nil {
		o.Settler = cold.NewSettler(o.Store, cold.SettlerOptions{})
	}
	if o.Behind == 0 {
		o.Behind = 128
	}
	if o.BehindRuns <= 0 {
		o.BehindRuns = 1 << 16
	}
	if o.HotBacklog <= 0 {
		o.HotBacklog = 64 << 20
	}
	return o
}

// Catalog is the agreed state and the way to change it; catalog/journal is one.
type Catalog interface {
	// State is the state as this broker knows it. It does not block.
	State() *catalog.State
	// Commit proposes commands in one entry and returns what became of each when
	// they are durable and in State. After an error they may still be committed.
	Commit(ctx context.Context, cmds ...catalog.Command) ([]catalog.Result, error)
}

// Hot is the hot tier. Calls come from one goroutine for StartSession and Append
// and another one for Sync, and may block for as long as a disk does.
type Hot interface {
	StartSession(s hot.Session, first uint64) error
	// Append takes all batches of a slot or none. It keeps no reference to them.
	Append(slot hot.Slot, entries []hot.Entry) error
	// Sync makes an appended slot survive the loss of power.
	Sync(slot hot.Slot) error
}

// Batch is one committed batch, for the tail cache.
type Batch struct {
	Base, Next   int64
	Epoch        int32
	MaxTimestamp int64
	Bytes        []byte
	Frame        Frame // what Bytes lies in
}

// Tail is the tail cache: the newest committed batches, in memory.
type Tail interface {
	// Add takes consecutive committed batches of one partition. What it keeps, it
	// retains the Frame of. It must not block, nor keep the slice.
	Add(p record.Partition, batches []Batch)
}

// Frame is a buffer that is shared by reference. Both methods may be called from
// any goroutine.
type Frame interface {
	Retain()
	Release()
}

// Observer is told what happens, for metrics. Its methods are called by the loop
// and must not block.
type Observer interface {
	// Committed reports a slot that was committed: its records, bytes and
	// batches, and how long it took from its first batch on.
	Committed(records, bytes int64, batches int, took time.Duration)
	// Put reports a slot whose outcome is known: the bytes of the object, and how
	// long it took in all. The Settler's Observe tells of each attempt.
	Put(outcome ingest.Outcome, bytes int64, took time.Duration)
	// Pending reports what waits for the bucket: bytes, and the age of the oldest.
	Pending(bytes int64, oldest time.Duration)
	// HotSkipped reports a slot that the hot tier did not take.
	HotSkipped(bytes int64, err error)
	// Lost reports records acknowledged by acks=1 that a fence has cut off. They are
	// gone unless the hot tier of this broker is restarted in time (P2).
	Lost(records int64)
}

// Unobserved is an Observer that ignores everything.
type Unobserved struct{}

// Committed does nothing.
func (Unobserved) Committed(int64, int64, int, time.Duration) {}

// Put does nothing.
func (Unobserved) Put(ingest.Outcome, int64, time.Duration) {}

// Pending does nothing.
func (Unobserved) Pending(int64, time.Duration) {}

// HotSkipped does nothing.
func (Unobserved) HotSkipped(int64, error) {}

// Lost does nothing.
func (Unobserved) Lost(int64) {}
