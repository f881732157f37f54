package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/firnlog/firn/broker/settings"
	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/ingest/pump"
	"github.com/firnlog/firn/kafka/reach"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/replay/salvage"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/hot"
)

// slotsGivenUp is the answer of firn object give-up for slots of a session that is not
// sealed.
type slotsGivenUp struct {
	Session uint64            `json:"session"`
	Node    int32             `json:"node"`
	Slots   []slotGivenUp     `json:"slots"`
	Lost    []salvage.Stretch `json:"lost"`    // offsets that lay in them
	Kept    []salvage.Stretch `json:"kept"`    // that lay in them and can be read
	Unknown []salvage.Stretch `json:"unknown"` // offsets of which nobody knows whether they lay in them
	Whole   int               `json:"whole"`   // other slots, which stay
	Fence   string            `json:"fence"`
	Written bool              `json:"written"` // with --yes
}

type slotGivenUp struct {
	Object string `json:"object"`
	Why    string `json:"why"`
}

// slotsOf are the slots that objects are of one session that is not sealed, where the
// catalog need not describe them; false when one is something else.
func slotsOf(s *catalog.State, refs []catalog.ObjectRef) (slots []uint64, ok bool) {
	for _, ref := range refs {
		v, known := s.Session(ref.A)
		if ref.Kind != catalog.KindWAL || ref.A != refs[0].A || !known || v.Sealed || ref.B < v.Covered {
			return nil, false
		}
		slots = append(slots, ref.B)
	}
	return slots, true
}

// giveUpSlots goes on without slots of a session that is not sealed.
func giveUpSlots(cmd *cobra.Command, g *globals, store cold.Store, s *catalog.State, session uint64, slots []uint64, dir string, o salvage.TornOptions) (err error) {
	ctx := cmd.Context()
	v, _ := s.Session(session)
	if dir != "" {
		if o.Held, err = heldIn(ctx, dir, v, slots); err != nil {
			return err
		}
		for _, n := range slots {
			if _, ok := o.Held[n]; !ok && !g.quiet {
				fmt.Fprintf(cmd.ErrOrStderr(), "%s does not have %s\n", dir, catalog.WAL(session, n))
			}
		}
	}
	t, err := salvage.FindTorn(ctx, store, s, session, slots, o)
	if err == nil && lives(ctx, s, v) {
		err = fmt.Errorf("the broker of session %d (node %d, %s) answers: as long as it lives it has what it acknowledged, and its next seal (seal.interval.ms) puts that elsewhere: firn object verify tells; if it cannot, stop it first", v.ID, v.Node, v.Advertised)
	}
	switch {
	case errors.Is(err, salvage.ErrAlso):
		return fmt.Errorf("%w; the session is sealed without all of them at once: name that one beside it", err)
	case errors.Is(err, salvage.ErrAbsent):
		return fmt.Errorf("%w; a broker that starts ends the session there, and nothing is lost in the second case; in the first, all behind it is: --deleted says that it was there", err)
	case errors.Is(err, salvage.ErrLegible):
		return fmt.Errorf("%w: start a broker; if records in it are damaged, the catalog describes them then, and they can be given up", err)
	case err != nil:
		return err
	}
	if g.yes {
		if t, err = salvage.GiveUpTorn(ctx, store, t, pump.LoadProducersBelow); err != nil {
			for _, again := range []error{catalog.ErrStale, catalog.ErrSealed, catalog.ErrNoJob, catalog.ErrUnsure} {
				if errors.Is(err, again) {
					return fmt.Errorf("somebody changed what it is about meanwhile: do the same again: %w", err)
				}
			}
			return err
		}
	}
	r := newSlotsGivenUp(s, t)
	r.Written = g.yes
	err = g.print(cmd, r, func(t *table) { r.text(t) })
	if err == nil && !r.Written {
		err = &exit{code: exitProblem}
	}
	return err
}

// heldIn is what a broker's data folder has of slots of a session.
func heldIn(ctx context.Context, dir string, v *catalog.Session, slots []uint64) (_ map[uint64][]salvage.Held, err error) {
	path := filepath.Join(dir, "hot")
	if _, err := os.Stat(path); err != nil {
		return nil, usage("--data-dir %s is no data folder of a broker: %v", dir, err)
	}
	tier, err := hot.Open(ctx, path, hot.Options{})
	if err != nil {
		return nil, fmt.Errorf("--data-dir %s: %w", dir, err)
	}
	defer func() { err = errors.Join(err, tier.Close(context.WithoutCancel(ctx))) }()
	if !slices.ContainsFunc(tier.Generations(), func(g hot.Info) bool { return g.Session == hot.Session{ID: v.ID, Nonce: v.Nonce} }) {
		return nil, fmt.Errorf("--data-dir %s has nothing of session %d: it is that of another broker, or was emptied", dir, v.ID)
	}
	held := map[uint64][]salvage.Held{}
	err = tier.Leftover(v.ID, slices.Min(slots), func(n uint64, entries []hot.Entry) error {
		if slices.Contains(slots, n) {
			for _, e := range entries {
				held[n] = append(held[n], salvage.Held{Partition: e.Partition, Epoch: e.Epoch, Base: e.Base, Next: e.Last + 1, Batch: bytes.Clone(e.Value)})
			}
		}
		return nil
	})
	return held, err
}

