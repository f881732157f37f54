package ingest

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/firnlog/firn/record"
)

// The model explores every order of events in a small world: a broker A with the
// session 0 and its heir B with the session 1, one partition, at most three slots
// for A and one for B, a window of two, a store whose puts may be answered, lose
// their answer, be delivered late, twice, or be refused with 409; two processes
// that fence A, of which one may die with its fence under way; a catalog; an owner
// that moves the covered mark; a compactor and a garbage collector.
//
// It drives Machine, Settle and Walk themselves. What it asserts after each event:
//
// A put that is slow may be hedged: a second attempt is sent beside it (S5).
//
//	P1  what was acknowledged with acks=all can be read, and always will be: it is
//	    described by the catalog with its bytes there, or it lies in the committed
//	    prefix of a session that is not sealed, where a fencer must find it
//	P3  an offset names one record, whoever acknowledged or recorded it
//	S2  what was refused for good is never found in the log
//	S6  all who fence a session find the same end (once its objects are deleted,
//	    a late fence may fill a gap that was none: its seal comes too late)
//
// Each planted shortcut must break one of them: a model that cannot fail proves
// nothing.

const (
	modelSlots = 3 // slots that A may bind
	modelCells = 4 // and one for a fence behind them
	modelSends = 2 // attempts of one put at most
	fenceMark  = "#"
)

// variant is a way to decide that is not ours. The zero variant is.
type variant struct {
	name        string
	settle      func(Answer, Owner) (Act, Outcome)
	judge       func([]*Slot) int
	skip        bool // a put that timed out is given up, the slots above it go on
	rebind      bool // a 404 after a timeout frees the slot for other bytes
	definite    bool // a put that timed out is told as failed for good
	believe404  bool // a fencer takes a 404 for the end and puts no fence
	believeList bool // a fencer puts the fence behind what LIST shows
	dropFence   bool // garbage collection deletes fences
	collectLive bool // garbage collection does not wait for the seal
	noS7        bool // a seal is recorded whatever the covered mark is
	anew        bool // a hedge carries what is there by then, and the nonce alone says whose a slot is
	hasty       bool // the heir begins when it sees the fence, before the seal is recorded
}

// text is a string, interned, so that worlds are small and quick to compare.
type text uint16

// world is one state. Machines are the inputs that made them.
type world struct {
	in    [2]text                         // inputs of the machines: pairs of letters
	net   [2][modelSlots][modelSends]text // puts under way
	store [2][modelCells]text             // contents: values, or a fence
	freed text                            // values whose slot was bound anew (rebind)
	lost  text                            // values told as failed for good (definite), or skipped
	cat   catalogState
	fence [2]fencerState
	up    [2][modelSlots]byte // upload: 0 none, w waiting, l looking, d done
	sends [2][modelSlots]byte // attempts
}

type fencerState struct {
	found        [modelCells]text // data that it has seen, by slot
	known        [modelCells]Owner
	absent, sent uint8 // sets of slots: answered with 404, fence under way
	from         uint8 // the covered mark that it read
	slot, likely uint8
	end          uint8
	on, done     bool
	dead, eager  bool
}

type catalogState struct {
	log       text  // values by offset
	covered   uint8 // of A
	fenceAt   uint8
	start     uint8 // where B began
	sealed    bool
	compacted bool // the log's bytes are in segments
	taken     bool // B owns the partition
}

// seen is what a machine has done after its inputs.
type seen struct {
	slots     []string // values by slot
	acked     string   // values answered with success
	offsets   map[byte]int64
	committed int
	next      int // values appended
	over      bool
}

// scope is how large a world is.
type scope struct {
	slots   int // that A binds
	sends   int // attempts of one put
	fencers int
	heir    int  // values that B appends
	listed  bool // fencers are given listings
}

type explorer struct {
	variant
	scope
	mark  text // what a fence looks like
	memo  map[replayed]*seen
	texts []string
	ids   map[string]text
}

type replayed struct {
	s     int
	in    text
	start uint8
}

func (x *explorer) id(s string) text {
	t, ok := x.ids[s]
	if !ok {
		t = text(len(x.texts))
		x.texts = append(x.texts, s)
		x.ids[s] = t
	}
	return t
}

