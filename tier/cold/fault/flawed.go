package fault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/firnlog/firn/tier/cold"
)

// Flaw is a promise that a store does not keep.
type Flaw uint8

// The flaws, each seen in some product.
const (
	Sound              Flaw = iota
	IgnoresCondition        // puts overwrite
	ChecksThenWrites        // of concurrent creators several win, one after the other all is well
	RefusesCondition        // conditional puts are "not implemented"
	EverybodyConflicts      // of concurrent creators none wins: all are told 409
	TellsLosersTheyWon      // the first body stays, but later creators are told nil
	LosesPuts               // some puts that were answered with nil are not there
	LosesLargePuts          // only puts above 512 KiB; a cache before a broken disk
	DamagesBodies           // a byte of a large body is wrong
	KeepsHalves             // what arrived of a body whose sender died is an object
	ReadsStale              // an object is not found right after its put
	ReadsDeleted            // an object is still read after its delete, and the next of its name too
	ListsStale              // an object is not listed right after its put
	IgnoresRange            // ranges answer with the whole object
	IgnoresTail             // only suffix ranges do
	KeepsDeleted            // deletes do nothing
	NeverForgets            // a name cannot be used again after its delete
	DeniesPut               // a permission is missing
	DeniesGet               // "
	DeniesList              // "
	DeniesDelete            // "
	ClockAnHourOff          // Modified is an hour ahead
	flaws
)

// String names the flaw.
func (f Flaw) String() string {
	return [...]string{
		"sound", "ignores the condition", "checks, then writes", "refuses the condition", "everybody conflicts",
		"tells losers they won", "loses puts", "loses large puts", "damages bodies", "keeps halves", "reads stale", "reads deleted",
		"lists stale", "ignores ranges", "ignores tails", "keeps deleted", "never forgets", "denies put", "denies get",
		"denies list", "denies delete", "clock an hour off", "?",
	}[min(f, flaws)]
}

// Flaws are all of them.
func Flaws() []Flaw {
	var all []Flaw
	for f := Sound + 1; f < flaws; f++ {
		all = append(all, f)
	}
	return all
}

// lapse is how long the check and the write of ChecksThenWrites lie apart.
const lapse = 2 * time.Millisecond

// Flawed is a store with a flaw.
type Flawed struct {
	cold.Store
	flaw Flaw

	mu      sync.Mutex
	busy    map[string]int    // puts under way
	fresh   map[string]bool   // put and not read, or not listed, since
	removed map[string][]byte // what was deleted
	puts    int
}

// Break gives the store a flaw.
func Break(inner cold.Store, flaw Flaw) *Flawed {
	return &Flawed{Store: inner, flaw: flaw, busy: make(map[string]int), fresh: make(map[string]bool), removed: make(map[string][]byte)}
}

// Close closes the store behind.
func (s *Flawed) Close() error { return cold.Close(s.Store) }

// overwrite puts whatever is there.
func (s *Flawed) overwrite(ctx context.Context, name string, body cold.Body) error {
	for {
		if err := s.Store.Delete(ctx, name); err != nil {
			return err
		}
		if err := s.Store.PutIfAbsent(ctx, name, body); !errors.Is(err, cold.ErrExists) {
			return err
		}
	}
}

// PutIfAbsent implements cold.Store, in a way.
func (s *Flawed) PutIfAbsent(ctx context.Context, name string, body cold.Body) error {
	others, nth := s.enter(name)
	defer s.leave(name)
	switch s.flaw {
	case DeniesPut:
		return fmt.Errorf("put %s: %w", name, cold.ErrDenied)
	case RefusesCondition:
		return fmt.Errorf("put %s: %w (HTTP 501)", name, cold.ErrUnsupported)
	case IgnoresCondition:
		return s.overwrite(ctx, name, body)
	case ChecksThenWrites:
		if _, err := s.Store.Stat(ctx, name); err == nil {
			return fmt.Errorf("put %s: %w", name, cold.ErrExists)
		}
		if err := pause(ctx, lapse); err != nil {
			return err
		}
		return s.overwrite(ctx, name, body)
	case EverybodyConflicts:
		if err := pause(ctx, lapse); err != nil {
			return err
		}
		if others || s.crowded(name) {
			return fmt.Errorf("put %s: %w", name, cold.ErrConflict)
		}
	case TellsLosersTheyWon:
		if err := pause(ctx, lapse); err != nil {
			return err
		}
	case LosesPuts:
		if nth%5 == 4 {
			return nil
		}
	case LosesLargePuts:
		if body.Size() > 512<<10 {
			return nil
		}
	case DamagesBodies:
		if body.Size() > 512<<10 {
			return s.damage(ctx, name, body)
		}
	case KeepsHalves:
		return s.keep(ctx, name, body)
	case NeverForgets:
		if s.was(name) != nil {
			return fmt.Errorf("put %s: %w", name, cold.ErrExists)
		}
	}
	err := s.Store.PutIfAbsent(ctx, name, body)
	if s.flaw == TellsLosersTheyWon && errors.Is(err, cold.ErrExists) && others {
		return nil
	}
	if err == nil {
		s.mu.Lock()
		s.fresh[name] = true
		s.mu.Unlock()
	}
	return err
}

