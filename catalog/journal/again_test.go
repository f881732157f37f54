package journal

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/cold/mem"
)

// paused is the store of a process that is stopped when its next entry has landed.
type paused struct {
	cold.Store
	pause time.Duration
}

func (p *paused) PutIfAbsent(ctx context.Context, name string, body cold.Body) error {
	err := p.Store.PutIfAbsent(ctx, name, body)
	if strings.HasPrefix(name, PrefixEntries) {
		pause := p.pause
		p.pause = 0
		time.Sleep(pause)
	}
	return err
}

// An entry whose number was given up before its answer came was applied by all others. What
// it asked for is not done once more, over what was done since: a deleted topic stays
// deleted, an altered config as it is, and who made a topic is told that it is there.
func TestWhatWasAppliedBeforeItsAnswerCameIsNotDoneTwice(t *testing.T) { // J7
	synctest.Test(t, func(t *testing.T) {
		bucket := mem.New()
		opts := Options{SnapshotEvery: 10, Keep: time.Hour, Poll: 1000 * time.Hour}
		others, stop := open(t, bucket, opts)
		defer stop()
		old := record.TopicID{1}
		do := func(c catalog.Command) {
			t.Helper()
			if r, err := others.Commit(t.Context(), c); err != nil || r[0].Err != nil {
				t.Fatal(err, r)
			}
		}
		value := func(s string) map[string]*string { return map[string]*string{"retention.ms": &s} }
		create := func(name string, id byte) *catalog.CreateTopic {
			return &catalog.CreateTopic{Name: name, ID: record.TopicID{id}, Replicas: 1, Owners: []uint64{0}}
		}
		do(create("old", 1))

		s := &paused{Store: bucket}
		sleeper, stop := open(t, s, opts)
		defer stop()
		s.pause = 10 * time.Hour
		answer := make(chan []catalog.Result)
		go func() {
			r, err := sleeper.Commit(t.Context(), create("kept", 2), create("deleted", 3),
				&catalog.AlterTopic{ID: old, Set: value("1")}, &catalog.AddPartitions{ID: old, From: 1, Owners: []uint64{0}}, &catalog.ProducerIDs{Count: 10})
			if err != nil {
				t.Error(err)
			}
			answer <- r
		}()
		synctest.Wait() // it has landed
		do(&catalog.DeleteTopic{ID: record.TopicID{3}})
		do(&catalog.AlterTopic{ID: old, Set: value("2")})
		for i := range 50 {
			register(t, others, int32(i))
			time.Sleep(10 * time.Minute)
		}
		r := <-answer
		for i, want := range []error{nil, catalog.ErrUnsure, catalog.ErrUnsure, catalog.ErrUnsure, nil} {
			if !errors.Is(r[i].Err, want) {
				t.Errorf("command %d: %v, want %v", i, r[i].Err, want)
			}
		}
		others.Nudge()
		time.Sleep(time.Second)
		same(t, others, sleeper)
		state := others.State()
		if _, ok := state.TopicNamed("kept"); !ok {
			t.Error("the schedule did not happen: the entry was not applied")
		}
		if _, ok := state.TopicNamed("deleted"); ok {
			t.Error("a topic that was deleted is there again under its id")
		}
		if x, _ := state.Topic(old); x.Configs["retention.ms"] != "2" || len(x.Partitions) != 2 {
			t.Errorf("what was altered has %v and %d partitions", x.Configs, len(x.Partitions))
		}
	})
}
