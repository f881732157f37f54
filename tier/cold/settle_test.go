package cold_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/cold/fault"
	"github.com/firnlog/firn/tier/cold/mem"
	"github.com/firnlog/firn/tier/cold/trace"
)

var (
	mine   = []byte("session 7, nonce abc")
	theirs = []byte("session 8, nonce xyz")
)

func isMine(existing []byte) bool { return bytes.Equal(existing, mine) }

func stored(t *testing.T, s cold.Store, name string) []byte {
	t.Helper()
	got, err := s.Get(t.Context(), name, cold.Whole, nil)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// settling runs a put against a plan in virtual time, and returns the calls that
// the store saw, how long it took, what is stored, and how the put ended.
func settling(t *testing.T, plan fault.Plan, before []byte) (calls string, took time.Duration, bucket *mem.Store, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		bucket = mem.New()
		if before != nil {
			if err := bucket.PutIfAbsent(t.Context(), "wal/7/0", cold.Bytes(before)); err != nil {
				t.Fatal(err)
			}
		}
		var seen trace.Recorder
		store := trace.Wrap(fault.Wrap(bucket, plan), &seen)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		err = cold.Settle(ctx, store, "wal/7/0", cold.Bytes(mine), isMine)
		took = time.Since(start)
		calls = seen.Take()
	})
	return calls, took, bucket, err
}

func TestSettleSendsUntilTheAnswerIsDefinite(t *testing.T) {
	const put, get, name = trace.Put, trace.Get, "wal/7/0"
	for what, c := range map[string]struct {
		before []byte
		plan   fault.Plan
		want   error
		calls  string
	}{
		"at once": {
			plan:  fault.Healthy,
			calls: "put wal/7/0 (20 bytes): ok\n",
		},
		"the request is lost": {
			plan:  fault.Script(fault.Step{Op: put, Times: 2, Fault: fault.Fault{Kind: fault.RequestLost}}),
			calls: "put wal/7/0 (20 bytes): unknown\nput wal/7/0 (20 bytes): unknown\nput wal/7/0 (20 bytes): ok\n",
		},
		"the answer is lost, and the object is its own": {
			plan:  fault.Script(fault.Step{Op: put, Fault: fault.Fault{Kind: fault.AnswerLost}}),
			calls: "put wal/7/0 (20 bytes): unknown\nput wal/7/0 (20 bytes): exists\nget wal/7/0 [whole] (20 bytes): ok\n",
		},
		"somebody was faster": {
			before: theirs,
			plan:   fault.Healthy,
			want:   cold.ErrExists,
			calls:  "put wal/7/0 (20 bytes): exists\nget wal/7/0 [whole] (20 bytes): ok\nget wal/7/0 [whole] (20 bytes): ok\n",
		},
		"a conflict decides nothing": {
			plan:  fault.Script(fault.Step{Op: put, Times: 3, Fault: fault.Fault{Kind: fault.Conflict}}),
			calls: "put wal/7/0 (20 bytes): conflict\nput wal/7/0 (20 bytes): conflict\nput wal/7/0 (20 bytes): conflict\nput wal/7/0 (20 bytes): ok\n",
		},
		"overload and lost permissions pass": {
			plan: fault.Script(
				fault.Step{Op: put, Fault: fault.Fault{Kind: fault.Unavailable}},
				fault.Step{Op: put, Fault: fault.Fault{Kind: fault.Denied}},
			),
			calls: "put wal/7/0 (20 bytes): unknown\nput wal/7/0 (20 bytes): denied\nput wal/7/0 (20 bytes): ok\n",
		},
		"one damaged read of its own object": {
			before: mine,
			plan:   fault.Script(fault.Step{Op: get, Fault: fault.Fault{Kind: fault.Corrupt, Seed: 5}}),
			calls:  "put wal/7/0 (20 bytes): exists\nget wal/7/0 [whole] (20 bytes): ok\nget wal/7/0 [whole] (20 bytes): ok\n",
		},
		"a refusal and a stale read of what refused": {
			before: mine,
			plan:   fault.Script(fault.Step{Op: get, Fault: fault.Fault{Kind: fault.Stale}}),
			calls:  "put wal/7/0 (20 bytes): exists\nget wal/7/0 [whole] (0 bytes): not_found\nput wal/7/0 (20 bytes): exists\nget wal/7/0 [whole] (20 bytes): ok\n",
		},
		"an attempt hangs": {
			plan:  fault.Script(fault.Step{Op: put, Fault: fault.Fault{Kind: fault.Hang}}),
			calls: "put wal/7/0 (20 bytes): canceled\nput wal/7/0 (20 bytes): ok\n",
		},
		"it lands after its attempt timed out": {
			plan:  fault.Script(fault.Step{Op: put, Fault: fault.Fault{After: 5 * time.Second}}),
			calls: "put wal/7/0 (20 bytes): canceled\nput wal/7/0 (20 bytes): exists\nget wal/7/0 [whole] (20 bytes): ok\n",
		},
	} {
		t.Run(what, func(t *testing.T) {
			calls, _, bucket, err := settling(t, c.plan, c.before)
			if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
				t.Errorf("ended with %v, want %v", err, c.want)
			}
			if calls != c.calls {
				t.Errorf("calls:\n%swant:\n%s", calls, c.calls)
			}
			if c.want == nil && !isMine(stored(t, bucket, name)) {
				t.Error("told that it is stored, and it is not")
			}
		})
	}
}