// lives reports whether the broker of a session answers, as far as one can tell from here.
// At its address its next life may answer: then it has gone on with another session.
func lives(ctx context.Context, s *catalog.State, v *catalog.Session) bool {
	for _, w := range s.Sessions() {
		if w.ID > v.ID && !w.Sealed && w.Advertised == v.Advertised {
			return false
		}
	}
	es, err := settings.ParseEndpoints(v.Advertised)
	if err != nil || len(es) == 0 {
		return false
	}
	const patience = 2 * time.Second
	c, err := (&net.Dialer{Timeout: patience}).DialContext(ctx, "tcp", es[0].Address())
	if err != nil {
		return false
	}
	defer c.Close()
	cluster, err := reach.Whose(ctx, c, patience)
	switch {
	case err == nil:
		return cluster == s.ClusterID()
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, reach.ErrStranger):
		return false // it is stopped, or somebody else
	}
	return true
}

func newSlotsGivenUp(s *catalog.State, t salvage.Torn) slotsGivenUp {
	r := slotsGivenUp{
		Session: t.Session.ID, Node: t.Session.Node, Whole: t.Whole, Fence: catalog.WAL(t.Session.ID, t.End).Name(),
		Lost: []salvage.Stretch{}, Kept: []salvage.Stretch{}, Unknown: []salvage.Stretch{},
	}
	for _, x := range t.Given {
		r.Slots = append(r.Slots, slotGivenUp{catalog.WAL(t.Session.ID, x.Slot).Name(), x.Why})
	}
	stretch := func(id record.Partition, x catalog.Extent) salvage.Stretch {
		return salvage.Stretch{Topic: topicName(s, id.Topic), Partition: id.Index, From: x.Base, To: x.Next, Records: x.Records}
	}
	for _, x := range t.Lost {
		r.Lost = append(r.Lost, stretch(x.Partition, x.Extent))
	}
	for _, x := range t.Kept {
		r.Kept = append(r.Kept, stretch(x.Partition, x.Extent))
	}
	for _, x := range t.Blind {
		r.Unknown = append(r.Unknown, stretch(x.Partition, x.Extent))
	}
	return r
}

// fewEnds is how many partitions of a topic are named one by one.
const fewEnds = 8

func (r slotsGivenUp) text(t *table) {
	for _, x := range r.Slots {
		t.row(fmt.Sprintf("cannot be read: %s: %s", x.Object, x.Why))
	}
	var offsets int64
	for _, x := range r.Lost {
		offsets += x.To - x.From
		t.row(fmt.Sprintf("lost: %s-%d offsets [%d, %d)", x.Topic, x.Partition, x.From, x.To))
	}
	for _, x := range r.Kept {
		t.row(fmt.Sprintf("kept: %s-%d offsets [%d, %d), which can be read", x.Topic, x.Partition, x.From, x.To))
	}
	for rest := r.Unknown; len(rest) > 0; {
		n := 1
		for n < len(rest) && rest[n].Topic == rest[0].Topic {
			n++
		}
		some := rest[:n]
		rest = rest[n:]
		if n > fewEnds {
			t.row(fmt.Sprintf("lost, if there was any: the newest records of %d partitions of %s", n, some[0].Topic))
			continue
		}
		for _, x := range some {
			t.row(fmt.Sprintf("lost, if there was any: the newest records of %s-%d, from offset %d on", x.Topic, x.Partition, x.From))
		}
	}
	if len(r.Unknown) > 0 {
		most := int64(0)
		for _, x := range r.Unknown {
			most = max(most, x.To-x.From)
		}
		t.row(fmt.Sprintf("  nothing in later slots tells of these: nobody knows how many there were, and their logs go on up to %d offsets further on", most))
	}
	lost := fmt.Sprintf("%d offsets lost", offsets)
	if n := len(r.Unknown); n > 0 {
		lost += fmt.Sprintf(", beside what nobody knows of %d partitions", n)
	}
	if r.Written {
		t.row(fmt.Sprintf("session %d of node %d is sealed, with its fence in %s, %d other slots, and %s: its partitions have leaders as soon as a broker runs", r.Session, r.Node, r.Fence, r.Whole, lost))
	} else {
		t.row(fmt.Sprintf("session %d of node %d would be sealed, with %d other slots, and %s; nothing was written: --yes does it", r.Session, r.Node, r.Whole, lost))
	}
}
