package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/firnlog/firn/catalog/journal"
	"github.com/firnlog/firn/tier/cold"
)

// bucket is the store: what lies in it, and how badly it is reached.
type bucket struct {
	w       *world
	objects map[string]stored
	outage  time.Time // until then nothing is answered well
}

type stored struct {
	data []byte
	at   time.Time
}

var (
	errTimeout = fmt.Errorf("no answer: %w", context.DeadlineExceeded)
	errSlow    = errors.New("503 slow down")
	errDown    = errors.New("connection reset")
)

// refused is an answer of the bucket, put into words when somebody reads them.
type refused struct {
	what, name string
	why        error
}

func (r *refused) Error() string { return r.what + " " + r.name + ": " + r.why.Error() }

func (r *refused) Unwrap() error { return r.why }

// fate is what becomes of one request.
type fate struct {
	there, back time.Duration
	lost        bool  // the request
	silent      bool  // the answer is lost
	refused     error // answered at once, and nothing was done
}

// timeout is how long a broker waits for an answer.
const timeout = 5 * time.Second

func (b *bucket) fate(p *node, put bool) fate {
	w := b.w
	f := fate{there: w.lag(), back: w.lag()}
	if w.healed {
		return f
	}
	if w.now.Before(b.outage) || w.now.Before(p.cut) {
		switch w.rng.IntN(4) {
		case 0:
			f.refused = errSlow
		case 1:
			f.refused = errDown
		case 2:
			f.lost = true
		default: // it gets through, and nobody hears of it, or late
			f.silent = true
			f.there += time.Duration(w.rng.Int64N(int64(90 * time.Second)))
		}
		return f
	}
	if !w.chance(w.trouble) {
		return f
	}
	w.count("store faults")
	switch k := w.rng.IntN(6); {
	case k == 0:
		f.lost = true
	case k == 1:
		f.silent = true
	case k == 2 && put:
		f.refused = cold.ErrConflict
	case k == 3:
		f.refused = errSlow
	case k == 4: // slow
		f.there += time.Duration(w.rng.Int64N(int64(3 * time.Second)))
	default: // given up, and it lands minutes later
		f.silent = true
		f.there += time.Duration(w.rng.Int64N(int64(3 * time.Minute)))
	}
	return f
}

// link is the bucket as one life of a broker sees it: every request is a wait.
type link struct {
	*bucket
	n *node
}

// ask lets do happen in the bucket some time, and returns its error, or why there is
// none.
func (l link) ask(ctx context.Context, put bool, do func() error) error {
	f := l.fate(l.n, put)
	w, p := l.w, l.n.process
	answered := false
	var answer error
	tell := func(d time.Duration, err error) {
		w.after(d, p, func() {
			if !answered {
				answered, answer = true, err
			}
		})
	}
	switch {
	case f.refused != nil:
		tell(f.there+f.back, f.refused)
	default:
		if !f.lost {
			w.after(f.there, nil, func() {
				err := do()
				if !f.silent {
					tell(f.back, err)
				}
			})
		}
		tell(timeout, errTimeout)
	}
	if err := p.Wait(ctx, func() bool { return answered }); err != nil {
		return err
	}
	return answer
}

// PutIfAbsent implements cold.Store.
func (l link) PutIfAbsent(ctx context.Context, name string, body cold.Body) error {
	data, err := read(body)
	if err != nil {
		return err
	}
	if strings.HasPrefix(name, journal.PrefixSnapshots) { // before what that makes garbage is deleted
		l.w.beside(l.n)
	}
	return l.ask(ctx, true, func() error { return l.put(name, data) })
}

func read(body cold.Body) ([]byte, error) {
	r, err := body.Open()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", cold.ErrBody, err)
	}
	defer r.Close()
	data := make([]byte, body.Size())
	_, err = io.ReadFull(r, data)
	return data, err
}

func (b *bucket) put(name string, data []byte) error {
	if _, taken := b.objects[name]; taken {
		return &refused{"put", name, cold.ErrExists}
	}
	b.objects[name] = stored{data, b.w.now}
	if strings.HasPrefix(name, journal.PrefixEntries) {
		b.w.agreed(name)
	}
	return nil
}

