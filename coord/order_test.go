package coord

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/firnlog/firn/coord/group"
)

// C3: a partition that is given up and comes back twice while an append is under way is
// still loaded after that append: what it brings would be in the log and in no memory.
func TestTheLastAppendIsWaitedForHoweverOftenThePartitionComesBack(t *testing.T) {
	bubble(t, func(t *testing.T, l *memory, a, _ *Coordinator) {
		a.Own(parts, everything(1))
		synctest.Wait()
		if err := commit(t, a, "g", 1); err != nil {
			t.Fatal(err)
		}
		l.set(time.Minute, nil)
		late := make(chan error, 1)
		go func() { late <- commit(t, a, "g", 2) }()
		synctest.Wait()
		l.set(0, nil)
		for range 3 {
			a.Own(parts, nil)
			synctest.Wait()
			a.Own(parts, everything(1))
			synctest.Wait()
		}
		if err := <-late; !errors.Is(err, group.ErrNotCoordinator) {
			t.Fatalf("%v, want %v", err, group.ErrNotCoordinator)
		}
		if _, err := committed(t, a, "g"); !errors.Is(err, group.ErrLoading) {
			t.Errorf("%v while the append is under way, want %v", err, group.ErrLoading)
		}
		time.Sleep(2 * time.Minute)
		if n, err := committed(t, a, "g"); n != 2 || err != nil {
			t.Errorf("%d, %v, want what the log has", n, err)
		}
	})
}

// What a broker leads when its coordinator begins is not named a second time for that.
func TestWhatIsNamedBeforeItRunsIsCoordinated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &memory{}
		c := New(l, slog.New(slog.DiscardHandler), limits, time.Now, l.topic)
		c.Own(parts, everything(1))
		ctx, stop := context.WithCancel(t.Context())
		var done sync.WaitGroup
		done.Go(func() { _ = c.Run(ctx) })
		synctest.Wait()
		if err := commit(t, c, "g", 1); err != nil {
			t.Error(err)
		}
		stop()
		done.Wait()
	})
}

// An append that takes too long is told to those who wait for it, and waited for: what
// was told since it began would be undone when it arrives.
func TestALateAppendIsToldAndWaitedFor(t *testing.T) {
	bubble(t, func(t *testing.T, l *memory, a, _ *Coordinator) {
		a.Own(parts, everything(1))
		synctest.Wait()
		if err := commit(t, a, "g", 1); err != nil {
			t.Fatal(err)
		}
		l.set(10*time.Minute, nil)
		began := time.Now()
		late := make(chan error, 1)
		go func() { late <- commit(t, a, "g", 2) }()
		synctest.Wait()
		l.set(0, nil)
		if err := <-late; !errors.Is(err, group.ErrNotAvailable) || time.Since(began) != patience {
			t.Errorf("%v after %s, want %v after %s", err, time.Since(began), group.ErrNotAvailable, patience)
		}
		for range 2 {
			if _, err := committed(t, a, "g"); !errors.Is(err, group.ErrLoading) {
				t.Errorf("%v while the append is under way, want %v", err, group.ErrLoading)
			}
			a.Own(parts, nil)
			a.Own(parts, everything(1))
		}
		time.Sleep(11 * time.Minute)
		if n, err := committed(t, a, "g"); n != 2 || err != nil {
			t.Errorf("%d, %v, want what the log has", n, err)
		}
	})
}
