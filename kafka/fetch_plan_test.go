package kafka

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Reading in waves gives every partition what reading one by one would give it.
func TestWavesGiveWhatOrderGives(t *testing.T) {
	for seed := range uint64(2000) {
		n := 1 + int(seed%23)
		maxes, sizes := make([]int, n), make([]int, n) // a partition's limit, and what it has
		for i := range n {
			x := (seed + 1) * uint64(i+1) * 0x9e3779b97f4a7c15 >> 33
			maxes[i], sizes[i] = int(x%50), int(x/50%80)
		}
		left := int(seed % 300)
		// read returns what a partition of batches of 10 bytes gives.
		read := func(i, limit int, whole bool) int {
			got := min(limit, sizes[i]) / 10 * 10
			if got == 0 && whole && sizes[i] >= 10 {
				got = 10
			}
			return got
		}
		var want []int
		one := fetchPlan{left: left}
		for i := range n {
			got := 0
			if limit := max(min(maxes[i], one.left), 0); limit > 0 || one.got == 0 {
				got = read(i, limit, one.got == 0)
			}
			one.took(got)
			want = append(want, got)
		}
		got := make([]int, n)
		plan := fetchPlan{left: left}
		for at := 0; at < n; {
			limits, whole := plan.next(maxes[at:])
			if len(limits) == 0 {
				break
			}
			for i, l := range limits {
				got[at+i] = read(at+i, l, whole)
			}
			for i := range limits {
				plan.took(got[at+i])
			}
			at += len(limits)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("seed %d, %d bytes, limits %v, sizes %v: %v, want %v", seed, left, maxes, sizes, got, want)
		}
	}
}

// slow is a log whose reads take a while, as the bucket's do.
type slow struct {
	*fake
	took  time.Duration
	panic bool
}

func (s slow) Read(ctx context.Context, r Read) (Batches, error) {
	select {
	case <-time.After(s.took):
	case <-ctx.Done():
		return Batches{}, ctx.Err()
	}
	if s.panic && r.Partition.Index > 0 {
		panic("in a read")
	}
	return s.fake.Read(ctx, r)
}

func TestColdPartitionsAreReadTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		topic := f.topic("t", 17)
		q := fetchOf(12, f, "t", 0)
		for p := range int32(17) {
			f.fill(topic, p, 1, 100)
			if p > 0 {
				withPartition(q, p, 0)
			}
		}
		q.MaxBytes = 50 << 20
		b := f.backend()
		b.Log = slow{f, 100 * time.Millisecond, false}
		c := serveBackend(t, b, Limits{}).client(t)
		began := time.Now()
		r := ask[*kmsg.FetchResponse](c, 12, q)
		if took := time.Since(began); took != 300*time.Millisecond || slices.Contains(records(r), 0) {
			t.Errorf("17 cold partitions took %v: %v", took, records(r))
		}
		// One that is very slow does not hold up the answer for longer than the client
		// waits: what there is is sent, and the rest is asked for again.
		b.Log = slow{f, 2 * time.Second, false}
		c = serveBackend(t, b, Limits{}).client(t)
		began = time.Now()
		r = ask[*kmsg.FetchResponse](c, 12, q)
		if took := time.Since(began); took != 2*time.Second || records(r)[0] == 0 {
			t.Errorf("very slow partitions took %v: %v", took, records(r))
		}
		b.Log = slow{f, 0, true}
		c = serveBackend(t, b, Limits{}).client(t)
		c.send(q)
		c.closed()
	})
}