// Get implements cold.Store.
func (l link) Get(ctx context.Context, name string, r cold.Range, buf []byte) (out []byte, err error) {
	err = l.ask(ctx, false, func() (err error) {
		out, err = l.bucket.get(name, r)
		return err
	})
	if err != nil {
		return buf, err
	}
	return append(buf, out...), nil
}

func (b *bucket) get(name string, r cold.Range) ([]byte, error) {
	o, ok := b.objects[name]
	if !ok {
		return nil, &refused{"get", name, cold.ErrNotFound}
	}
	at, n, err := r.Within(int64(len(o.data)))
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", name, err)
	}
	return o.data[at : at+n], nil
}

// Stat implements cold.Store.
func (l link) Stat(ctx context.Context, name string) (info cold.Info, err error) {
	err = l.ask(ctx, false, func() (err error) {
		info, err = l.bucket.stat(name)
		return err
	})
	return info, err
}

func (b *bucket) stat(name string) (cold.Info, error) {
	o, ok := b.objects[name]
	if !ok {
		return cold.Info{}, &refused{"stat", name, cold.ErrNotFound}
	}
	return cold.Info{Name: name, Size: int64(len(o.data)), Modified: o.at}, nil
}

// List implements cold.Store. Some listings lack what is new: they are hints.
func (l link) List(ctx context.Context, prefix, after string) iter.Seq2[cold.Info, error] {
	return func(yield func(cold.Info, error) bool) {
		var out []cold.Info
		err := l.ask(ctx, false, func() error {
			out = l.list(prefix, after)
			if !l.w.healed && len(out) > 0 && l.w.rng.IntN(10) == 0 {
				out = slices.Delete(out, l.w.rng.IntN(len(out)), len(out))
			}
			return nil
		})
		if err != nil {
			yield(cold.Info{}, err)
			return
		}
		for _, i := range out {
			if !yield(i, nil) {
				return
			}
		}
	}
}

func (b *bucket) list(prefix, after string) []cold.Info {
	var out []cold.Info
	for name, o := range b.objects {
		if strings.HasPrefix(name, prefix) && name > after {
			out = append(out, cold.Info{Name: name, Size: int64(len(o.data)), Modified: o.at})
		}
	}
	slices.SortFunc(out, func(a, b cold.Info) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// Delete implements cold.Store.
func (l link) Delete(ctx context.Context, name string) error {
	return l.ask(ctx, false, func() error {
		l.w.count("deletes")
		delete(l.objects, name)
		return nil
	})
}

// still is the bucket without waits, for code that reads on goroutines of its own:
// what it reads is immutable, and only whether it answers changes.
type still struct {
	*bucket
	n *node // nil: always answers
}

func (s still) away() error {
	if s.n != nil && !s.w.healed && (s.w.now.Before(s.outage) || s.w.now.Before(s.n.cut)) {
		return errDown
	}
	return nil
}

// PutIfAbsent implements cold.Store.
func (s still) PutIfAbsent(ctx context.Context, name string, body cold.Body) error {
	return link(s).PutIfAbsent(ctx, name, body)
}

// Get implements cold.Store.
func (s still) Get(_ context.Context, name string, r cold.Range, buf []byte) ([]byte, error) {
	if err := s.away(); err != nil {
		return buf, err
	}
	out, err := s.get(name, r)
	return append(buf, out...), err
}

// Stat implements cold.Store.
func (s still) Stat(_ context.Context, name string) (cold.Info, error) {
	if err := s.away(); err != nil {
		return cold.Info{}, err
	}
	return s.stat(name)
}

// List implements cold.Store.
func (s still) List(_ context.Context, prefix, after string) iter.Seq2[cold.Info, error] {
	return func(yield func(cold.Info, error) bool) {
		for _, i := range s.list(prefix, after) {
			if !yield(i, nil) {
				return
			}
		}
	}
}

// Delete implements cold.Store.
func (s still) Delete(ctx context.Context, name string) error { return link(s).Delete(ctx, name) }