func TestSettleShowsWhatIsThere(t *testing.T) {
	_, _, _, err := settling(t, fault.Healthy, theirs)
	var taken *cold.TakenError
	if !errors.As(err, &taken) || !bytes.Equal(taken.Existing, theirs) || taken.Name != "wal/7/0" {
		t.Fatalf("%v", err)
	}
}

// The put may land at any time: whoever gave up must not say "failed" (S2).
func TestSettleNeverGivesUpBeforeItsContextAndIsUndecidedThen(t *testing.T) {
	for _, kind := range []fault.Kind{fault.RequestLost, fault.LandsLater, fault.Unavailable, fault.Denied, fault.Conflict, fault.Hang} {
		t.Run(kind.String(), func(t *testing.T) {
			_, took, _, err := settling(t, fault.Always(fault.Fault{Kind: kind}, trace.Put), nil)
			if !errors.Is(err, cold.ErrUndecided) || !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, cold.ErrExists) {
				t.Errorf("ended with %v", err)
			}
			if kind == fault.Denied && !errors.Is(err, cold.ErrDenied) {
				t.Errorf("does not say why: %v", err)
			}
			if took != time.Minute {
				t.Errorf("gave up after %v of a minute", took)
			}
		})
	}
}

func TestSettleBacksOff(t *testing.T) {
	calls, _, _, _ := settling(t, fault.Always(fault.Fault{Kind: fault.Unavailable}), nil)
	if n := bytes.Count([]byte(calls), []byte("\n")); n < 15 || n > 150 {
		t.Errorf("%d attempts in a minute of HTTP 503", n)
	}
}

// A timeout that is too short for the link is doubled, not repeated for ever.
func TestSettleGivesALargeBodyOnASlowLinkTheTimeItNeeds(t *testing.T) {
	calls, took, _, err := settling(t, fault.Always(fault.Fault{Before: 9 * time.Second}, trace.Put), nil)
	if err != nil {
		t.Fatalf("%v after\n%s", err, calls)
	}
	if took > 40*time.Second {
		t.Errorf("took %v", took)
	}
}

// So is one that is too short for reading what is there: the put is not decided before.
func TestSettleGivesTheReadOfWhatIsThereTheTimeItNeeds(t *testing.T) {
	calls, took, _, err := settling(t, fault.Always(fault.Fault{Before: 9 * time.Second}, trace.Get), mine)
	if err != nil {
		t.Fatalf("%v after\n%s", err, calls)
	}
	if took > 40*time.Second {
		t.Errorf("took %v", took)
	}
}

