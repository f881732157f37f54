package main

import (
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/cold/trace"
)

// flushed counts what goes into the bucket from some moment on. It is a
// trace.Observer.
type flushed struct {
	on                     atomic.Bool
	wal, walBytes          atomic.Int64
	sealed, sealedBytes    atomic.Int64
	journal, everythingPut atomic.Int64
	pending                atomic.Int64 // bytes that brokers had when they left
}

func (f *flushed) watch(s cold.Store) cold.Store { return trace.Wrap(s, f) }

// left counts what a broker could not flush.
func (f *flushed) left(bytes int64) { f.pending.Add(bytes) }

// begin begins to count.
func (f *flushed) begin() { f.on.Store(true) }

// Began implements trace.Observer.
func (f *flushed) Began(trace.Op) {}

// Ended implements trace.Observer.
func (f *flushed) Ended(e trace.Event) {
	if e.Op != trace.Put || e.Outcome != trace.OK {
		return
	}
	f.everythingPut.Add(1)
	if !f.on.Load() {
		return
	}
	switch kind, _, _ := strings.Cut(e.Name, "/"); kind {
	case "wal":
		f.wal.Add(1)
		f.walBytes.Add(e.Bytes)
	case "seg", "idx":
		f.sealed.Add(1)
		f.sealedBytes.Add(e.Bytes)
	default:
		f.journal.Add(1)
	}
}

// String says what was flushed.
func (f *flushed) String() string {
	var parts []string
	add := func(n, bytes int64, what string) {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%s (%s)", counted(n, what), size(bytes)))
		}
	}
	add(f.wal.Load(), f.walBytes.Load(), "WAL object")
	add(f.sealed.Load(), f.sealedBytes.Load(), "sealed object")
	if n := f.journal.Load(); n > 0 {
		parts = append(parts, fmt.Sprintf("%d of the catalog", n))
	}
	if len(parts) == 0 {
		return "nothing was left to flush"
	}
	return "flushed " + strings.Join(parts, ", ")
}

// counted is "1 object" or "2 objects".
func counted(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// size is a number of bytes for people.
func size(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	f, exp := float64(n), -1
	for f >= unit && exp < 4 {
		f /= unit
		exp++
	}
	return fmt.Sprintf("%.1f %ciB", f, "KMGTP"[exp])
}
