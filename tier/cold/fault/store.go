package fault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/cold/trace"
)

// The unknown answers of a Store.
var (
	ErrLost        = errors.New("connection reset by peer (planned)")
	ErrUnavailable = errors.New("HTTP 503 SlowDown: please reduce your request rate (planned)")
)

// Store is a sound store behind a bad network.
type Store struct {
	inner cold.Store

	mu      sync.Mutex
	plan    Plan
	seen    map[Call]int // with Nth 0
	late    []*landing
	landing sync.WaitGroup // puts that land by themselves
}

// landing is a put that is still on its way after its sender was told nothing.
type landing struct {
	name string
	data []byte
}

// Wrap puts the plan before the store.
func Wrap(inner cold.Store, plan Plan) *Store {
	return &Store{inner: inner, plan: plan, seen: make(map[Call]int)}
}

// Use changes the plan: the store goes away, and comes back.
func (s *Store) Use(plan Plan) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.plan = plan
}

// Late returns the names of the puts that wait for Land, oldest first.
func (s *Store) Late() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := make([]string, len(s.late))
	for i, l := range s.late {
		names[i] = l.name
	}
	return names
}

// Land lets the oldest late put of the name arrive, and returns what the store
// then answers, which its sender never hears. It is ErrNotFound when none is late.
func (s *Store) Land(ctx context.Context, name string) error {
	s.mu.Lock()
	var found *landing
	for i, l := range s.late {
		if l.name == name {
			found = l
			s.late = append(s.late[:i:i], s.late[i+1:]...)
			break
		}
	}
	s.mu.Unlock()
	if found == nil {
		return fmt.Errorf("land %s: %w", name, cold.ErrNotFound)
	}
	return s.inner.PutIfAbsent(ctx, name, cold.Bytes(found.data))
}

// Wait returns when every put that lands by itself has landed.
func (s *Store) Wait() { s.landing.Wait() }

// Close closes the store behind.
func (s *Store) Close() error { return cold.Close(s.inner) }

func (s *Store) decide(op trace.Op, name string) Fault {
	c := Call{Op: op, Name: name}
	s.mu.Lock()
	c.Nth = s.seen[c]
	s.seen[Call{Op: op, Name: name}]++
	plan := s.plan
	s.mu.Unlock()
	f := plan(c)
	if !f.Kind.applies(op) {
		f.Kind = None
	}
	return f
}