func (x *explorer) add(t *text, s string) { *t = x.id(x.texts[*t] + s) }

// machine replays inputs. "ap" appends the next value, "2m" is PutDone(2, Mine).
func (x *explorer) machine(key replayed) *seen {
	if o := x.memo[key]; o != nil {
		return o
	}
	s, in := key.s, x.texts[key.in]
	now := time.Unix(0, 0)
	m := New(Config{Window: 2})
	if x.judge != nil {
		m.judge = x.judge
	}
	p := record.Partition{Index: 1}
	m.Begin(uint64(s), nil)
	m.Own(p, Start{Next: int64(key.start)})
	o := &seen{offsets: map[byte]int64{}}
	first := byte('a')
	if s == 1 {
		first = 'x'
	}
	for i := 0; i < len(in); i += 2 {
		switch {
		case in[i:i+2] == "ap":
			v := first + byte(o.next)
			o.next++
			h := record.Header{ProducerID: -1, NumRecords: 1}
			m.Append(now, &Request{Acks: AcksAll, Token: v, Items: []Item{{Partition: p, Header: h, Batch: make([]byte, record.HeaderLen)}}})
		case in[i+1] == 'm':
			m.PutDone(now, uint64(in[i]-'0'), Mine)
		case in[i+1] == 'f':
			m.PutDone(now, uint64(in[i]-'0'), Fenced)
		case in[i+1] == 's':
			m.PutDone(now, uint64(in[i]-'0'), Foreign)
		}
		m.Step(now)
		out := m.Take()
		for _, put := range out.Puts {
			var values []byte
			for _, b := range put.Parts[0].Batches {
				v := b.Token.(byte)
				values = append(values, v)
				o.offsets[v] = b.Base
			}
			o.slots = append(o.slots, string(values))
		}
		o.committed += len(out.Commits)
		for _, r := range out.Answers {
			if r.Results[0].Err == nil {
				o.acked += string(r.Token.(byte))
			}
		}
	}
	o.over = m.Phase() == Over || m.Phase() == Stopped
	x.memo[key] = o
	return o
}

func (x *explorer) seen(w *world, s int) *seen {
	start := uint8(0)
	if s == 1 {
		start = w.cat.start
	}
	return x.machine(replayed{s, w.in[s], start})
}

// feed gives a machine an input and sends what it binds.
func (x *explorer) feed(w world, s int, in string) (world, bool) {
	x.add(&w.in[s], in)
	for slot := range x.seen(&w, s).slots {
		if slot >= modelSlots {
			return w, false // out of scope
		}
		if w.up[s][slot] == 0 {
			w = x.send(w, s, slot, x.content(&w, s, slot))
		}
	}
	return w, true
}

// content is what a session has bound to a slot. After a slot was bound anew, the
// machine, which knows nothing of it, calls by small letters what are capitals.
func (x *explorer) content(w *world, s, slot int) string {
	values := x.seen(w, s).slots[slot]
	if s == 0 && w.freed != 0 {
		return strings.ToUpper(values)
	}
	return values
}

// send puts one more attempt on its way, if the scope allows.
func (x *explorer) send(w world, s, slot int, values string) world {
	w.up[s][slot] = 'w'
	if n := w.sends[s][slot]; int(n) < x.sends {
		if x.anew && n > 0 {
			values = strings.ToUpper(values) // other records, at the same offsets
		}
		w.net[s][slot][n] = x.id(values)
		w.sends[s][slot]++
	}
	return w
}