// unreachable is a bucket to which nothing gets through for a while. Who dials is told
// after two seconds that it took too long; who has a connection hears nothing on it, as
// long as he waits.
type unreachable struct {
	cold.Store
	until time.Time
	dead  bool // there are connections
}

func (s unreachable) PutIfAbsent(ctx context.Context, name string, body cold.Body) error {
	switch {
	case !time.Now().Before(s.until):
		return s.Store.PutIfAbsent(ctx, name, body)
	case !s.dead:
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
	}
	<-ctx.Done()
	return fmt.Errorf("put: %w", ctx.Err())
}

func (s unreachable) Get(ctx context.Context, name string, r cold.Range, buf []byte) ([]byte, error) {
	return s.Store.Get(ctx, name, r, buf)
}

func TestSettleOutlivesALongOutage(t *testing.T) {
	for _, dead := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			const outage = 10 * time.Minute
			start := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), 3*outage)
			defer cancel()
			bucket := unreachable{mem.New(), start.Add(outage), dead}
			if err := cold.Settle(ctx, bucket, "wal/7/0", cold.Bytes(mine), isMine); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(start); took > outage+16*time.Second {
				t.Errorf("the put took %v, the outage %v (with connections: %v)", took, outage, dead)
			}
		})
	}
}

func TestSettleReturnsIllegalNamesAndBrokenBodiesAtOnce(t *testing.T) {
	err := cold.Settle(t.Context(), mem.New(), "no//name", cold.Bytes(mine), isMine)
	if !errors.Is(err, cold.ErrName) || errors.Is(err, cold.ErrUndecided) {
		t.Errorf("%v", err)
	}
	missing, err := cold.File("settle_test.go")
	if err != nil {
		t.Fatal(err)
	}
	err = cold.Settle(t.Context(), mem.New(), "a", vanished{missing}, isMine)
	if !errors.Is(err, cold.ErrBody) || errors.Is(err, cold.ErrUndecided) {
		t.Errorf("%v", err)
	}
}

type vanished struct{ cold.Body }

func (v vanished) Size() int64 { return v.Body.Size() + 1 }

// S5: the worst of 400 puts, ten of which meet a slow request.
func TestHedgeBoundsTheTailOfASlowPut(t *testing.T) {
	for _, hedge := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var mu sync.Mutex
			var hedges int
			plan := func(c fault.Call) fault.Fault {
				// Each 40th put's first request is slow by a second and a half.
				var n int
				fmt.Sscanf(c.Name, "wal/7/%d", &n)
				if c.Op == trace.Put && c.Nth == 0 && n%40 == 39 {
					return fault.Fault{Before: 1500 * time.Millisecond}
				}
				return fault.Fault{Before: 20 * time.Millisecond}
			}
			bucket := mem.New()
			s := cold.NewSettler(fault.Wrap(bucket, plan), cold.SettlerOptions{Hedge: hedge, Observe: func(a cold.Attempt) {
				mu.Lock()
				defer mu.Unlock()
				if a.Hedge {
					hedges++
				}
			}})
			var worst time.Duration
			for n := range 400 {
				name := fmt.Sprintf("wal/7/%d", n)
				start := time.Now()
				if err := s.Put(t.Context(), name, cold.Bytes(mine), isMine); err != nil {
					t.Fatal(err)
				}
				worst = max(worst, time.Since(start))
			}
			switch {
			case !hedge && (worst < 1500*time.Millisecond || hedges > 0):
				t.Errorf("without hedging: worst %v, %d hedges", worst, hedges)
			case hedge && (worst > 100*time.Millisecond || hedges < 9 || hedges > 20):
				t.Errorf("with hedging: worst %v, %d hedges of 400 puts", worst, hedges)
			}
		})
	}
}

// brittle can be opened once.
type brittle struct {
	cold.Body
	opened atomic.Bool
}

func (b *brittle) Open() (io.ReadSeekCloser, error) {
	if b.opened.Swap(true) {
		return nil, errors.New("the file was moved away")
	}
	return b.Body.Open()
}

