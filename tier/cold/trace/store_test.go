package trace_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/cold/coldtest"
	"github.com/firnlog/firn/tier/cold/fault"
	"github.com/firnlog/firn/tier/cold/mem"
	"github.com/firnlog/firn/tier/cold/trace"
)

func TestAWatchedStoreIsAStore(t *testing.T) {
	coldtest.Acceptance(t, func(t *testing.T) func() cold.Store {
		s := mem.New()
		var counts trace.Counts
		t.Cleanup(func() {
			for op := range trace.Ops {
				if n := counts.InFlight(op); n != 0 {
					t.Errorf("%d calls of %s have not ended", n, op)
				}
			}
		})
		return func() cold.Store { return trace.Wrap(s, &counts) }
	})
}

// The transcript of a session is what golden tests of other packages look like.
func TestTranscript(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lines trace.Recorder
		var counts trace.Counts
		slow := fault.Wrap(mem.New(), func(c fault.Call) fault.Fault {
			f := fault.Fault{Before: time.Second}
			if c.Op == trace.Delete {
				f.Kind = fault.Unavailable
			}
			return f
		})
		s := trace.Wrap(slow, trace.Both(&lines, &counts))
		ctx := t.Context()
		_ = s.PutIfAbsent(ctx, "wal/1/0", cold.Bytes([]byte("hello"), []byte("firn")))
		_ = s.PutIfAbsent(ctx, "wal/1/0", cold.Bytes([]byte("x")))
		_, _ = s.Get(ctx, "wal/1/0", cold.Range{Offset: 5, Length: 2}, nil)
		_, _ = s.Get(ctx, "wal/1/0", cold.Tail(4), nil)
		_, _ = s.Get(ctx, "wal/1/1", cold.Whole, nil)
		_, _ = s.Stat(ctx, "wal/1/0")
		for range s.List(ctx, "wal/", "") {
		}
		_ = s.Delete(ctx, "wal/1/0")
		short, cancel := context.WithTimeout(ctx, time.Millisecond)
		defer cancel()
		_ = s.PutIfAbsent(short, "wal/1/1", cold.Bytes([]byte("x")))
		const want = `put wal/1/0 (9 bytes): ok
put wal/1/0 (1 bytes): exists
get wal/1/0 [5+2] (2 bytes): ok
get wal/1/0 [last 4] (4 bytes): ok
get wal/1/1 [whole] (0 bytes): not_found
stat wal/1/0: ok
list wal/ (1 objects): ok
delete wal/1/0: unknown
put wal/1/1 (1 bytes): canceled
`
		if got := lines.Take(); got != want {
			t.Errorf("transcript:\n%swant:\n%s", got, want)
		}
		if counts.Took(trace.Get, trace.OK) != 2*time.Second || counts.Bytes(trace.Get, trace.OK) != 6 || counts.Total(trace.Put) != 3 {
			t.Errorf("counts:\n%s", &counts)
		}
	})
}

// A metric must not call an unknown answer a definite one (C2), nor the reverse.
func TestOutcomesAgreeWithDefinite(t *testing.T) {
	for err, want := range map[error]trace.Outcome{
		nil:                 trace.OK,
		cold.ErrExists:      trace.Exists,
		cold.ErrConflict:    trace.Conflict,
		cold.ErrNotFound:    trace.NotFound,
		cold.ErrDenied:      trace.Denied,
		cold.ErrRange:       trace.Range,
		cold.ErrNoBucket:    trace.NoBucket,
		cold.ErrUnsupported: trace.Unsupported,
		cold.ErrFull:        trace.Full,
		cold.ErrName:        trace.Invalid,
		cold.ErrBody:        trace.Invalid,
		context.Canceled:    trace.Canceled,
		cold.ErrGarbled:     trace.Unknown,
		errors.New("reset"): trace.Unknown,
	} {
		wrapped := err
		if err != nil {
			wrapped = fmt.Errorf("put: %w", err)
		}
		got := trace.OutcomeOf(wrapped)
		if got != want {
			t.Errorf("%v is %s, want %s", err, got, want)
		}
		if definite := got != trace.Unknown && got != trace.Canceled; definite != cold.Definite(wrapped) {
			t.Errorf("%v: outcome %s, and definite is %v", err, got, cold.Definite(wrapped))
		}
	}
}

func TestEveryOpAndOutcomeHasItsName(t *testing.T) {
	seen := make(map[string]bool)
	for o := range trace.Outcomes {
		if seen[o.String()] || o.String() == "?" {
			t.Errorf("outcome %d is %q", o, o)
		}
		seen[o.String()] = true
	}
	for op := range trace.Ops {
		if op.String() == "unknown" {
			t.Errorf("op %d has no name", op)
		}
	}
}
