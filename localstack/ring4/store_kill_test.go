//go:build ring4

package ring4

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/cold/open"
)

// killCount is RING4_KILLS, or how many kills a test makes by itself.
func killCount(t *testing.T, usual int) int {
	t.Helper()
	s := os.Getenv("RING4_KILLS")
	if s == "" {
		return usual
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		t.Fatalf("RING4_KILLS=%q: want a number of kills", s)
	}
	return n
}

// rng is the source of a test's moments, told so that a run can be repeated.
func rng(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("RING4_SEED"); s != "" {
		seed, _ = strconv.ParseUint(s, 10, 64)
	}
	t.Logf("RING4_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 4))
}

func needStore(t *testing.T) {
	t.Helper()
	if realStore == nil {
		t.Skip("RING4_STORE names no store to run")
	}
}

func restartStore(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := realStore.Restart(ctx); err != nil {
		t.Fatal(err)
	}
}

// TestNothingAcknowledgedIsLostByKillsOfBrokerAndStore kills broker and store in
// turn, the broker's disk with it every other time, while producers write with
// acks=all.
func TestNothingAcknowledgedIsLostByKillsOfBrokerAndStore(t *testing.T) {
	needStore(t)
	kills, rng := killCount(t, 40), rng(t)
	s := newStack(t)
	s.start(t)
	const topic = "storekills"
	if _, err := kadm.NewClient(client(t, s.addr)).CreateTopic(t.Context(), 8, 1, nil, topic); err != nil {
		t.Fatal(err)
	}
	w := startWriters(t, s.addr, topic, 4)
	for k := range kills {
		time.Sleep(time.Duration(50+rng.IntN(900)) * time.Millisecond)
		switch k % 4 {
		case 0, 2:
			s.kill()
			if k%4 == 2 {
				s.wipe(t)
			}
			s.start(t)
		default:
			realStore.Kill()
			time.Sleep(time.Duration(rng.IntN(500)) * time.Millisecond)
			restartStore(t)
		}
	}
	time.Sleep(time.Second)
	got := w.stop(t)
	s.kill()
	s.wipe(t)
	s.start(t)
	check(t, s.addr, topic, got)
	s.stop(t)
	s.verify(t)
}

// TestStoreThatGoesAwayAndComesBack leaves the broker without its store for 20
// seconds: it stays up, loses nothing, and serves as before when the store is back.
func TestStoreThatGoesAwayAndComesBack(t *testing.T) {
	needStore(t)
	s := newStack(t)
	s.start(t)
	const topic = "outage"
	if _, err := kadm.NewClient(client(t, s.addr)).CreateTopic(t.Context(), 4, 1, nil, topic); err != nil {
		t.Fatal(err)
	}
	w := startWriters(t, s.addr, topic, 2)
	time.Sleep(2 * time.Second)
	realStore.Kill()
	time.Sleep(20 * time.Second)
	select {
	case <-s.broker.Exited():
		t.Error("the broker ended with its store")
	default:
	}
	before := w.acknowledged()
	restartStore(t)
	back := time.Now()
	for w.acknowledged() == before {
		if time.Since(back) > 30*time.Second {
			t.Fatal("nothing is acknowledged 30 s after the store came back")
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Logf("first acknowledgement %v after the store's return", time.Since(back).Round(time.Millisecond))
	time.Sleep(2 * time.Second)
	got := w.stop(t)
	check(t, s.addr, topic, got)
	s.stop(t)
	s.verify(t)
}

// TestStoreThatIsKilledKnowsWhatItTook shows what Firn asks of a store under kills:
// a conditional put says "exists" of nothing that cannot be read (S3). A store that
// does would leave a slot undecided for ever.
func TestStoreThatIsKilledKnowsWhatItTook(t *testing.T) {
	needStore(t)
	s, _, err := open.Open(t.Context(), realStore.URL(), open.Options{})
	if err != nil {
		t.Fatal(err)
	}
	rng := rng(t)
	var unsure int
	for k := range killCount(t, 20) {
		ctx, end := context.WithCancel(t.Context())
		var (
			wg    sync.WaitGroup
			mu    sync.Mutex
			asked []string // names whose put had no answer
		)
		for w := range 16 {
			wg.Go(func() {
				for i := 0; ctx.Err() == nil; i++ {
					name := fmt.Sprintf("took/%d/%d-%d", k, w, i)
					if err := s.PutIfAbsent(ctx, name, cold.Bytes([]byte(name))); err != nil {
						mu.Lock()
						asked = append(asked, name)
						mu.Unlock()
						return
					}
				}
			})
		}
		time.Sleep(time.Duration(20+rng.IntN(100)) * time.Millisecond)
		realStore.Kill()
		end()
		wg.Wait()
		restartStore(t)
		for _, name := range asked {
			unsure++
			err := s.PutIfAbsent(t.Context(), name, cold.Bytes([]byte(name)))
			if err != nil && !errors.Is(err, cold.ErrExists) {
				t.Fatalf("put %s after the restart: %v", name, err)
			}
			got, gerr := s.Get(t.Context(), name, cold.Range{}, nil)
			if gerr != nil || string(got) != name {
				t.Errorf("kill %d: the put of %s was answered with %v, reading it with %q, %v", k, name, err, got, gerr)
			}
		}
	}
	t.Logf("%d puts had no answer", unsure)
}
