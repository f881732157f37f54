package group

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// world is a machine among clients that do what they like, a log that is slow, and
// a coordinator that crashes.
type world struct {
	m        *Machine
	now      int64
	log      []Record // all that was written since the machine was loaded
	base     []Record // what it was loaded from
	durable  uint64
	answers  []Answer
	asked    int
	open     map[int]string // tokens that wait, and what they asked for
	known    []string       // member ids that were given out
	ids      int
	lastGen  map[string]int32
	instance []string
}

func newWorld() *world {
	w := &world{now: 1, open: map[int]string{}, lastGen: map[string]int32{}, instance: []string{"i0", "i1"}}
	w.load(Config{InitialDelayMs: 500})
	return w
}

func (w *world) load(c Config) {
	w.m = New(c, func(p string) string { w.ids++; return fmt.Sprint(p, "-", w.ids) })
	for _, r := range w.base {
		w.m.Replay(r.Key, r.Value)
	}
	w.m.Loaded(w.now, w.now)
	w.log, w.answers, w.durable = nil, nil, 0
}

func (w *world) token(what string) int {
	w.asked++
	w.open[w.asked] = what
	return w.asked
}

// take checks what comes out and gives the answers that may be given.
func (w *world) take(t *rapid.T) {
	out := w.m.Take()
	w.log = append(w.log, out.Records...)
	w.answers = append(w.answers, out.Answers...)
	waiting := w.answers[:0]
	for _, a := range w.answers {
		if a.After > uint64(len(w.log)) {
			t.Fatalf("G3: an answer waits for record %d of %d", a.After, len(w.log))
		}
		if a.After > w.durable {
			waiting = append(waiting, a)
			continue
		}
		w.give(t, a)
	}
	w.answers = waiting
	for id, g := range w.m.groups {
		if g.recorded && g.generation < w.lastGen[id] {
			t.Fatalf("G2: %s went from generation %d to %d", id, w.lastGen[id], g.generation)
		}
		w.lastGen[id] = g.generation
	}
	maps.DeleteFunc(w.lastGen, func(id string, _ int32) bool { return w.m.groups[id] == nil })
}

func (w *world) give(t *rapid.T, a Answer) {
	token := a.Token.(int)
	what, ok := w.open[token]
	if !ok {
		t.Fatalf("G1: %d is answered twice", token)
	}
	delete(w.open, token)
	switch r := a.Response.(type) {
	case JoinResponse:
		if r.MemberID != "" {
			w.known = append(w.known, r.MemberID)
		}
		if r.Err == nil && (r.Leader == r.MemberID) != (len(r.Members) > 0) {
			t.Fatalf("G2: %s is told of %d members, and that %s leads", r.MemberID, len(r.Members), r.Leader)
		}
	case FetchResponse:
		// G3: it tells what the durable part of the log says, no more and no less than
		// what was there when it was made.
		id := what
		n := New(Config{}, nil)
		for _, x := range slices.Concat(w.base, w.log[:a.After]) {
			n.Replay(x.Key, x.Value)
		}
		if want := n.Fetch(&FetchRequest{Group: id, All: true}); !reflect.DeepEqual(want.Offsets, r.Offsets) {
			t.Fatalf("G3: %s: told %v, the log says %v", id, r.Offsets, want.Offsets)
		}
	}
}

