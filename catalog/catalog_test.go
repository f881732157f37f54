package catalog

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/firnlog/firn/record"
)

// journal applies commands one entry each, as the real one does, and checks
// after every entry that the state is sound, that it survives a snapshot, and
// that the state before it was not touched.
type journal struct {
	t     testing.TB
	state *State
}

func newJournal(t testing.TB) *journal {
	j := &journal{t, NewState()}
	j.ok(&CreateCluster{ID: "test"})
	return j
}

func (j *journal) do(c Command) Result {
	j.t.Helper()
	cmds, err := DecodeCommands(EncodeCommands([]Command{c}))
	if err != nil {
		j.t.Fatalf("decode %T: %v", c, err)
	}
	before := j.state.Encode()
	next := j.state.Clone()
	r := next.Apply(j.state.Number()+1, cmds)[0]
	if !bytes.Equal(before, j.state.Encode()) {
		j.t.Fatalf("%s changed a published state", Describe(c))
	}
	if r.Err != nil {
		cp := j.state.Clone()
		cp.number, cp.registered = next.number, next.registered
		if !bytes.Equal(cp.Encode(), next.Encode()) {
			j.t.Fatalf("%s was rejected (%v) and left a trace", Describe(c), r.Err)
		}
	}
	for _, err := range next.Check() {
		j.t.Errorf("after %s: %v", Describe(c), err)
	}
	again, err := DecodeState(next.Encode())
	if err != nil {
		j.t.Fatal(err)
	}
	if !bytes.Equal(again.Encode(), next.Encode()) || again.refs.len() != next.refs.len() {
		j.t.Fatalf("after %s: a snapshot is not the state", Describe(c))
	}
	j.state = next
	return r
}

func (j *journal) ok(c Command) Result {
	j.t.Helper()
	r := j.do(c)
	if r.Err != nil {
		j.t.Fatalf("%s: %v", Describe(c), r.Err)
	}
	return r
}

func (j *journal) rejects(c Command, want error) {
	j.t.Helper()
	if r := j.do(c); !errors.Is(r.Err, want) {
		j.t.Fatalf("%s: %v, want %v", Describe(c), r.Err, want)
	}
}

func (j *journal) session() uint64 {
	j.t.Helper()
	return j.ok(&RegisterSession{Node: 1}).ID
}

func (j *journal) topic(name string, owners ...uint64) record.TopicID {
	j.t.Helper()
	id := record.TopicID{1, 15: byte(len(name))}
	copy(id[1:], name)
	j.ok(&CreateTopic{Name: name, ID: id, Owners: owners})
	return id
}

func run(p record.Partition, epoch int32, base, next int64, o ObjectRef) Located {
	return Located{p, Extent{Base: base, Next: next, Epoch: epoch, Object: o, Len: 100, Records: next - base, MaxTimestamp: 5}}
}

func TestOwnerChangesOnlyAfterSealOrRelease(t *testing.T) { // S8
	j := newJournal(t)
	a, b := j.session(), j.session()
	p := record.Partition{Topic: j.topic("t", a)}
	take := &Take{Session: b, Items: []TakeItem{{p, 1, 0}}}
	if r := j.ok(take); !errors.Is(r.Item(0), ErrOwned) {
		t.Fatalf("took from a live owner: %v", r.Item(0))
	}
	j.ok(&SealSession{Session: a, Fence: 3, Extents: []Located{run(p, 0, 0, 7, WAL(a, 0)), run(p, 0, 7, 9, WAL(a, 2))}})
	if r := j.ok(take); !errors.Is(r.Item(0), ErrStale) {
		t.Fatalf("took at an offset that is not the end: %v", r.Item(0))
	}
	take.Items[0].Start = 9
	if r := j.ok(take); r.Item(0) != nil {
		t.Fatal(r.Item(0))
	}
	q, _ := j.state.Partition(p)
	if q.Owner != b || q.Epoch != 1 || q.Next != 9 {
		t.Fatalf("%+v", q)
	}
	if e, end := q.EpochEnd(0, 20); e != 0 || end != 9 {
		t.Fatalf("epoch 0 ends at %d (epoch %d)", end, e)
	}
	j.rejects(&Cover{Session: a, From: 3, To: 4}, ErrSealed)
	j.rejects(&Release{Session: a}, ErrSealed)
	j.rejects(&BeginJob{Session: a}, ErrSealed)
	j.ok(&Release{Session: b, Partitions: []record.Partition{p}, Extents: []Located{run(p, 1, 9, 12, WAL(b, 0))}})
	if q, _ := j.state.Partition(p); q.Owner != 0 || q.Next != 12 {
		t.Fatalf("%+v", q)
	}
	// The slot that the release described is covered later; nothing comes with it.
	j.rejects(&Cover{Session: b, From: 0, To: 1, Extents: []Located{run(p, 1, 9, 13, WAL(b, 0))}}, ErrInvalidExtents)
	j.ok(&Cover{Session: b, From: 0, To: 1, Extents: []Located{run(p, 1, 9, 12, WAL(b, 0))}})
}