// arrive takes the time that a request takes, and refuses it if the fault is one
// of those that every operation knows.
func (f Fault) arrive(ctx context.Context) error {
	if err := pause(ctx, f.Before); err != nil {
		return err
	}
	switch f.Kind {
	case RequestLost:
		return ErrLost
	case Unavailable:
		return ErrUnavailable
	case Denied:
		return fmt.Errorf("%w (planned)", cold.ErrDenied)
	case Hang:
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

// pause waits for d or the end of the context.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// PutIfAbsent implements cold.Store.
func (s *Store) PutIfAbsent(ctx context.Context, name string, body cold.Body) error {
	f := s.decide(trace.Put, name)
	if err := s.put(ctx, f, name, body); err != nil {
		return fmt.Errorf("put %s: %w", name, err)
	}
	return nil
}

func (s *Store) put(ctx context.Context, f Fault, name string, body cold.Body) error {
	if err := f.arrive(ctx); err != nil {
		return err
	}
	switch f.Kind {
	case Conflict:
		return fmt.Errorf("%w (planned)", cold.ErrConflict)
	case LandsLater:
		if err := s.keep(ctx, f, name, body); err != nil {
			return err
		}
		return errors.Join(ErrLost, pause(ctx, f.After))
	}
	err := s.inner.PutIfAbsent(ctx, name, body)
	if late := pause(ctx, f.After); late != nil {
		return late // applied, but nobody waited for the answer
	}
	if f.Kind == AnswerLost {
		return ErrLost
	}
	return err
}

// keep copies the body, which its sender may overwrite as soon as it is told.
func (s *Store) keep(ctx context.Context, f Fault, name string, body cold.Body) error {
	r, err := body.Open()
	if err != nil {
		return fmt.Errorf("%w: %w", cold.ErrBody, err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		return fmt.Errorf("%w: %w", cold.ErrBody, err)
	}
	if f.Landing <= 0 {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.late = append(s.late, &landing{name: name, data: data})
		return nil
	}
	after := context.WithoutCancel(ctx)
	s.landing.Go(func() {
		_ = pause(after, f.Landing)
		_ = s.inner.PutIfAbsent(after, name, cold.Bytes(data))
	})
	return nil
}

// Get implements cold.Store.
func (s *Store) Get(ctx context.Context, name string, r cold.Range, buf []byte) ([]byte, error) {
	f := s.decide(trace.Get, name)
	got, err := s.get(ctx, f, name, r, buf)
	if err != nil {
		return buf, fmt.Errorf("get %s: %w", name, err)
	}
	return got, nil
}

func (s *Store) get(ctx context.Context, f Fault, name string, r cold.Range, buf []byte) ([]byte, error) {
	if err := f.arrive(ctx); err != nil {
		return nil, err
	}
	if f.Kind == Stale {
		return nil, fmt.Errorf("%w (planned)", cold.ErrNotFound)
	}
	got, err := s.inner.Get(ctx, name, r, buf)
	if err != nil {
		return nil, err
	}
	if n := uint64(len(got) - len(buf)); n > 0 {
		switch f.Kind {
		case Truncated:
			got = got[:len(got)-1-int(f.Seed%n)]
		case Corrupt:
			got[len(buf)+int(f.Seed%n)] ^= 1 << (f.Seed >> 32 % 8)
		}
	}
	return got, pause(ctx, f.After)
}

// Stat implements cold.Store.
func (s *Store) Stat(ctx context.Context, name string) (cold.Info, error) {
	f := s.decide(trace.Stat, name)
	err := f.arrive(ctx)
	if err == nil && f.Kind == Stale {
		err = fmt.Errorf("%w (planned)", cold.ErrNotFound)
	}
	if err != nil {
		return cold.Info{}, fmt.Errorf("stat %s: %w", name, err)
	}
	info, err := s.inner.Stat(ctx, name)
	if err != nil {
		return cold.Info{}, err
	}
	return info, pause(ctx, f.After)
}

// List implements cold.Store.
func (s *Store) List(ctx context.Context, prefix, after string) iter.Seq2[cold.Info, error] {
	return func(yield func(cold.Info, error) bool) {
		f := s.decide(trace.List, prefix)
		if err := f.arrive(ctx); err != nil {
			yield(cold.Info{}, fmt.Errorf("list %s: %w", prefix, err))
			return
		}
		if f.Kind == None {
			s.inner.List(ctx, prefix, after)(yield)
			return
		}
		var all []cold.Info
		for info, err := range s.inner.List(ctx, prefix, after) {
			if err != nil {
				yield(cold.Info{}, err)
				return
			}
			all = append(all, info)
		}
		for _, info := range f.garble(all) {
			if !yield(info, nil) {
				return
			}
		}
	}
}

// garble does to a listing what the fault says.
func (f Fault) garble(all []cold.Info) []cold.Info {
	r := rand.New(rand.NewPCG(f.Seed, 0))
	var out []cold.Info
	for i, info := range all {
		// The last name is always among the victims: a short listing is hit too, and
		// the newest object is the one that lists are late with.
		hit := i == len(all)-1 || r.IntN(3) == 0
		if f.Kind == Missing && hit {
			continue
		}
		out = append(out, info)
		if f.Kind == Duplicate && hit {
			out = append(out, info)
		}
	}
	if f.Kind == Unordered {
		r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	}
	return out
}

// Delete implements cold.Store.
func (s *Store) Delete(ctx context.Context, name string) error {
	f := s.decide(trace.Delete, name)
	err := f.arrive(ctx)
	if err == nil {
		err = s.inner.Delete(ctx, name)
	}
	if err == nil {
		err = pause(ctx, f.After)
	}
	if err == nil && f.Kind == AnswerLost {
		err = ErrLost
	}
	if err != nil {
		return fmt.Errorf("delete %s: %w", name, err)
	}
	return nil
}