func (s *Flawed) enter(name string) (others bool, nth int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy[name]++
	s.puts++
	return s.busy[name] > 1, s.puts
}

func (s *Flawed) leave(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy[name]--
}

func (s *Flawed) crowded(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.busy[name] > 1
}

func (s *Flawed) was(name string) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.removed[name]
}

func (s *Flawed) damage(ctx context.Context, name string, body cold.Body) error {
	r, err := body.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	data[len(data)*2/3] ^= 0x10
	return s.Store.PutIfAbsent(ctx, name, cold.Bytes(data))
}

// keep stores what can be read of the body.
func (s *Flawed) keep(ctx context.Context, name string, body cold.Body) error {
	r, err := body.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	data, cut := io.ReadAll(r)
	err = s.Store.PutIfAbsent(ctx, name, cold.Bytes(data))
	if cut != nil {
		return fmt.Errorf("put %s: %w: %w", name, cold.ErrBody, cut)
	}
	return err
}

// stale reports whether the object is too fresh to be seen, once.
func (s *Flawed) stale(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.fresh[name]
	s.fresh[name] = false
	return was
}

// Get implements cold.Store, in a way.
func (s *Flawed) Get(ctx context.Context, name string, r cold.Range, buf []byte) ([]byte, error) {
	switch {
	case s.flaw == DeniesGet:
		return buf, fmt.Errorf("get %s: %w", name, cold.ErrDenied)
	case s.flaw == ReadsStale && s.stale(name):
		return buf, fmt.Errorf("get %s: %w", name, cold.ErrNotFound)
	case s.flaw == ReadsDeleted && s.was(name) != nil:
		return append(buf, s.was(name)...), nil
	case s.flaw == IgnoresRange, s.flaw == IgnoresTail && r.Offset < 0:
		r = cold.Whole
	}
	return s.Store.Get(ctx, name, r, buf)
}

// Stat implements cold.Store, in a way.
func (s *Flawed) Stat(ctx context.Context, name string) (cold.Info, error) {
	if s.flaw == DeniesGet {
		return cold.Info{}, fmt.Errorf("stat %s: %w", name, cold.ErrDenied)
	}
	info, err := s.Store.Stat(ctx, name)
	if s.flaw == ClockAnHourOff {
		info.Modified = info.Modified.Add(time.Hour)
	}
	return info, err
}

// List implements cold.Store, in a way.
func (s *Flawed) List(ctx context.Context, prefix, after string) iter.Seq2[cold.Info, error] {
	return func(yield func(cold.Info, error) bool) {
		if s.flaw == DeniesList {
			yield(cold.Info{}, fmt.Errorf("list %s: %w", prefix, cold.ErrDenied))
			return
		}
		for info, err := range s.Store.List(ctx, prefix, after) {
			if err == nil && s.flaw == ListsStale && s.stale(info.Name) {
				continue
			}
			if !yield(info, err) {
				return
			}
		}
	}
}

// Delete implements cold.Store, in a way.
func (s *Flawed) Delete(ctx context.Context, name string) error {
	switch s.flaw {
	case DeniesDelete:
		return fmt.Errorf("delete %s: %w", name, cold.ErrDenied)
	case KeepsDeleted:
		return nil
	case ReadsDeleted, NeverForgets:
		if data, err := s.Store.Get(ctx, name, cold.Whole, nil); err == nil {
			s.mu.Lock()
			s.removed[name] = slices.Clip(data)
			s.mu.Unlock()
		}
	}
	return s.Store.Delete(ctx, name)
}