// TestWhoHasReadAllGoesOnAfterAChangeOfOwner is for consumers of partitions that change
// hands while they hold nothing, or nothing any more: what they ask for is the end of an
// epoch that has left no record. Without one they go where auto.offset.reset says, past
// what was written meanwhile.
func TestWhoHasReadAllGoesOnAfterAChangeOfOwner(t *testing.T) {
	j := newJournal(t)
	a, b := j.session(), j.session()
	p := record.Partition{Topic: j.topic("t", a)}
	end := func(epoch int32, wantEpoch int32, want int64) {
		t.Helper()
		q, _ := j.state.Partition(p)
		if e, at := q.EpochEnd(epoch, 20); e != wantEpoch || at != want {
			t.Errorf("epoch %d ends at %d (epoch %d), want %d (epoch %d); epochs are %v", epoch, at, e, want, wantEpoch, q.Epochs)
		}
	}
	move := func(to uint64, epoch int32, at int64, runs ...Located) {
		t.Helper()
		owner, _ := j.state.Partition(p)
		j.ok(&Release{Session: owner.Owner, Partitions: []record.Partition{p}, Extents: runs})
		if r := j.ok(&Take{Session: to, Items: []TakeItem{{p, epoch, at}}}); r.Item(0) != nil {
			t.Fatal(r.Item(0))
		}
	}
	move(b, 1, 0) // before its first record
	end(0, 0, 0)
	move(a, 2, 9, run(p, 1, 0, 9, WAL(b, 0)))
	end(1, 1, 9)
	j.ok(&Trim{Items: []TrimItem{{Partition: p, LogStart: 9}}}) // of all that epoch 1 has written
	end(1, 1, 9)
	end(0, 0, 9)
	end(2, 2, 20)
	end(-1, -1, -1)
}

// A session that gives a partition up and gets it back has runs of two epochs above
// its covered mark, and another owner's lie between them, or have been merged with
// the first. The mark moves, and the session is sealed, all the same.
func TestPartitionThatComesBack(t *testing.T) { // S9, S7
	for _, c := range []struct {
		name          string
		others, merge bool
	}{{"nobody wrote meanwhile", false, false}, {"another owner wrote", true, false}, {"another owner wrote and merged", true, true}} {
		for _, end := range []string{"cover", "seal", "job", "move", "seal without it"} {
			t.Run(c.name+"/"+end, func(t *testing.T) {
				j := newJournal(t)
				a, b := j.session(), j.session()
				p := record.Partition{Topic: j.topic("t", a)}
				first := run(p, 0, 0, 5, WAL(a, 0))
				j.ok(&Release{Session: a, Partitions: []record.Partition{p}, Extents: []Located{first}})
				next, epoch := int64(5), int32(0)
				if c.others {
					j.ok(&Take{Session: b, Items: []TakeItem{{p, 1, 5}}})
					epoch, next = 1, 9
					j.ok(&Cover{Session: b, From: 0, To: 1, Extents: []Located{run(p, 1, 5, 9, WAL(b, 0))}})
					if c.merge {
						job := j.ok(&BeginJob{Session: b}).ID
						j.ok(&CommitJob{Job: job, Extents: []Located{run(p, 1, 0, 9, Seg(job, 0))}, Objects: []ObjectRef{Seg(job, 0)}})
					}
					j.ok(&Release{Session: b, Partitions: []record.Partition{p}})
				}
				extents := []Located{first}
				if end != "seal without it" {
					if r := j.ok(&Take{Session: a, Items: []TakeItem{{p, epoch + 1, next}}}); r.Item(0) != nil {
						t.Fatal(r.Item(0))
					}
					extents = append(extents, run(p, epoch+1, next, next+3, WAL(a, 1)))
					next += 3
				}
				switch end {
				case "cover":
					j.ok(&Cover{Session: a, From: 0, To: 2, Extents: extents})
				case "move":
					j.ok(&Move{Old: a, New: b, Fence: 2, Extents: extents})
				case "job":
					job := j.ok(&BeginJob{Session: a}).ID
					for i := range extents {
						extents[i].Object = Seg(job, 0)
					}
					j.ok(&CommitJob{Job: job, From: 0, To: 2, Extents: extents, Objects: []ObjectRef{Seg(job, 0)}})
				default:
					j.ok(&SealSession{Session: a, Fence: 2, Extents: extents})
				}
				q, _ := j.state.Partition(p)
				if q.Next != next {
					t.Errorf("the log ends at %d, want %d", q.Next, next)
				}
				if c.merge && q.Extents[0].Object.Kind == KindWAL {
					t.Error("what was merged is described by its WAL object again")
				}
			})
		}
	}
}