// answer gives the answer to an attempt to its uploader.
func (x *explorer) answer(w world, s, slot int, a Answer, who Owner) (world, bool) {
	settle := Settle
	if x.settle != nil {
		settle = x.settle
	}
	act, outcome := settle(a, who)
	values := x.content(&w, s, slot)
	if a == Unknown && s == 0 && w.up[s][slot] == 'w' {
		switch {
		case x.skip: // the slot counts as done, its values are answered as failed
			w.up[s][slot] = 'd'
			x.add(&w.lost, values)
			return x.feed(w, s, fmt.Sprintf("%dm", slot))
		case x.definite:
			w.up[s][slot] = 'd'
			x.add(&w.lost, values)
			return x.feed(w, s, fmt.Sprintf("%df", slot))
		case x.rebind && w.store[s][slot] == 0 && w.freed == 0 && x.texts[w.in[s]] == "ap":
			// HEAD says 404: the slot is free again, and so are its offsets. The same
			// machine goes on as if the values had never come; new ones get the slot.
			x.add(&w.freed, values)
			w.up[s][slot] = 0
			w.sends[s][slot] = 1
			w.in[s] = 0
			return w, true
		}
	}
	switch act {
	case Done:
		w.up[s][slot] = 'd'
		return x.feed(w, s, fmt.Sprintf("%d%c", slot, "?mfs"[outcome]))
	case Look:
		w.up[s][slot] = 'l'
	case Send:
		w = x.send(w, s, slot, values)
	}
	return w, true
}

// deliver lets a put reach the store.
func deliver(w world, s, slot int, values text) (world, Answer) {
	if w.store[s][slot] != 0 {
		return w, Exists
	}
	w.store[s][slot] = values
	return w, Created
}

// next returns all worlds that one event leads to.
func (x *explorer) next(w world) []world {
	var out []world
	add := func(w world, ok bool) {
		if ok {
			out = append(out, w)
		}
	}
	for s := range 2 {
		if s == 1 && !w.cat.taken {
			continue
		}
		o := x.seen(&w, s)
		// A client appends.
		if !o.over && o.next < []int{x.slots, x.heir}[s] {
			add(x.feed(w, s, "ap"))
		}
		for slot := range modelSlots {
			for i := range modelSends {
				if values := w.net[s][slot][i]; values != 0 {
					sent := w
					sent.net[s][slot][i] = 0
					landed, a := deliver(sent, s, slot, values)
					out = append(out, landed) // the answer is lost
					if w.up[s][slot] == 'w' {
						add(x.answer(landed, s, slot, a, Nobody))
						if i == 0 {
							add(x.answer(sent, s, slot, Conflict, Nobody)) // 409, nothing landed
						}
					}
				}
			}
			switch w.up[s][slot] {
			case 'w':
				if int(w.sends[s][slot]) < x.sends { // S5: a hedge, while the first is under way
					out = append(out, x.send(w, s, slot, x.content(&w, s, slot)))
				}
				if int(w.sends[s][slot]) < x.sends || x.skip || x.definite || x.rebind {
					add(x.answer(w, s, slot, Unknown, Nobody))
				}
			case 'l':
				a, who := Found, Stranger
				switch found := w.store[s][slot]; {
				case found == 0:
					a = Absent
				case found == x.mark:
					who = AFence
				case x.texts[found] == x.content(&w, s, slot), x.anew && strings.EqualFold(x.texts[found], x.content(&w, s, slot)):
					who = Ours
				}
				add(x.answer(w, s, slot, a, who))
			}
		}
	}
	for i := range x.fencers {
		out = append(out, x.fencing(w, i)...)
	}
	a := x.seen(&w, 0)
	// The owner describes what is committed (protocol.md 6), in one step for brevity.
	if !w.cat.sealed && uint8(a.committed) > w.cat.covered {
		c := w
		for _, values := range a.slots[c.cat.covered:a.committed] {
			x.add(&c.cat.log, values)
		}
		c.cat.covered = uint8(a.committed)
		out = append(out, c)
	}
	if (w.cat.sealed || x.hasty && (w.fence[0].done || w.fence[1].done)) && !w.cat.taken {
		t := w
		t.cat.taken, t.cat.start = true, uint8(len(x.texts[w.cat.log]))
		out = append(out, t)
	}
	if w.cat.sealed && !w.cat.compacted {
		c := w
		c.cat.compacted = true
		out = append(out, c)
	}
	if w.cat.sealed && w.cat.compacted || x.collectLive {
		g := w
		for slot := range w.cat.covered {
			g.store[0][slot] = 0
		}
		if x.dropFence && w.cat.sealed {
			g.store[0][w.cat.fenceAt] = 0
		}
		if x.collectLive {
			g.cat.compacted = true
		}
		if g != w {
			out = append(out, g)
		}
	}
	return out
}

