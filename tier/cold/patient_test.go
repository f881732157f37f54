package cold_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/cold/mem"
)

// moody is a store that fails so many times before it answers; its listings end early,
// after one name, as many times.
type moody struct {
	*mem.Store
	fails   int
	reverse bool
}

var errAway = errors.New("503")

func (m *moody) away() error {
	if m.fails--; m.fails >= 0 {
		return errAway
	}
	return nil
}

func (m *moody) Get(ctx context.Context, name string, r cold.Range, buf []byte) ([]byte, error) {
	if err := m.away(); err != nil {
		return buf, err
	}
	return m.Store.Get(ctx, name, r, buf)
}

func (m *moody) Stat(ctx context.Context, name string) (cold.Info, error) {
	if err := m.away(); err != nil {
		return cold.Info{}, err
	}
	return m.Store.Stat(ctx, name)
}

func (m *moody) List(ctx context.Context, prefix, after string) iter.Seq2[cold.Info, error] {
	return func(yield func(cold.Info, error) bool) {
		var all []cold.Info
		for i := range m.Store.List(ctx, prefix, after) {
			all = append(all, i)
		}
		slices.SortFunc(all, func(a, b cold.Info) int { return cmpName(a, b, m.reverse) })
		err := m.away()
		if err != nil {
			all = all[:min(len(all), 2)]
		}
		for _, i := range all {
			if !yield(i, nil) {
				return
			}
		}
		if err != nil {
			yield(cold.Info{}, err)
		}
	}
}

func cmpName(a, b cold.Info, reverse bool) int {
	if (a.Name < b.Name) != reverse {
		return -1
	}
	return 1
}

// A reader of hours does not end with a store that fails now and then, reads nothing twice
// of a listing, and believes what is definite at once.
func TestAPatientReaderOutlastsAStoreThatFailsNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, m := t.Context(), &moody{Store: mem.New()}
		var want []string
		for i := range 9 {
			want = append(want, fmt.Sprint(i))
			if err := m.PutIfAbsent(ctx, want[i], cold.Bytes([]byte("x"))); err != nil {
				t.Fatal(err)
			}
		}
		s := cold.Patient(cold.Patient(m, time.Second), time.Hour)
		m.fails = 7
		if b, err := s.Get(ctx, "3", cold.Whole, []byte("y")); err != nil || string(b) != "yx" {
			t.Errorf("%q %v", b, err)
		}
		m.fails = 7
		if i, err := s.Stat(ctx, "3"); err != nil || i.Size != 1 {
			t.Errorf("%+v %v", i, err)
		}
		list := func() (got []string, err error) {
			for i, bad := range s.List(ctx, "", "") {
				if bad != nil {
					return got, bad
				}
				got = append(got, i.Name)
			}
			return got, nil
		}
		m.fails = 3
		if got, err := list(); err != nil || !slices.Equal(got, want) {
			t.Errorf("listed %v %v", got, err)
		}
		m.fails, m.reverse = 1, true
		if got, err := list(); !errors.Is(err, errAway) || len(got) != 2 {
			t.Errorf("a listing without order: %v %v", got, err)
		}
		for _, c := range []struct {
			fails int
			name  string
			want  error
			took  time.Duration
		}{{8, "3", errAway, 127 * time.Second}, {0, "none", cold.ErrNotFound, 0}} {
			m.fails = c.fails
			began := time.Now()
			if _, err := s.Get(ctx, c.name, cold.Whole, nil); !errors.Is(err, c.want) || time.Since(began) != c.took {
				t.Errorf("%s: %v after %s", c.name, err, time.Since(began))
			}
		}
		short, end := context.WithTimeout(ctx, time.Second/2)
		defer end()
		m.fails = 9
		if _, err := s.Get(short, "3", cold.Whole, nil); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, errAway) {
			t.Errorf("%v", err)
		}
	})
}