func TestSealIsRejectedWhenTheWalkWasTooOld(t *testing.T) { // S7
	j := newJournal(t)
	a := j.session()
	p := record.Partition{Topic: j.topic("t", a)}
	j.ok(&Cover{Session: a, From: 0, To: 5, Extents: []Located{run(p, 0, 0, 50, WAL(a, 4))}})
	j.rejects(&SealSession{Session: a, Covered: 0, Fence: 9}, ErrStale)
	j.rejects(&SealSession{Session: a, Covered: 5, Fence: 4}, ErrStale)
	j.ok(&SealSession{Session: a, Covered: 5, Fence: 9})
	j.rejects(&SealSession{Session: a, Covered: 5, Fence: 9}, ErrSealed)
}

func TestJobsEndWithTheirSession(t *testing.T) { // S12
	j := newJournal(t)
	a, b := j.session(), j.session()
	p := record.Partition{Topic: j.topic("t", a)}
	j.ok(&Cover{Session: a, From: 0, To: 1, Extents: []Located{run(p, 0, 0, 5, WAL(a, 0))}})
	job := j.ok(&BeginJob{Session: a}).ID
	j.ok(&SealSession{Session: a, Covered: 1, Fence: 1})
	j.rejects(&CommitJob{Job: job, Extents: []Located{run(p, 0, 0, 5, Seg(job, 0))}}, ErrNoJob)
	if !j.state.IsGarbage(Cancelled(job)) {
		t.Fatal("nobody will delete what the job put")
	}
	job = j.ok(&BeginJob{Session: b}).ID
	j.rejects(&SweepSession{Session: a}, ErrStale)                                                 // S10: an extent lies in its WAL
	j.rejects(&CommitJob{Job: job, Extents: []Located{run(p, 0, 0, 5, Seg(job, 0))}}, ErrNotOwner) // S2: it does not know the producers
	j.ok(&Take{Session: b, Items: []TakeItem{{p, 1, 5}}})
	j.ok(&CommitJob{Job: job, Extents: []Located{run(p, 0, 0, 5, Seg(job, 0))}, Objects: []ObjectRef{Seg(job, 0), Seg(job, 1)}})
	if !j.state.IsGarbage(Seg(job, 1)) || j.state.IsGarbage(Seg(job, 0)) {
		t.Fatal("an object that nothing refers to must be garbage, and no other")
	}
	j.ok(&SweepSession{Session: a})
	j.ok(&ForgetSession{Session: a})
	j.ok(&SealSession{Session: b})
	j.ok(&SweepSession{Session: b})
	j.rejects(&ForgetSession{Session: b}, ErrOwned)
	j.rejects(&SealSession{Session: a, Covered: 1, Fence: 1}, ErrNoSession)
}

func TestJobsOfTwoEntriesNeverHaveOneID(t *testing.T) { // S12: it is in the names of objects
	j := newJournal(t)
	a := j.session()
	entry := make([]Command, 1025)
	for i := range entry {
		entry[i] = &BeginJob{Session: a}
	}
	seen := map[uint64]bool{}
	for range 2 {
		next := j.state.Clone()
		for i, r := range next.Apply(next.Number()+1, entry) {
			if r.Err == nil && seen[r.ID] {
				t.Fatalf("job %d began twice, as command %d too", r.ID, i)
			}
			seen[r.ID] = true
		}
		j.state = next
	}
}