// fencing returns what one fencer may do next.
func (x *explorer) fencing(w world, i int) []world {
	var out []world
	f := w.fence[i]
	for slot := range uint8(modelCells) { // its fences reach the store some time
		if f.sent>>slot&1 == 0 {
			continue
		}
		sent := w
		sent.fence[i].sent &^= 1 << slot
		landed, a := deliver(sent, 0, int(slot), x.mark)
		out = append(out, landed) // the answer is lost
		if !f.dead && !f.done {
			try := Try{StepFence, uint64(slot)}
			out = append(out, x.walked(landed, i, try, a), x.walked(sent, i, try, Conflict))
		}
	}
	switch {
	case f.dead:
		return out
	case !f.on:
		n := w
		g := &n.fence[i]
		*g = fencerState{on: true, from: w.cat.covered, slot: w.cat.covered}
		if x.believeList {
			for slot := w.cat.covered; slot < modelCells; slot++ {
				if found := w.store[0][slot]; found != 0 && found != x.mark {
					g.found[slot], g.slot = found, slot+1
				}
			}
		}
		if x.listed { // the hint is what there is, or is wrong
			for g.likely = g.slot; g.likely < modelCells && w.store[0][g.likely] != 0; {
				g.likely++
			}
			wrong := n
			wrong.fence[i].likely = modelCells - 1
			out = append(out, wrong)
		}
		if x.believe404 {
			g.likely = modelCells
		}
		return append(out, n)
	case f.done:
		if w.cat.sealed {
			return out
		}
		n := w
		if f.from != w.cat.covered && !x.noS7 { // S7: the mark has moved, walk again
			n.fence[i] = fencerState{sent: f.sent}
			return append(out, n)
		}
		n.cat.sealed, n.cat.fenceAt = true, f.end
		n.cat.covered = f.end
		for _, found := range f.found[f.from:f.end] {
			x.add(&n.cat.log, x.texts[found])
		}
		return append(out, n)
	}
	if i == 0 { // it dies; its fences may land yet
		n := w
		n.fence[i].dead = true
		out = append(out, n)
	}
	for _, try := range f.walk().Next() {
		if try.Slot >= modelCells {
			continue // out of scope
		}
		switch {
		case try.Step == StepFence && f.sent>>try.Slot&1 == 0:
			n := w
			n.fence[i].sent |= 1 << try.Slot
			out = append(out, n)
		case try.Step == StepRead && w.store[0][try.Slot] != 0:
			out = append(out, x.walked(w, i, try, Found))
		case try.Step == StepRead && x.believe404:
			n := w
			n.fence[i].done, n.fence[i].end = true, uint8(try.Slot)
			out = append(out, n)
		case try.Step == StepRead:
			out = append(out, x.walked(w, i, try, Absent))
		}
	}
	return out
}

// walk is the fencer's Walk.
func (f *fencerState) walk() *Walk {
	k := NewWalk(uint64(f.slot), uint64(f.likely))
	k.eager, k.done = f.eager, f.done
	for slot := range modelCells {
		if f.known[slot] != Nobody {
			k.known[uint64(slot)] = f.known[slot]
		}
		if f.absent>>slot&1 == 1 {
			k.absent[uint64(slot)] = true
		}
	}
	return k
}

// walked lets the real Walk take one answer.
func (x *explorer) walked(w world, i int, try Try, a Answer) world {
	f := &w.fence[i]
	who := Nobody
	if a == Exists || a == Found {
		if found := w.store[0][try.Slot]; found == x.mark {
			who = AFence
		} else {
			who = Ours
			f.found[try.Slot] = found
		}
	}
	k := f.walk()
	if err := k.Answer(try, a, who); err != nil {
		panic(err)
	}
	f.slot, f.likely, f.eager = uint8(k.slot), uint8(k.likely), k.eager
	f.known, f.absent = [modelCells]Owner{}, 0
	for slot, who := range k.known {
		f.known[slot] = who
	}
	for slot := range k.absent {
		f.absent |= 1 << slot
	}
	if end, done := k.End(); done {
		f.done, f.end = true, uint8(end)
	}
	return w
}

