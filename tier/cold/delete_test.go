package cold_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/cold/mem"
)

// remote is a store whose deletes take their time, and fail for one name.
type remote struct {
	cold.Store
	bad string

	mu          sync.Mutex
	now, most   int
	begun, done []string
}

func (s *remote) Delete(ctx context.Context, name string) error {
	s.mu.Lock()
	s.now++
	s.most = max(s.most, s.now)
	s.begun = append(s.begun, name)
	s.mu.Unlock()
	time.Sleep(100 * time.Millisecond)
	err := s.Store.Delete(ctx, name)
	if name == s.bad {
		err = errors.New("refused")
	}
	s.mu.Lock()
	s.now--
	s.done = append(s.done, name)
	s.mu.Unlock()
	return err
}

func TestManyAreDeletedAtATimeAndNoMoreAfterAFailure(t *testing.T) {
	names := make([]string, 100)
	for i := range names {
		names[i] = fmt.Sprintf("a/%02d", i)
	}
	for _, c := range []struct {
		atOnce int
		bad    string
		most   int
		took   time.Duration
	}{
		{1, "", 1, 10 * time.Second},
		{10, "", 10, time.Second},
		{1000, "", 100, 100 * time.Millisecond},
		{1, "a/07", 1, 800 * time.Millisecond},
		{10, "a/07", 10, 200 * time.Millisecond}, // those that took no failure for one go on beside it
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &remote{Store: mem.New(), bad: c.bad}
			began := time.Now()
			err := cold.DeleteAll(t.Context(), s, c.atOnce, names)
			if took := time.Since(began); took > c.took || s.most != c.most || s.now != 0 {
				t.Errorf("%+v: took %v, %d at a time, %d still under way", c, took, s.most, s.now)
			}
			switch {
			case c.bad == "" && (err != nil || len(s.done) != len(names)):
				t.Errorf("%+v: deleted %d: %v", c, len(s.done), err)
			case c.bad != "" && (err == nil || !strings.Contains(err.Error(), c.bad) || len(s.begun) > 20):
				t.Errorf("%+v: went on to %d deletes: %v", c, len(s.begun), err)
			}
		})
	}
}