func TestSealingReplacesWhatDescribedTheSameOffsets(t *testing.T) {
	j := newJournal(t)
	a := j.session()
	p := record.Partition{Topic: j.topic("t", a)}
	j.ok(&Cover{Session: a, From: 0, To: 2, Extents: []Located{run(p, 0, 0, 5, WAL(a, 0)), run(p, 0, 5, 8, WAL(a, 1))}})
	job := j.ok(&BeginJob{Session: a}).ID
	j.rejects(&CommitJob{Job: job, Extents: []Located{run(p, 0, 0, 6, Seg(job, 0))}}, ErrInvalidExtents)
	j.rejects(&CommitJob{Job: job, Extents: []Located{run(p, 0, 8, 9, Seg(job, 0))}}, ErrInvalidExtents) // a compaction never grows a log
	j.ok(&CommitJob{Job: job, From: 2, To: 4, Extents: []Located{run(p, 0, 0, 8, Seg(job, 0)), run(p, 0, 8, 20, Seg(job, 0))}, Objects: []ObjectRef{Seg(job, 0)}})
	q, _ := j.state.Partition(p)
	if len(q.Extents) != 2 || q.Next != 20 || j.state.Refs(Seg(job, 0)) != 2 || j.state.Refs(WAL(a, 0)) != 0 {
		t.Fatalf("%+v", q)
	}
	job2 := j.ok(&BeginJob{Session: a}).ID
	line := IndexRef{Base: 0, Next: 8, Object: Index(job2, 0), Extents: 1, Bytes: 100, MaxTimestamp: 5}
	j.rejects(&CommitJob{Job: job2, Presses: []Press{{p, line}}}, ErrInvalidExtents) // the object is not pressed as a whole
	line.Next, line.Extents, line.Bytes = 20, 2, 200
	j.ok(&CommitJob{Job: job2, Presses: []Press{{p, line}}})
	j.ok(&Trim{Items: []TrimItem{{p, 19}}})
	if q, _ := j.state.Partition(p); len(q.Index) != 1 || q.LogStart != 19 {
		t.Fatalf("%+v", q)
	}
	j.ok(&Trim{Items: []TrimItem{{p, 20}}})
	if !j.state.IsGarbage(Index(job2, 0)) {
		t.Fatal("an index line below the log start must be garbage")
	}
	j.ok(&DeleteTopic{ID: p.Topic})
}

func TestNeighbouringIndexLinesBecomeOne(t *testing.T) {
	j := newJournal(t)
	a := j.session()
	p := record.Partition{Topic: j.topic("t", a)}
	c := &Cover{Session: a, To: 1}
	for i := range int64(8) {
		c.Extents = append(c.Extents, run(p, 0, i, i+1, Seg(77, uint64(i))))
	}
	j.ok(c)
	number := uint64(0)
	line := func(job uint64, base, next int64) Press {
		number++
		return Press{p, IndexRef{Base: base, Next: next, Object: Index(job, number), Extents: int32(next - base), Bytes: 100 * (next - base), MaxTimestamp: 5}}
	}
	job := func() uint64 { return j.ok(&BeginJob{Session: a}).ID }
	for i := range int64(4) {
		n := job()
		j.ok(&CommitJob{Job: n, Presses: []Press{line(n, i, i+1)}})
	}
	old, _ := j.state.Partition(p)
	n := job()
	for _, bad := range []Press{line(n, 1, 2), line(n, 2, 2), line(n, 3, 2), line(n, 1, 9), line(n, -1, 2)} {
		j.rejects(&CommitJob{Job: n, Presses: []Press{bad}}, ErrStale)
	}
	j.ok(&CommitJob{Job: n, Presses: []Press{line(n, 1, 3)}})
	got, _ := j.state.Partition(p)
	if len(got.Index) != 3 || got.Index[1].Base != 1 || got.Index[1].Next != 3 || len(got.Extents) != 4 {
		t.Fatalf("%+v", got)
	}
	for i, l := range old.Index {
		if gone := i == 1 || i == 2; j.state.IsGarbage(l.Object) != gone {
			t.Errorf("line %d: garbage %v", i, !gone)
		}
	}
	// A line that would be split is stale.
	n = job()
	j.rejects(&CommitJob{Job: n, Presses: []Press{line(n, 2, 4)}}, ErrStale)
	j.rejects(&CommitJob{Job: n, Presses: []Press{line(n, 0, 2)}}, ErrStale)
	// Of two that overlap in one job the second counts for nothing, and what it lists lives on.
	first, second := line(n, 0, 3), line(n, 1, 4)
	j.ok(&CommitJob{Job: n, Presses: []Press{first, second}})
	got, _ = j.state.Partition(p)
	if len(got.Index) != 2 || got.Index[0] != first.Line || !j.state.IsGarbage(second.Line.Object) {
		t.Fatalf("%+v", got)
	}
	for ref := range j.state.Garbage() {
		if ref.Kind == KindIndex {
			t.Errorf("%s would be deleted with what it lists", ref)
		}
	}
	// Lines and extents together, as before.
	n = job()
	j.ok(&CommitJob{Job: n, Presses: []Press{line(n, 3, 6)}})
	if got, _ = j.state.Partition(p); len(got.Index) != 2 || len(got.Extents) != 2 {
		t.Fatalf("%+v", got)
	}
}