// S2, S3: that the hedge could not read the body decides nothing about the request beside it,
// which has no answer and lands later.
func TestAHedgeThatCannotBeSentDecidesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bucket := mem.New()
		faulty := fault.Wrap(bucket, fault.Always(fault.Fault{Before: 20 * time.Millisecond}))
		s := cold.NewSettler(faulty, cold.SettlerOptions{Hedge: true})
		for n := range 100 {
			if err := s.Put(t.Context(), fmt.Sprintf("a/%d", n), cold.Bytes(mine), isMine); err != nil {
				t.Fatal(err)
			}
		}
		var puts atomic.Int32
		faulty.Use(func(c fault.Call) (f fault.Fault) {
			if c.Op == trace.Put && puts.Add(1) == 1 {
				f = fault.Fault{Kind: fault.AnswerLost, After: time.Second}
			}
			return f
		})
		err := s.Put(t.Context(), "wal/7/0", &brittle{Body: cold.Bytes(mine)}, isMine)
		if _, there := bucket.Stat(t.Context(), "wal/7/0"); there != nil {
			t.Fatal("the request whose answer was lost did not land: the test tests nothing")
		}
		if !errors.Is(err, cold.ErrUndecided) {
			t.Errorf("%v: it is there", err)
		}
	})
}

// A store that has become slow altogether must not be asked twice for everything.
func TestHedgesHaveABudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		faulty := fault.Wrap(mem.New(), fault.Always(fault.Fault{Before: 20 * time.Millisecond}))
		var calls trace.Counts
		s := cold.NewSettler(trace.Wrap(faulty, &calls), cold.SettlerOptions{Hedge: true})
		puts := 0
		put := func(n int) {
			for range n {
				puts++
				if err := s.Put(t.Context(), fmt.Sprintf("a/%d", puts), cold.Bytes(mine), isMine); err != nil {
					t.Fatal(err)
				}
			}
		}
		put(100)
		faulty.Use(fault.Always(fault.Fault{Before: time.Second}))
		put(100)
		if extra := calls.Total(trace.Put) - int64(puts); extra > 10 {
			t.Errorf("%d hedges for 100 slow puts", extra)
		}
	})
}

// Of two settlers with different bodies one is told that it is stored, the other
// that it is not, whatever the network does to either (C1, S3).
func TestTwoSettlersNeverBothWin(t *testing.T) {
	odds := fault.Odds{
		Kinds: map[fault.Kind]float64{
			fault.RequestLost: 0.15, fault.AnswerLost: 0.2, fault.LandsLater: 0.15, fault.Conflict: 0.1, fault.Unavailable: 0.1,
			fault.Hang: 0.03, fault.Stale: 0.2, fault.Corrupt: 0.05, fault.Truncated: 0.05,
		},
		Slow: 0.3, Delay: 4 * time.Second, Landing: 30 * time.Second,
	}
	for seed := range uint64(60) {
		synctest.Test(t, func(t *testing.T) {
			bucket := mem.New()
			bodies := [][]byte{mine, theirs}
			answers := make([]error, 2)
			networks := make([]*fault.Store, 2)
			var both sync.WaitGroup
			for i := range bodies {
				networks[i] = fault.Wrap(bucket, fault.Seeded(seed*2+uint64(i), odds))
				s := cold.NewSettler(networks[i], cold.SettlerOptions{Hedge: true})
				both.Go(func() {
					answers[i] = s.Put(t.Context(), "wal/7/0", cold.Bytes(bodies[i]), func(b []byte) bool { return bytes.Equal(b, bodies[i]) })
				})
			}
			both.Wait()
			for i := range networks {
				networks[i].Wait()
			}
			there := stored(t, bucket, "wal/7/0")
			for i, err := range answers {
				won := bytes.Equal(there, bodies[i])
				if won && err != nil || !won && !errors.Is(err, cold.ErrExists) {
					t.Errorf("seed %d: %q is stored, and the settler of %q was told %v", seed, there, bodies[i], err)
				}
			}
		})
	}
}
