package doctor

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	mathrand "math/rand/v2"
	"sync"
	"time"

	"github.com/firnlog/firn/tier/cold"
)

// Options are for Examine. The zero value is a full examination.
type Options struct {
	// Quick is the form for the start of a broker: the same checks with fewer
	// repetitions, about 250 puts instead of 3,600. Well below a second on a local
	// store, a few seconds where a put takes 100 ms.
	Quick bool
	// Nonce makes the names of this probe's objects its own. Default: random.
	Nonce string
	// Others are further clients of the same bucket, through other connections or
	// other endpoints of the store, which take part in the races.
	Others []cold.Store
	// Progress, when not nil, is told of each check as it ends.
	Progress func(Check)
}

// Prefix is what the names of all probe objects start with.
const Prefix = "doctor/"

// Examine tries what Firn expects of a store. It always returns a report; that the
// context ended is a check that was not reached.
func Examine(ctx context.Context, store cold.Store, o Options) Report {
	if o.Nonce == "" {
		var nonce [12]byte
		rand.Read(nonce[:])
		o.Nonce = hex.EncodeToString(nonce[:])
	}
	p := &patient{store: store, options: o, puts: make(map[string]record)}
	p.noise = noise(o.Nonce, p.times(3<<20+1, 8<<20)) // the largest body, and one more byte
	start := time.Now()
	p.examine(ctx)
	p.cleanUp(ctx)
	p.report.Took = time.Since(start)
	p.report.conclude()
	return p.report
}

func (p *patient) examine(ctx context.Context) {
	if !p.permissions(ctx) {
		return // nothing else would tell more
	}
	p.rules(ctx)
	p.refusesSecondPut(ctx)
	p.storesWhole(ctx)
	p.readsAfterWrite(ctx)
	p.listsAfterWrite(ctx)
	p.readsRanges(ctx)
	p.createsAfterDelete(ctx)
	p.oneWinner(ctx)
	p.clock(ctx)
	p.latency(ctx)
	p.keepsEverything(ctx)
}

// patient is a store under examination.
type patient struct {
	store   cold.Store
	options Options
	noise   []byte // bytes that nothing compresses or repeats
	report  Report

	mu   sync.Mutex
	puts map[string]record // objects that the store said it has created, until deleted
}

type record struct {
	size int64
	sum  uint32 // CRC-32C of the bytes
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func noise(nonce string, n int) []byte {
	var seed [32]byte
	copy(seed[:], nonce)
	b := make([]byte, n)
	mathrand.NewChaCha8(seed).Read(b)
	return b
}

func (p *patient) name(format string, args ...any) string {
	return Prefix + p.options.Nonce + "/" + fmt.Sprintf(format, args...)
}

// times is the number of repetitions.
func (p *patient) times(quick, full int) int {
	if p.options.Quick {
		return quick
	}
	return full
}

func (p *patient) add(c Check) {
	if c.OK {
		c.Severity, c.Advice = Info, ""
	}
	c.Promise = promises[c.Name]
	p.report.Checks = append(p.report.Checks, c)
	if p.options.Progress != nil {
		p.options.Progress(c)
	}
}

func (p *patient) pass(name, detail string, figures ...Figure) {
	p.add(Check{Name: name, OK: true, Detail: detail, Figures: figures})
}

func (p *patient) fail(name string, s Severity, detail, advice string) {
	p.add(Check{Name: name, Severity: s, Detail: detail, Advice: advice})
}

// unreached records that the store did not answer definitely (D2).
func (p *patient) unreached(name string, err error) {
	p.fail(name, Unreached, "no definite answer: "+err.Error(), "Nothing is known yet. Is the endpoint right and reachable? Try again.")
}

// attemptLimit is for one request, so that a store that swallows requests does
// not swallow the examination.
const attemptLimit = 30 * time.Second

// tries is how often an unknown answer is asked again, with pauses between.
const tries = 4

// persist repeats an attempt until its answer is definite and decides something,
// a few times at most. Before is the answer of the attempt before, nil at first.
func persist(ctx context.Context, attempt func(ctx context.Context, before error) error) error {
	var last error
	for n := range tries {
		if n > 0 && pause(ctx, 100*time.Millisecond<<(2*n-2)) != nil {
			break
		}
		limited, cancel := context.WithTimeout(ctx, attemptLimit)
		err := attempt(limited, last)
		cancel()
		if cold.Definite(err) && !errors.Is(err, cold.ErrConflict) {
			return err
		}
		last = err
	}
	return last
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// put creates an object and remembers it. When an answer was unknown, the refusal
// of the next attempt may be its own object's: then it looks.
func (p *patient) put(ctx context.Context, name string, segments ...[]byte) error {
	err := persist(ctx, func(ctx context.Context, before error) error {
		err := p.store.PutIfAbsent(ctx, name, cold.Bytes(segments...))
		if before == nil || !errors.Is(err, cold.ErrExists) {
			return err
		}
		got, read := p.store.Get(ctx, name, cold.Whole, nil)
		switch {
		case read != nil:
			return fmt.Errorf("%v after an answer was lost (%w), and then: %v", err, before, read) // unknown still
		case equal(got, segments):
			return nil
		}
		return err
	})
	if err == nil {
		p.remember(name, segments...)
	}
	return err
}

func (p *patient) remember(name string, segments ...[]byte) {
	var r record
	for _, s := range segments {
		r.size += int64(len(s))
		r.sum = crc32.Update(r.sum, castagnoli, s)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.puts[name] = r
}

func (p *patient) get(ctx context.Context, name string, r cold.Range) (got []byte, err error) {
	err = persist(ctx, func(ctx context.Context, _ error) error {
		var err error
		got, err = p.store.Get(ctx, name, r, nil)
		return err
	})
	return got, err
}

func (p *patient) delete(ctx context.Context, name string) error {
	err := persist(ctx, func(ctx context.Context, _ error) error { return p.store.Delete(ctx, name) })
	if err == nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.puts, name)
	}
	return err
}

func (p *patient) list(ctx context.Context, prefix string) (found map[string]int64, err error) {
	err = persist(ctx, func(ctx context.Context, _ error) error {
		found = make(map[string]int64)
		for info, err := range p.store.List(ctx, prefix, "") {
			if err != nil {
				return err
			}
			found[info.Name] = info.Size
		}
		return nil
	})
	return found, err
}

// equal compares without joining the segments.
func equal(got []byte, segments [][]byte) bool {
	for _, s := range segments {
		if len(got) < len(s) || string(got[:len(s)]) != string(s) {
			return false
		}
		got = got[len(s):]
	}
	return len(got) == 0
}

// each runs work for every i below n, up to 16 at a time.
func each(n int, work func(i int)) {
	var all sync.WaitGroup
	slots := make(chan struct{}, 16)
	for i := range n {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			work(i)
		})
	}
	all.Wait()
}