// What is given up is given up run by run, of that object alone, and only while nobody has
// pressed it elsewhere; the log stays as long as it was.
func TestWhatIsGivenUpLeavesAHoleAndNothingElse(t *testing.T) {
	j := newJournal(t)
	a := j.session()
	p := record.Partition{Topic: j.topic("t", a, a)}
	q := record.Partition{Topic: p.Topic, Index: 1}
	j.ok(&Cover{Session: a, From: 0, To: 1, Extents: []Located{run(p, 0, 0, 5, WAL(a, 0)), run(q, 0, 0, 3, WAL(a, 0))}})
	j.ok(&Cover{Session: a, From: 1, To: 2, Extents: []Located{run(p, 0, 5, 9, WAL(a, 1))}})
	j.ok(&SealSession{Session: a, Covered: 2, Fence: 2})
	b := j.session()
	job := j.ok(&BeginJob{Session: b}).ID
	filler := func(id record.Partition, base, next int64) Located {
		x := run(id, 0, base, next, Seg(job, 0))
		x.Records, x.MaxTimestamp = 0, -1
		return x
	}
	give := func(lost ObjectRef, fillers ...Located) *GiveUp {
		return &GiveUp{Job: job, Lost: lost, Fillers: fillers}
	}
	all := []Located{filler(p, 0, 5), filler(q, 0, 3)}
	full := filler(p, 0, 5)
	full.Records = 5
	foreign := filler(p, 0, 5)
	foreign.Object = Seg(job+1, 0)
	later := filler(p, 0, 5)
	later.Epoch = 1
	j.rejects(give(WAL(a, 1), all...), ErrStale)
	j.rejects(give(WAL(a, 0), filler(p, 0, 4)), ErrStale)
	j.rejects(give(WAL(a, 0), filler(p, 0, 9)), ErrStale)
	j.rejects(give(WAL(a, 0), later), ErrStale)
	j.rejects(give(WAL(a, 0), filler(p, 9, 11)), ErrStale)
	j.rejects(give(WAL(a, 0), all[1], all[0]), ErrInvalidExtents)
	j.rejects(give(WAL(a, 0), full), ErrInvalidExtents)
	j.rejects(give(WAL(a, 0), foreign), ErrInvalidExtents)
	j.rejects(&GiveUp{Job: job + 1, Lost: WAL(a, 0), Fillers: []Located{foreign}}, ErrNoJob)
	if got := j.state.RunsIn(WAL(a, 0)); len(got) != 2 || got[0].Partition != p || got[1].Partition != q {
		t.Fatalf("%+v", got)
	}
	gone := give(WAL(a, 0), all...)
	gone.Fillers = append(gone.Fillers, Located{record.Partition{Topic: record.TopicID{255}}, filler(p, 0, 1).Extent})
	j.ok(gone)
	x, _ := j.state.Partition(p)
	if x.Next != 9 || len(x.Extents) != 2 || x.Extents[0].Object != Seg(job, 0) || x.Extents[1].Object != WAL(a, 1) {
		t.Fatalf("%+v", x)
	}
	if y, _ := j.state.Partition(q); y.Next != 3 || len(y.Extents) != 1 || y.Extents[0].Records != 0 {
		t.Fatalf("%+v", y)
	}
	if j.state.Refs(WAL(a, 0)) != 0 || j.state.Refs(Seg(job, 0)) != 2 || len(j.state.Jobs()) != 0 {
		t.Fatal("the lost object is still referred to, or the job is open")
	}
	j.rejects(gone, ErrNoJob)
}

