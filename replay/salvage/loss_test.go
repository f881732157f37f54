package salvage

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/catalog/journal"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/cold/mem"
	"github.com/firnlog/firn/tier/object"
)

// Of a damaged object the runs are given up that cannot be read, of one that is gone all;
// and each filler knows the producers that were known before it, also where that is another
// filler.
func TestRunsAreGivenUpThatCannotBeRead(t *testing.T) {
	ctx, store := t.Context(), mem.New()
	j := journal.NewScribe(store, [16]byte{1}, journal.Options{})
	if err := j.Open(ctx, "c"); err != nil {
		t.Fatal(err)
	}
	commit := func(cmd catalog.Command) uint64 {
		t.Helper()
		res, err := j.Commit(ctx, cmd)
		if err != nil || res[0].Err != nil {
			t.Fatal(err, res)
		}
		return res[0].ID
	}
	me := commit(&catalog.RegisterSession{})
	id := record.TopicID{1}
	commit(&catalog.CreateTopic{Name: "t", ID: id, Owners: []uint64{me, me}})
	p, q := record.Partition{Topic: id}, record.Partition{Topic: id, Index: 1}
	job := commit(&catalog.BeginJob{Session: me})
	ref := catalog.Seg(job, 0)
	e := object.NewEncoder(object.Header{Kind: object.Sealed, Session: job}, 0, nil)
	add := func(of record.Partition, base int64) {
		var build record.Builder
		build.Add(base, nil, []byte("v"))
		b, err := build.Build()
		if err != nil {
			t.Fatal(err)
		}
		record.Rebase(b, base, 0)
		h, err := record.ParseHeader(b)
		if err != nil {
			t.Fatal(err)
		}
		e.Begin(of, 0, base)
		e.Append(h, b)
	}
	add(p, 0)
	add(p, 1)
	add(p, 2)
	add(q, 0)
	made, err := e.Finish()
	if err != nil {
		t.Fatal(err)
	}
	body := join(e)
	var runs []catalog.Located
	for _, r := range made {
		runs = append(runs, catalog.Located{Partition: r.Partition, Extent: located(r, ref)})
	}
	if err := store.PutIfAbsent(ctx, ref.Name(), cold.Bytes(body)); err != nil {
		t.Fatal(err)
	}
	commit(&catalog.CommitJob{Job: job, To: 1, Extents: runs, Objects: []catalog.ObjectRef{ref}})

	// What is known before the object; of what lies in it nothing is. A filler knows what
	// it was given.
	before := []object.Producer{{ID: 7, TxnStart: -1}}
	producers := func(ctx context.Context, store cold.Store, s *catalog.State, ends map[record.Partition]int64) (map[record.Partition][]object.Producer, map[record.Partition]error, error) {
		known, unknown := map[record.Partition][]object.Producer{}, map[record.Partition]error{}
		for id, end := range ends {
			c, _ := s.Partition(id)
			switch i := c.Find(end); {
			case i == 0:
				known[id] = before
			case c.Extents[i-1].Object == ref:
				unknown[id] = object.ErrCorrupt
			default:
				known[id] = said(t, store, id, c.Extents[i-1])
			}
		}
		return known, unknown, nil
	}
	find := func(want error) Loss {
		t.Helper()
		l, err := FindLoss(ctx, store, state(t, store), ref, 0)
		if !errors.Is(err, want) {
			t.Fatalf("%v, want %v", err, want)
		}
		return l
	}
	give := func(l Loss, want error) {
		t.Helper()
		if err := GiveUp(ctx, store, l, producers); !errors.Is(err, want) {
			t.Fatalf("%v, want %v", err, want)
		}
	}
	find(ErrIntact)
	damaged := slices.Clone(body)
	damaged[runs[0].Pos+65] ^= 1
	damaged[runs[1].Pos+65] ^= 1
	if err := errors.Join(store.Delete(ctx, ref.Name()), store.PutIfAbsent(ctx, ref.Name(), cold.Bytes(damaged))); err != nil {
		t.Fatal(err)
	}
	l := find(nil)
	if len(l.Runs) != 2 || l.Whole != 2 || l.Missing || l.Records() != 2 {
		t.Fatalf("%+v", l)
	}
	give(l, nil)
	c, _ := state(t, store).Partition(p)
	if len(c.Extents) != 3 || c.Extents[0].Records+c.Extents[1].Records != 0 || c.Extents[2] != runs[2].Extent {
		t.Fatalf("%+v", c.Extents)
	}
	for _, x := range c.Extents[:2] {
		if got := said(t, store, p, x); len(got) != 1 || got[0].ID != 7 {
			t.Errorf("the filler at %d knows the producers %+v", x.Base, got)
		}
	}
	find(ErrIntact)
	give(l, catalog.ErrStale)
	if open := state(t, store).Jobs(); len(open) > 0 {
		t.Errorf("%d jobs are open", len(open))
	}
	if err := store.Delete(ctx, ref.Name()); err != nil {
		t.Fatal(err)
	}
	if l = find(nil); len(l.Runs) != 2 || !l.Missing {
		t.Fatalf("%+v", l)
	}
	give(l, nil)
	find(ErrUnknown)
	s := state(t, store)
	for _, id := range []record.Partition{p, q} {
		c, _ := s.Partition(id)
		if x := c.Extents[len(c.Extents)-1]; x.Records != 0 || x.Next != c.Next {
			t.Errorf("%+v", x)
		}
	}
	for _, err := range s.Check() {
		t.Error(err)
	}
}

// said is what a footer says of producers at the end of a run.
func said(t *testing.T, store cold.Store, id record.Partition, x catalog.Extent) []object.Producer {
	t.Helper()
	b, err := store.Get(t.Context(), x.Object.Name(), cold.Whole, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, runs, bad := object.Verify(b)
	for _, err := range bad {
		t.Error(err)
	}
	for _, r := range runs {
		if r.Partition == id && r.Base == x.Base {
			return r.Producers
		}
	}
	t.Fatalf("%s has no run of %s at %d", x.Object, id, x.Base)
	return nil
}

func state(t *testing.T, store cold.Store) *catalog.State {
	t.Helper()
	r := journal.NewReader(store)
	if err := r.Catchup(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	return r.State()
}
