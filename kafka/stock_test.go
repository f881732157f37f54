package kafka

import (
	"testing"
	"testing/synctest"
	"time"
)

// Clients that do not take their answers hold a bounded part of the memory, and keep
// nobody from reading: others get smaller answers meanwhile.
func TestAnswersThatNobodyTakesAreBounded(t *testing.T) {
	f := newFake()
	topic := f.topic("t", 1)
	f.fill(topic, 0, 400, 20_000) // batches of 10 kB
	n := &node{Backend: f.backend(), stock: &stock{size: 8 << 20}, sends: &sends{}}
	get := func(offset int64) *fetched {
		q := fetchOf(16, f, "t", offset)
		q.MaxBytes = 50 << 20
		q.Topics[0].Partitions[0].PartitionMaxBytes = 50 << 20
		c := &call{request: q, header: header{version: 16}}
		return n.fetch(t.Context(), c, q)
	}
	size := func(a *fetched) int { return a.topics[0].partitions[0].size() }
	var answers []*fetched
	total := 0
	for range 200 {
		a := get(0)
		if size(a) == 0 {
			t.Fatal("an answer is empty")
		}
		answers = append(answers, a)
		total += size(a)
	}
	if first := size(answers[0]); first < 1<<20 {
		t.Errorf("the first answer has %d bytes", first)
	}
	if most := 8<<20 + 200*leastAnswer; total > most || int64(total) != n.stock.held.Load() {
		t.Errorf("%d bytes in 200 answers, %d are counted, at most %d may be", total, n.stock.held.Load(), most)
	}
	for offset := int64(0); offset < 400; { // a reader comes to the end all the same
		a := get(offset)
		next := a.topics[0].partitions[0].found.Next
		if a.release(); next <= offset {
			t.Fatalf("a reader is stuck at %d", offset)
		}
		offset = next
	}
	for _, a := range answers {
		a.release()
	}
	if held := n.stock.held.Load(); held != 0 {
		t.Errorf("%d bytes are held by nobody", held)
	}
	a := get(0)
	defer a.release()
	if size(a) < 1<<20 {
		t.Errorf("the first answer after that has %d bytes", size(a))
	}
}

// A reader of history that waits for much at a time does not wait for more than its answer
// may take: it would stand still, holding what it has.
func TestAnAnswerThatMayNotGrowIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		topic := f.topic("t", 1)
		f.fill(topic, 0, 400, 20_000) // batches of 10 kB
		n := &node{Backend: f.backend(), stock: &stock{size: 8 << 20}, sends: &sends{}}
		n.stock.held.Store(8 << 20)
		q := fetchOf(16, f, "t", 0)
		q.MaxBytes, q.MinBytes, q.MaxWaitMillis = 50<<20, 1<<20, 10_000
		q.Topics[0].Partitions[0].PartitionMaxBytes = 50 << 20
		began := time.Now()
		a := n.fetch(t.Context(), &call{request: q, header: header{version: 16}}, q)
		defer a.release()
		if size := a.topics[0].partitions[0].size(); size < leastAnswer/2 || time.Since(began) > 0 {
			t.Errorf("%d bytes after %s", size, time.Since(began))
		}
	})
}