// Who could still read a run has pressed it elsewhere before it was given up: it stays.
func TestWhatWasPressedMeanwhileIsNotGivenUp(t *testing.T) {
	j := newJournal(t)
	a := j.session()
	p := record.Partition{Topic: j.topic("t", a)}
	j.ok(&Cover{Session: a, From: 0, To: 1, Extents: []Located{run(p, 0, 0, 5, WAL(a, 0))}})
	job, press := j.ok(&BeginJob{Session: a}).ID, j.ok(&BeginJob{Session: a}).ID
	j.ok(&CommitJob{Job: press, Extents: []Located{run(p, 0, 0, 5, Seg(press, 0))}, Objects: []ObjectRef{Seg(press, 0)}})
	f := run(p, 0, 0, 5, Seg(job, 0))
	f.Records = 0
	j.rejects(&GiveUp{Job: job, Lost: WAL(a, 0), Fillers: []Located{f}}, ErrStale)
	j.ok(&Trim{Items: []TrimItem{{p, 5}}})
	j.ok(&GiveUp{Job: job, Lost: WAL(a, 0), Fillers: []Located{f}}) // retention took it: nothing is to be given up
	if x, _ := j.state.Partition(p); len(x.Extents) != 0 || !j.state.IsGarbage(Seg(job, 0)) {
		t.Fatalf("%+v", x)
	}
}

func TestMoveHandsOverEverythingAtOnce(t *testing.T) { // S9
	j := newJournal(t)
	a := j.session()
	id := j.topic("t", a, a, a)
	b := j.session()
	p1 := record.Partition{Topic: id, Index: 1}
	j.ok(&Move{Old: a, New: b, Fence: 2, Extents: []Located{run(p1, 0, 0, 4, WAL(a, 1))}})
	if len(j.state.Owned(a)) != 0 || len(j.state.Owned(b)) != 3 {
		t.Fatal("not all partitions moved")
	}
	if v, _ := j.state.Session(a); !v.Sealed || v.Fence != 2 {
		t.Fatalf("%+v", v)
	}
	if p, _ := j.state.Partition(p1); p.Epoch != 0 || len(p.Epochs) != 1 {
		t.Fatalf("a rotation of the same node is no new leader: %+v", p)
	}
	c := j.ok(&RegisterSession{Node: 2}).ID
	j.ok(&Move{Old: b, New: c})
	if p, _ := j.state.Partition(p1); p.Epoch != 1 || len(p.Epochs) != 2 {
		t.Fatalf("another node is a new leader: %+v", p)
	}
}

// States of the journal share slices, each adding behind the one before it. A look at
// what a command would do must not write there.
func TestAForkChangesNoOtherState(t *testing.T) {
	j := newJournal(t)
	a := j.session()
	p := record.Partition{Topic: j.topic("t", a)}
	for slot := range uint64(3) { // the slice has room for one more
		at := int64(slot)
		j.ok(&Cover{Session: a, From: slot, To: slot + 1, Extents: []Located{run(p, 0, at, at+1, WAL(a, slot))}})
	}
	before := j.state
	j.ok(&Cover{Session: a, From: 3, To: 4, Extents: []Located{run(p, 0, 3, 4, WAL(a, 3))}})
	fork := before.Fork()
	if r := fork.Apply(before.Number()+1, []Command{&SealSession{Session: a, Covered: 3, Fence: 5, Extents: []Located{run(p, 0, 3, 9, WAL(a, 4))}}}); r[0].Err != nil {
		t.Fatal(r[0].Err)
	}
	if c, _ := j.state.Partition(p); c.Extents[3].Object != WAL(a, 3) || c.Extents[3].Next != 4 {
		t.Errorf("the journal's state has %+v, which was only looked at", c.Extents[3])
	}
	if c, _ := fork.Partition(p); c.Next != 9 {
		t.Errorf("the fork ends at %d", c.Next)
	}
}

// Readers have the states that came before, without a lock.
func TestDeletingATopicChangesNoOtherState(t *testing.T) {
	j := newJournal(t)
	a := j.session()
	p := record.Partition{Topic: j.topic("t", a)}
	j.ok(&Cover{Session: a, To: 1, Extents: []Located{run(p, 0, 0, 5, WAL(a, 0))}})
	before := j.state
	j.ok(&DeleteTopic{ID: p.Topic})
	for _, err := range before.Check() {
		t.Error(err)
	}
}

func TestTopicNames(t *testing.T) { // kafka.md 16
	j := newJournal(t)
	j.topic("a.b", 0)
	for name, want := range map[string]error{"": ErrInvalidTopic, ".": ErrInvalidTopic, "..": ErrInvalidTopic, "a b": ErrInvalidTopic, "a_b": ErrInvalidTopic, "a.b": ErrExists, string(bytes.Repeat([]byte("x"), 250)): ErrInvalidTopic} {
		if err := j.state.CheckNewTopic(name); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", name, err, want)
		}
	}
}

