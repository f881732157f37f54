// Package trace watches a store: every call, what it cost and how it ended.
package trace

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/firnlog/firn/tier/cold"
)

// Op is a method of a store.
type Op uint8

// The methods.
const (
	Put Op = iota
	Get
	Stat
	List
	Delete
	Ops // how many there are
)

// String is the op as a label of a metric.
func (o Op) String() string {
	return [...]string{"put", "get", "stat", "list", "delete", "unknown"}[min(o, Ops)]
}

// Outcome is how a call ended.
type Outcome uint8

// The outcomes: success, the definite answers, and the rest.
const (
	OK Outcome = iota
	Exists
	Conflict
	NotFound
	Denied
	Range
	NoBucket
	Unsupported
	Full
	Invalid  // the caller's name or body
	Canceled // the caller's context ended
	Unknown  // anything else: the request may have been applied
	Outcomes // how many there are
)

// String is the outcome as a label of a metric.
func (o Outcome) String() string {
	return [...]string{
		"ok", "exists", "conflict", "not_found", "denied", "range", "no_bucket", "unsupported", "full", "invalid", "canceled", "unknown", "?",
	}[min(o, Outcomes)]
}

// OutcomeOf sorts the error of a call.
func OutcomeOf(err error) Outcome {
	if err == nil {
		return OK
	}
	for _, known := range [...]struct {
		err error
		is  Outcome
	}{
		{cold.ErrExists, Exists},
		{cold.ErrConflict, Conflict},
		{cold.ErrNotFound, NotFound},
		{cold.ErrDenied, Denied},
		{cold.ErrRange, Range},
		{cold.ErrNoBucket, NoBucket},
		{cold.ErrUnsupported, Unsupported},
		{cold.ErrFull, Full},
		{cold.ErrName, Invalid},
		{cold.ErrBody, Invalid},
		{context.Canceled, Canceled},
		{context.DeadlineExceeded, Canceled},
	} {
		if errors.Is(err, known.err) {
			return known.is
		}
	}
	return Unknown
}

// Event is a call that has ended.
type Event struct {
	Op      Op
	Name    string     // of the object; the prefix of a List
	Range   cold.Range // of a Get
	Bytes   int64      // sent by a Put, received by a Get
	Objects int        // yielded by a List
	Took    time.Duration
	Outcome Outcome
	Err     error
}

// Observer is told of calls. It is called from many goroutines, must not block,
// and must not call the store.
type Observer interface {
	// Began is called before the store is.
	Began(Op)
	// Ended is called once for each Began. A listing ends with its loop.
	Ended(Event)
}

// Wrap returns the store with the observer watching.
func Wrap(s cold.Store, o Observer) cold.Store { return &watched{store: s, observer: o} }

type watched struct {
	store    cold.Store
	observer Observer
}

func (w *watched) begin(op Op) time.Time {
	w.observer.Began(op)
	return time.Now()
}

func (w *watched) end(start time.Time, e Event) {
	e.Took, e.Outcome = time.Since(start), OutcomeOf(e.Err)
	w.observer.Ended(e)
}

func (w *watched) PutIfAbsent(ctx context.Context, name string, body cold.Body) error {
	start := w.begin(Put)
	err := w.store.PutIfAbsent(ctx, name, body)
	w.end(start, Event{Op: Put, Name: name, Bytes: body.Size(), Err: err})
	return err
}

func (w *watched) Get(ctx context.Context, name string, r cold.Range, buf []byte) ([]byte, error) {
	start := w.begin(Get)
	got, err := w.store.Get(ctx, name, r, buf)
	w.end(start, Event{Op: Get, Name: name, Range: r, Bytes: int64(len(got) - len(buf)), Err: err})
	return got, err
}

func (w *watched) Stat(ctx context.Context, name string) (cold.Info, error) {
	start := w.begin(Stat)
	info, err := w.store.Stat(ctx, name)
	w.end(start, Event{Op: Stat, Name: name, Err: err})
	return info, err
}

func (w *watched) List(ctx context.Context, prefix, after string) iter.Seq2[cold.Info, error] {
	return func(yield func(cold.Info, error) bool) {
		e := Event{Op: List, Name: prefix}
		start := w.begin(List)
		defer func() { w.end(start, e) }() // also when the loop's body panics or returns
		for info, err := range w.store.List(ctx, prefix, after) {
			if err != nil {
				e.Err = err
			} else {
				e.Objects++
			}
			if !yield(info, err) {
				return
			}
		}
	}
}

func (w *watched) Delete(ctx context.Context, name string) error {
	start := w.begin(Delete)
	err := w.store.Delete(ctx, name)
	w.end(start, Event{Op: Delete, Name: name, Err: err})
	return err
}

// Close closes the store behind.
func (w *watched) Close() error { return cold.Close(w.store) }