// check returns what is broken in a world; empty when nothing is.
func (x *explorer) check(w *world) string {
	log, lost := x.texts[w.cat.log], x.texts[w.lost]
	named := map[int64]byte{}
	for o := range len(log) {
		named[int64(o)] = log[o]
		if x.definite && strings.IndexByte(lost, log[o]) >= 0 {
			return fmt.Sprintf("S2: %c was refused for good and is in the log", log[o])
		}
	}
	for s := range 2 {
		if s == 1 && !w.cat.taken {
			continue
		}
		o := x.seen(w, s)
		for i := range len(o.acked) {
			v := o.acked[i]
			if s == 0 && w.freed != 0 {
				v -= 'a' - 'A'
			} else if strings.IndexByte(lost, v) >= 0 {
				continue // the variant did not acknowledge it
			}
			at := o.offsets[o.acked[i]]
			if was, ok := named[at]; ok && was != v {
				return fmt.Sprintf("P3: offset %d is %c and %c", at, was, v)
			}
			named[at] = v
			slot := 0
			for strings.IndexByte(o.slots[slot], o.acked[i]) < 0 {
				slot++
			}
			there := strings.IndexByte(x.texts[w.store[s][slot]], v) >= 0
			if at < int64(len(log)) && log[at] == v {
				if !there && !w.cat.compacted {
					return fmt.Sprintf("P1: the bytes of %c are gone", v)
				}
				continue
			}
			if s == 0 && w.cat.sealed {
				return fmt.Sprintf("P1: %c was acknowledged, and the session is sealed without it", v)
			}
			from := 0
			if s == 0 {
				from = int(w.cat.covered)
			}
			for below := from; below <= slot; below++ {
				if w.store[s][below] == 0 || w.store[s][below] == x.mark {
					return fmt.Sprintf("P1: %c was acknowledged, and slot %d is no data", v, below)
				}
			}
			if !there {
				return fmt.Sprintf("P1: %c was acknowledged and is not in its slot", v)
			}
		}
	}
	if w.fence[0].done && w.fence[1].done && w.fence[0].end != w.fence[1].end && !w.cat.compacted {
		return fmt.Sprintf("S6: fences in slots %d and %d", w.fence[0].end, w.fence[1].end)
	}
	return ""
}

// tell describes a world for people.
func (x *explorer) tell(w *world) string {
	var b strings.Builder
	for s, name := range "AB" {
		fmt.Fprintf(&b, "%c[%s] up=%q net=%v store=%v  ", name, x.texts[w.in[s]], w.up[s], x.all(w.net[s][0][:], w.net[s][1][:], w.net[s][2][:]), x.all(w.store[s][:]))
	}
	for i := range w.fence {
		f := &w.fence[i]
		fmt.Fprintf(&b, "F%d{on=%v done=%v dead=%v from=%d slot=%d likely=%d sent=%b known=%v end=%d} ", i, f.on, f.done, f.dead, f.from, f.slot, f.likely, f.sent, f.known, f.end)
	}
	fmt.Fprintf(&b, "catalog{%q covered=%d sealed=%v at %d compacted=%v taken=%v}", x.texts[w.cat.log], w.cat.covered, w.cat.sealed, w.cat.fenceAt, w.cat.compacted, w.cat.taken)
	return b.String()
}

func (x *explorer) all(lists ...[]text) []string {
	var out []string
	for _, l := range lists {
		for _, t := range l {
			out = append(out, x.texts[t])
		}
	}
	return out
}

// explore visits every world, breadth first, up to a limit, and returns how many
// there are and what broke first, with the way to it.
func explore(v variant, sc scope, limit int) (int, string) {
	x := &explorer{variant: v, scope: sc, memo: map[replayed]*seen{}, ids: map[string]text{}}
	x.id("")
	x.mark = x.id(fenceMark)
	var start world
	worlds := []world{start}
	parents := []int32{-1}
	known := map[world]struct{}{start: {}}
	for i := 0; i < len(worlds); i++ {
		for _, n := range x.next(worlds[i]) {
			if _, ok := known[n]; ok {
				continue
			}
			known[n] = struct{}{}
			worlds = append(worlds, n)
			parents = append(parents, int32(i))
			if bad := x.check(&n); bad != "" {
				var way []string
				for k := int32(len(worlds) - 1); k >= 0; k = parents[k] {
					way = append(way, x.tell(&worlds[k]))
				}
				return len(worlds), bad + "\n" + strings.Join(way, "\n")
			}
		}
		if len(worlds) > limit {
			break
		}
	}
	return len(worlds), ""
}