func TestConfigsAreSortedAndTheirDefaultsLegal(t *testing.T) {
	if !slices.IsSortedFunc(topicConfigs, func(a, b ConfigSpec) int { return bytes.Compare([]byte(a.Name), []byte(b.Name)) }) {
		t.Fatal("TopicConfig searches a list that is not sorted")
	}
	for _, c := range topicConfigs {
		if err := c.Check(c.Default); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range [][2]string{{"retention.ms", "x"}, {"retention.ms", "-2"}, {"cleanup.policy", "never"}, {"nonsense", "1"}, {"remote.storage.enable", "false"}, {"preallocate", "1"}} {
		if err := CheckTopicConfig(bad[0], bad[1]); !errors.Is(err, ErrInvalidConfig) {
			t.Errorf("%s=%s: %v", bad[0], bad[1], err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	j := newJournal(f)
	a := j.session()
	p := record.Partition{Topic: j.topic("t", a)}
	j.ok(&Cover{Session: a, From: 0, To: 1, Extents: []Located{run(p, 0, 0, 5, WAL(a, 0))}})
	f.Add(j.state.Encode())
	f.Add(EncodeCommands([]Command{&GiveUp{Job: 1, Lost: WAL(a, 0), Fillers: []Located{run(p, 0, 0, 5, Seg(1, 0))}}, &BeginJob{1}, &Cover{Session: 2, Extents: []Located{run(p, 0, 0, 5, WAL(a, 0))}}}))
	f.Add(EncodeExtents([]Extent{{Base: 1, Next: 2}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = DecodeState(b)
		_, _ = DecodeCommands(b)
		_, _ = DecodeExtents(b)
	})
}

func TestRandomSchedules(t *testing.T) {
	for seed := range uint64(300) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { randomSchedule(t, rand.New(rand.NewPCG(seed, 1))) })
	}
}

// randomSchedule throws commands, sensible and absurd, at the state; journal.do
// checks every invariant after each.
func randomSchedule(t *testing.T, r *rand.Rand) {
	j := newJournal(t)
	var sessions, jobs []uint64
	var topics []record.TopicID
	pick := func(v []uint64) uint64 {
		if len(v) == 0 || r.IntN(20) == 0 {
			return r.Uint64N(40)
		}
		return v[r.IntN(len(v))]
	}
	partition := func() record.Partition {
		if len(topics) == 0 {
			return record.Partition{}
		}
		return record.Partition{Topic: topics[r.IntN(len(topics))], Index: r.Int32N(3)}
	}
	runs := func(session uint64, o ObjectRef) []Located {
		var out []Located
		for _, id := range j.state.Owned(session) {
			if p, ok := j.state.Partition(id); ok && r.IntN(2) == 0 {
				base := p.Next
				if n := len(p.Extents); n > 0 && r.IntN(2) == 0 {
					base = p.Extents[r.IntN(n)].Base
				}
				next := base + 1 + r.Int64N(5)
				if r.IntN(2) == 0 {
					next = max(next, p.Next)
				}
				out = append(out, run(id, p.Epoch, base, next, o))
			}
		}
		return out
	}
	for range 60 {
		s := pick(sessions)
		var covered uint64
		if v, ok := j.state.Session(s); ok {
			covered = v.Covered
		}
		switch r.IntN(15) {
		case 0:
			sessions = append(sessions, j.session())
		case 1:
			id := record.TopicID{byte(len(topics)), 1}
			j.do(&CreateTopic{Name: fmt.Sprint("t", len(topics)), ID: id, Owners: []uint64{pick(sessions), pick(sessions), 0}})
			topics = append(topics, id)
		case 2:
			j.do(&SealSession{Session: s, Covered: covered, Fence: covered + r.Uint64N(3), Extents: runs(s, WAL(s, covered))})
		case 3, 4, 5:
			j.do(&Cover{Session: s, From: covered, To: covered + r.Uint64N(3), Extents: runs(s, WAL(s, covered))})
		case 6:
			var items []TakeItem
			for range 3 {
				id := partition()
				if p, ok := j.state.Partition(id); ok {
					items = append(items, TakeItem{id, p.Epoch + 1, p.Next - r.Int64N(2)})
				}
			}
			j.do(&Take{Session: s, Items: items})
		case 7:
			j.do(&Release{Session: s, Partitions: []record.Partition{partition()}, Extents: runs(s, WAL(s, covered))})
		case 8:
			j.do(&Move{Old: s, New: pick(sessions), Covered: covered, Fence: covered + 1, Extents: runs(s, WAL(s, covered))})
		case 9:
			if res := j.do(&BeginJob{Session: s}); res.Err == nil {
				jobs = append(jobs, res.ID)
			}
		case 10:
			job := pick(jobs)
			c := &CommitJob{Job: job, Extents: runs(s, Seg(job, 0)), Objects: []ObjectRef{Seg(job, 0), Seg(job, 1)}}
			if r.IntN(2) == 0 {
				c.From, c.To = covered, covered+1
			}
			j.do(c)
		case 11:
			j.do(&Trim{Items: []TrimItem{{partition(), r.Int64N(30)}}})
		case 12:
			id := partition()
			p, ok := j.state.Partition(id)
			job := pick(jobs)
			if ok && len(p.Extents) > 0 {
				n := 1 + r.IntN(len(p.Extents))
				j.do(&CommitJob{Job: job, Presses: []Press{{id, IndexRef{Base: p.Extents[0].Base, Next: p.Extents[n-1].Next, Object: Index(job, 0), Extents: int32(n), Bytes: int64(n) * 100}}}})
			}
		case 14:
			if p, ok := j.state.Partition(partition()); ok && len(p.Extents) > 0 {
				job, x := pick(jobs), p.Extents[r.IntN(len(p.Extents))]
				g := &GiveUp{Job: job, Lost: x.Object}
				for _, f := range j.state.RunsIn(x.Object) {
					if r.IntN(4) > 0 {
						f.Object, f.Records = Seg(job, 7), 0
						g.Fillers = append(g.Fillers, f)
					}
				}
				j.do(g)
			}
		case 13:
			switch r.IntN(4) {
			case 0:
				j.do(&DeleteTopic{ID: partition().Topic})
			case 1:
				j.do(&SweepSession{Session: s})
			case 2:
				j.do(&ForgetSession{Session: s})
			case 3:
				j.do(&CancelJob{Job: pick(jobs)})
			}
		}
	}
}

// Whoever ends a log or moves a covered mark may be wrong about what there is to describe.
// What somebody else was told of is not lost by that: the command is refused (I9).
func TestNoLogEndsBeforeWhatIsCommitted(t *testing.T) {
	j := newJournal(t)
	a, b := j.session(), j.session()
	topic := j.topic("t", a, a)
	p, q := record.Partition{Topic: topic}, record.Partition{Topic: topic, Index: 1}
	both := []Located{run(p, 0, 0, 7, WAL(a, 0)), run(q, 0, 0, 4, WAL(a, 0))}
	tips := []Tip{{p, 7}, {q, 4}}
	job := j.ok(&BeginJob{Session: a}).ID
	for _, less := range [][]Located{nil, both[:1], both[1:], {both[0], run(q, 0, 0, 3, WAL(a, 0))}} {
		j.rejects(&SealSession{Session: a, Fence: 1, Extents: less, Tips: tips}, ErrInvalidExtents)
		j.rejects(&Move{Old: a, New: b, Fence: 1, Extents: less, Tips: tips}, ErrInvalidExtents)
		j.rejects(&Release{Session: a, Partitions: []record.Partition{p, q}, Extents: less, Tips: tips}, ErrInvalidExtents)
		j.rejects(&CommitJob{Job: job, To: 1, Extents: less, Tips: tips}, ErrInvalidExtents)
	}
	j.ok(&Release{Session: a, Partitions: []record.Partition{q}, Extents: both[1:], Tips: tips[1:]})
	// What is described already may be left out, and what was deleted is nobody's.
	gone := Tip{record.Partition{Topic: record.TopicID{9}}, 5}
	j.ok(&SealSession{Session: a, Fence: 1, Extents: both[:1], Tips: append(tips, gone)})
	for id, next := range map[record.Partition]int64{p: 7, q: 4} {
		if c, _ := j.state.Partition(id); c.Next != next {
			t.Errorf("%s ends at %d, want %d", id, c.Next, next)
		}
	}
}

// Entries that older programs wrote have no tips, and are read.
func TestEntriesWithoutTipsAreRead(t *testing.T) {
	e := encoder{b: []byte{1, 1, byte(kindSealSession)}}
	e.u(5)
	e.u(2)
	e.u(3)
	e.located(nil)
	cmds, err := DecodeCommands(e.b)
	if c, ok := cmds[0].(*SealSession); err != nil || !ok || c.Session != 5 || c.Fence != 3 || c.Tips != nil {
		t.Fatal(cmds, err)
	}
	for _, v := range []byte{0, entryVersion + 1} {
		e.b[0] = v
		if _, err := DecodeCommands(e.b); !errors.Is(err, ErrVersion) {
			t.Errorf("version %d: %v", v, err)
		}
	}
}