// TestAnythingMayHappen: whatever clients ask, whenever, and however slow the log
// is, every request is answered once (G1), groups are sound (G2), nothing is told
// before it is durable (G3), and a machine that is loaded from the log agrees with
// the one that wrote it.
func TestAnythingMayHappen(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		group := rapid.SampledFrom([]string{"g", "h"})
		member := rapid.Custom(func(t *rapid.T) string {
			age := rapid.IntRange(-2, 7).Draw(t, "age")
			if len(w.known) == 0 || age < 0 {
				return ""
			}
			return w.known[max(0, len(w.known)-1-age)]
		})
		instance := rapid.Custom(func(t *rapid.T) *string {
			if i := rapid.IntRange(0, 4).Draw(t, "instance"); i < 2 {
				return &w.instance[i]
			}
			return nil
		})
		generation := func(t *rapid.T, id string) int32 {
			if g := w.m.groups[id]; g != nil && rapid.IntRange(0, 9).Draw(t, "right") > 0 {
				return g.generation
			}
			return rapid.Int32Range(-1, 3).Draw(t, "gen")
		}
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				w.take(t)
				audit(t, w.m)
			},
			"join": func(t *rapid.T) {
				protocols := []Protocol{{"range", subscriptionTo("t")}, {"sticky", subscriptionTo("t", "u")}, {"odd", []byte("x")}}
				from := rapid.IntRange(0, 2).Draw(t, "protocol")
				r := &JoinRequest{
					Group: group.Draw(t, "group"), MemberID: member.Draw(t, "member"), InstanceID: instance.Draw(t, "static"), ClientID: "c",
					SessionTimeoutMs: rapid.Int32Range(6000, 12000).Draw(t, "session"), RebalanceTimeoutMs: rapid.Int32Range(-1, 9000).Draw(t, "rebalance"),
					ProtocolType: rapid.SampledFrom([]string{"consumer", "consumer", "consumer", "connect"}).Draw(t, "type"),
					Protocols:    protocols[:from+1], NeedMemberID: rapid.Bool().Draw(t, "v4"), CanSkip: rapid.Bool().Draw(t, "v9"),
				}
				w.m.Join(w.now, w.now, r, w.token("join"))
			},
			"sync": func(t *rapid.T) {
				id := group.Draw(t, "group")
				r := &SyncRequest{Group: id, MemberID: member.Draw(t, "member"), InstanceID: instance.Draw(t, "static"), Generation: generation(t, id)}
				if g := w.m.groups[id]; g != nil {
					for _, x := range g.members {
						r.Assignments = append(r.Assignments, Assignment{x.id, []byte("part of " + x.id)})
					}
					if rapid.Bool().Draw(t, "leader") {
						r.MemberID, r.InstanceID = g.leader, nil
					}
				}
				w.m.Sync(w.now, w.now, r, w.token("sync"))
			},
			"heartbeat": func(t *rapid.T) {
				id := group.Draw(t, "group")
				_ = w.m.Heartbeat(w.now, &HeartbeatRequest{Group: id, MemberID: member.Draw(t, "member"), InstanceID: instance.Draw(t, "static"), Generation: generation(t, id)})
			},
			"leave": func(t *rapid.T) {
				id := group.Draw(t, "group")
				r := w.m.Leave(w.now, w.now, &LeaveRequest{Group: id, Members: []LeaveMember{{member.Draw(t, "member"), instance.Draw(t, "static")}}})
				w.m.AnswerFor(id, w.token("leave"), r)
			},
			"commit": func(t *rapid.T) {
				id := group.Draw(t, "group")
				tp := TopicPartition{rapid.SampledFrom([]string{"t", "u"}).Draw(t, "topic"), 0}
				r := &CommitRequest{Group: id, MemberID: member.Draw(t, "member"), Generation: generation(t, id),
					Offsets: []Offset{{TopicPartition: tp, Offset: rapid.Int64Range(0, 1000).Draw(t, "offset"), LeaderEpoch: 1}}}
				w.m.AnswerFor(id, w.token("commit"), w.m.Commit(w.now, w.now, r))
			},
			"fetch": func(t *rapid.T) {
				id := group.Draw(t, "group")
				w.m.AnswerFor(id, w.token(id), w.m.Fetch(&FetchRequest{Group: id, All: true}))
			},
			"delete": func(t *rapid.T) {
				id := group.Draw(t, "group")
				if rapid.Bool().Draw(t, "group or offsets") {
					w.m.AnswerFor(id, w.token("delete"), w.m.Delete(id))
				} else {
					w.m.AnswerFor(id, w.token("delete"), w.m.DeleteOffsets(&DeleteOffsetsRequest{Group: id, Partitions: []TopicPartition{{"t", 0}, {"u", 0}}}))
				}
			},
			"wait": func(t *rapid.T) {
				w.now += rapid.Int64Range(1, 8000).Draw(t, "ms")
				w.m.Tick(w.now, w.now)
			},
			"durable": func(t *rapid.T) {
				w.durable = min(w.durable+rapid.Uint64Range(0, 4).Draw(t, "records"), uint64(len(w.log)))
			},
			"crash": func(t *rapid.T) {
				if rapid.IntRange(0, 3).Draw(t, "really") > 0 {
					return
				}
				// What was not durable may be in the log all the same, or not.
				kept := rapid.Uint64Range(w.durable, uint64(len(w.log))).Draw(t, "kept")
				for _, a := range w.answers {
					delete(w.open, a.Token.(int))
				}
				for _, token := range w.m.Waiting() {
					if _, ok := w.open[token.(int)]; !ok {
						t.Fatalf("G1: %d waits and was answered", token)
					}
					delete(w.open, token.(int))
				}
				if len(w.open) > 0 {
					t.Fatalf("G1: nobody knows of %v", w.open)
				}
				w.base = slices.Concat(w.base, w.log[:kept])
				w.lastGen = map[string]int32{}
				w.load(Config{InitialDelayMs: 500})
			},
		})
		// Everybody goes silent, and the log catches up.
		for range 100 {
			w.now += 10000
			w.m.Tick(w.now, w.now)
			w.take(t)
			w.durable = uint64(len(w.log))
			w.take(t)
			audit(t, w.m)
		}
		if len(w.open) > 0 {
			t.Fatalf("G1: never answered: %v", w.open)
		}
		for _, g := range w.m.groups {
			if g.state != Empty {
				t.Fatalf("%s is %s though nobody is there", g.id, g.state)
			}
		}
		n := New(Config{}, nil)
		for _, r := range slices.Concat(w.base, w.log) {
			n.Replay(r.Key, r.Value)
		}
		n.Loaded(w.now, w.now)
		for id, g := range w.m.groups {
			o := n.groups[id]
			if o == nil || o.generation != g.generation || o.protocolType != g.protocolType || len(o.offsets) != len(g.offsets) {
				t.Fatalf("%s: replay gives %+v, the machine had %+v", id, o, g)
			}
		}
		if len(n.groups) != len(w.m.groups) {
			t.Fatalf("replay gives %d groups, the machine had %d", len(n.groups), len(w.m.groups))
		}
	})
}
