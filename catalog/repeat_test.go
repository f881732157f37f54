package catalog

import (
	"errors"
	"testing"

	"github.com/firnlog/firn/record"
)

// What may have been applied before is applied again only where nothing that others have
// done since is undone by it, and its answer is true of who asked.
func TestWhatMayHaveBeenDoneIsDoneAgainOnlyWhereItDoesNoHarm(t *testing.T) {
	j := newJournal(t)
	a := j.session()
	there, gone := j.topic("there", a), j.topic("gone", a)
	j.ok(&DeleteTopic{ID: gone})
	for _, c := range []struct {
		name  string
		c     Command
		want  error
		again bool
	}{
		{"a topic that is there is its own", &CreateTopic{Name: "there", ID: there, Owners: []uint64{a}}, nil, false},
		{"a topic that is not there may have been deleted", &CreateTopic{Name: "gone", ID: gone, Owners: []uint64{a}}, ErrUnsure, false},
		{"a topic is deleted", &DeleteTopic{ID: there}, nil, true},
		{"a topic is gone as was asked", &DeleteTopic{ID: gone}, nil, false},
		{"partitions were not added", &AddPartitions{ID: there, From: 1, Owners: []uint64{a}}, nil, true},
		{"partitions were added by somebody", &AddPartitions{ID: there, From: 0, Owners: []uint64{a}}, ErrUnsure, false},
		{"a config may have been altered since", &AlterTopic{ID: there}, ErrUnsure, false},
		{"a setting may have been altered since", &AlterBrokers{Node: -1}, ErrUnsure, false},
		{"ids are new", &ProducerIDs{Count: 1}, nil, true},
		{"a log start does not move back", &Trim{Items: []TrimItem{{record.Partition{Topic: there}, 0}}}, nil, true},
	} {
		before := j.state.Number()
		r, again := j.state.Repeat(c.c)
		if !errors.Is(r.Err, c.want) || again != c.again || j.state.Number() != before {
			t.Errorf("%s: %v, again %v; want %v, %v", c.name, r.Err, again, c.want, c.again)
		}
	}
}

// Who gave an object up is not told that he did not, only because he asks again.
func TestAnObjectIsGivenUpOnceAndKnownToBe(t *testing.T) {
	j := newJournal(t)
	a := j.session()
	p := record.Partition{Topic: j.topic("t", a)}
	j.ok(&Cover{Session: a, From: 0, To: 1, Extents: []Located{run(p, 0, 0, 5, WAL(a, 0))}})
	job := j.ok(&BeginJob{Session: a}).ID
	filler := run(p, 0, 0, 5, Seg(job, 0))
	filler.Records = 0
	g := &GiveUp{Job: job, Lost: WAL(a, 0), Fillers: []Located{filler}}
	check := func(when string, want error, more bool) {
		t.Helper()
		if r, again := j.state.Repeat(g); !errors.Is(r.Err, want) || again != more {
			t.Errorf("%s: %v, again %v; want %v, %v", when, r.Err, again, want, more)
		}
	}
	check("not done yet", nil, true)
	j.ok(g)
	check("done", nil, false)
	j.ok(&Trim{Items: []TrimItem{{p, 5}}})
	check("retention took what it left", ErrUnsure, false)
	g.Job = j.ok(&BeginJob{Session: a}).ID
	j.ok(&CancelJob{Job: g.Job})
	check("the job was cancelled", ErrUnsure, false)
}