var underRace bool

// scopes are what every run explores, deep what MODEL=deep adds: a minute more.
var scopes = []scope{
	{slots: 3, sends: 1, fencers: 1},
	{slots: 2, sends: 2, fencers: 1},
	{slots: 2, sends: 1, fencers: 1, heir: 1},
	{slots: 2, sends: 1, fencers: 1, heir: 1, listed: true},
	{slots: 1, sends: 1, fencers: 2, heir: 1},
	{slots: 2, sends: 1, fencers: 2},
}

var deep = []scope{
	{slots: 3, sends: 1, fencers: 1, heir: 1},
	{slots: 2, sends: 2, fencers: 1, heir: 1},
	{slots: 1, sends: 2, fencers: 2, heir: 1},
	{slots: 2, sends: 1, fencers: 2, heir: 1},
	{slots: 2, sends: 2, fencers: 2},
}

func TestNoOrderOfEventsLosesAnAcknowledgedRecord(t *testing.T) {
	all := scopes
	if underRace || testing.Short() {
		all = scopes[:4]
	}
	if os.Getenv("MODEL") == "deep" {
		all = slices.Concat(scopes, deep)
	}
	for _, sc := range all {
		n, bad := explore(variant{}, sc, 5_000_000)
		if bad != "" {
			t.Fatal(bad)
		}
		t.Logf("%+v: %d states", sc, n)
	}
}

// shortcuts are ways to lose data that look right at first sight, as far as they concern
// sessions.
var shortcuts = []variant{
	{name: "acknowledge before the slots below are filled", judge: func(flight []*Slot) int { // S4
		n := 0
		for i, s := range flight {
			if s.filled {
				n = i + 1
			}
		}
		return n
	}},
	{name: "take any 412 for our own success", settle: func(a Answer, who Owner) (Act, Outcome) { // S3
		if a == Exists {
			return Done, Mine
		}
		return Settle(a, who)
	}},
	{name: "take a timeout for success", settle: func(a Answer, who Owner) (Act, Outcome) { // S3
		if a == Unknown {
			return Done, Mine
		}
		return Settle(a, who)
	}},
	{name: "take 409 for proof that somebody has the slot", settle: func(a Answer, who Owner) (Act, Outcome) { // S3
		if a == Conflict {
			return Done, Mine
		}
		return Settle(a, who)
	}},
	{name: "tell a timeout as failure", definite: true},                                          // S2
	{name: "skip a slot that timed out", skip: true},                                             // S2
	{name: "bind a slot anew after a 404 that followed a timeout", rebind: true},                 // S2
	{name: "hedge with other bytes", anew: true},                                                 // S5, S2
	{name: "delete the fence", dropFence: true},                                                  // S10
	{name: "fence behind what LIST shows", believeList: true},                                    // S6
	{name: "take a 404 for the end, without a fence", believe404: true},                          // S6
	{name: "delete slots of live sessions, seal without looking", collectLive: true, noS7: true}, // S7, S10
	{name: "seal without looking at the covered mark", noS7: true},                               // S7
	{name: "own what a fence was seen for, before the seal is recorded", hasty: true},            // S8
}

func TestEveryShortcutIsCaught(t *testing.T) {
	for _, v := range shortcuts {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			for _, sc := range slices.Concat(scopes, deep) {
				if n, bad := explore(v, sc, 5_000_000); bad != "" {
					what, way, _ := strings.Cut(bad, "\n")
					t.Logf("after %d states, %d events: %s", n, strings.Count(way, "\n"), what)
					return
				}
			}
			t.Fatal("the model did not notice")
		})
	}
}
