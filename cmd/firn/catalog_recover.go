package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/replay/salvage"
	"github.com/firnlog/firn/tier/cold"
)

// recovery is the answer of firn catalog recover.
type recovery struct {
	Cluster    string            `json:"cluster"`
	Whole      bool              `json:"whole"` // nothing is lost
	Why        string            `json:"why,omitempty"`
	Entry      uint64            `json:"entry"`   // as far as the catalog can be read
	Number     uint64            `json:"number"`  // of the state that goes on
	Written    bool              `json:"written"` // with --yes
	Fences     []uint64          `json:"fences"`  // sessions that are to be ended first
	Topics     []salvage.Topic   `json:"topics"`
	Found      []salvage.Stretch `json:"found"`  // offsets beyond what can be read of the catalog
	Lost       []salvage.Stretch `json:"lost"`   // offsets that nothing holds; consumers pass over them
	Raised     []salvage.Stretch `json:"raised"` // the same before all that is left: the log begins behind
	Damaged    []string          `json:"damaged"`
	Unknown    []string          `json:"unknown"`
	Unused     int               `json:"unused"` // objects that nothing will refer to
	Partitions int               `json:"partitions"`
}

func catalogRecover(g *globals) *cobra.Command {
	var store, cluster string
	var names []string
	var watch time.Duration
	cmd := &cobra.Command{
		Use:   "recover --store URL",
		Short: "Rebuild a catalog that lost entries or snapshots from what the bucket still holds",
		Long: `Rebuild a catalog whose newest entries or snapshots are lost, or cannot be read, from
what the bucket still holds: other entries and snapshots, the slots of sessions, the
footers of objects, index objects. Without --yes it only says what it would do, and
exactly what cannot be had back; exit code 3 says that there is something to do.

Stop all brokers first: it refuses while somebody writes. With --yes it ends every
session with a fence, puts the new state beside the old journal, and gives the old one
up; nothing is overwritten or deleted, and it may be killed and done again. Offsets
that nothing holds any more stay empty, consumers pass over them. Topics whose names
are lost are called recovered-ID, or as --name says. How many partitions they had is lost
as well, and keys are spread over all of them: say it, too. __consumer_offsets has
offsets.topic.num.partitions of them, 50 if nobody changed that. Their configs are lost:
nothing of them is deleted or compacted until you set retention.ms or cleanup.policy.
Other topics have the configs of the last entry that can be read: look at those before
you start a broker, whose retention goes by them.`,
		Example: `  firn catalog recover --store 's3://bucket/prefix'
  firn catalog recover --store 's3://bucket/prefix' --name 0f1e2d3c4b5a69788796a5b4c3d2e1f0=orders:12 --yes
  firn object verify --store 's3://bucket/prefix'`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			wishes, err := parseNames(names)
			if err != nil {
				return err
			}
			return withStore(cmd.Context(), store, func(s cold.Store) error {
				o := salvage.Options{Watch: watch, ClusterID: cluster}
				r, err := recoverCatalog(cmd.Context(), s, o, wishes, g.yes)
				if err != nil {
					return err
				}
				err = g.print(cmd, r, func(t *table) { r.text(t) })
				if err == nil && !r.Whole && !r.Written {
					err = &exit{code: exitProblem}
				}
				return err
			})
		},
	}
	storeFlag(cmd, &store)
	cmd.Flags().StringVar(&cluster, "cluster-id", "", "the cluster's `ID`, where the bucket does not say it any more")
	cmd.Flags().StringArrayVar(&names, "name", nil, "`ID=NAME` of a topic whose name is lost, or ID=NAME:PARTITIONS where it had more than hold records; may be repeated")
	cmd.Flags().DurationVar(&watch, "watch", 3*time.Second, "how long to watch for brokers that write")
	return cmd
}

// recoverCatalog makes a plan and, when told to, makes it come true.
func recoverCatalog(ctx context.Context, s cold.Store, o salvage.Options, w salvage.Wishes, write bool) (recovery, error) {
	inv, err := salvage.Take(ctx, s, o)
	if err != nil {
		return recovery{}, err
	}
	if inv.Whole {
		return recovery{Cluster: inv.Base.ClusterID(), Whole: true, Entry: inv.Base.Number(), Number: inv.Base.Number(), Partitions: inv.Base.PartitionCount()}, nil
	}
	if len(inv.Alive) > 0 {
		return recovery{}, fmt.Errorf("somebody writes to this bucket: %s; stop all brokers first", alive(inv.Alive))
	}
	p, err := salvage.Make(inv, w)
	if err != nil {
		return recovery{}, err
	}
	r := newRecovery(inv, p)
	if !write {
		return r, nil
	}
	// The ends of the sessions are certain once they are fenced; what was found before
	// is found again.
	if err := salvage.End(ctx, s, p.Fences); err != nil {
		return r, err
	}
	o.Watch = 0
	if inv, err = salvage.Take(ctx, s, o); err != nil {
		return r, err
	}
	if p, err = salvage.Make(inv, w); err != nil {
		return r, err
	}
	if len(p.Fences) > 0 {
		return r, fmt.Errorf("session %d began while the others were ended: stop all brokers first", p.Fences[0].Session)
	}
	if err := salvage.Write(ctx, s, p); err != nil {
		return r, err
	}
	fences := r.Fences
	r = newRecovery(inv, p)
	r.Fences, r.Written = fences, true
	return r, nil
}

func alive(ids []uint64) string {
	var out []string
	for _, id := range ids {
		if id == 0 {
			out = append(out, "the journal grew")
		} else {
			out = append(out, fmt.Sprintf("session %d put a slot", id))
		}
	}
	return strings.Join(out, ", ")
}

func newRecovery(inv salvage.Inventory, p salvage.Plan) recovery {
	r := recovery{
		Cluster: inv.Base.ClusterID(), Why: inv.Why, Entry: inv.Base.Number(), Number: p.Number, Fences: []uint64{}, Topics: p.Topics,
		Found: p.Partitions, Lost: p.Lost, Raised: p.Raised, Damaged: p.Damaged, Unknown: p.Unknown, Unused: p.Unused, Partitions: inv.Base.PartitionCount(),
	}
	for _, t := range p.Topics {
		r.Partitions += t.Partitions
	}
	for _, f := range p.Fences {
		r.Fences = append(r.Fences, f.Session)
	}
	return r
}

// parseNames reads --name ID=NAME or ID=NAME:PARTITIONS.
func parseNames(names []string) (salvage.Wishes, error) {
	w := salvage.Wishes{Names: map[record.TopicID]salvage.Name{}}
	for _, n := range names {
		hexID, name, ok := strings.Cut(n, "=")
		if !ok {
			return w, usage("--name %q: want ID=NAME", n)
		}
		b, err := hex.DecodeString(hexID)
		if err != nil || len(b) != len(record.TopicID{}) {
			return w, usage("--name %q: want the id of a topic before the =", n)
		}
		x := salvage.Name{Topic: name}
		if topic, count, ok := strings.Cut(name, ":"); ok {
			x.Topic = topic
			if x.Partitions, err = strconv.Atoi(count); err != nil || x.Partitions < 1 || x.Partitions > catalog.MaxPartitions {
				return w, usage("--name %q: want a number of partitions behind the colon", n)
			}
		}
		if err := catalog.CheckTopicName(x.Topic); err != nil {
			return w, usage("--name %q: %v", n, err)
		}
		w.Names[record.TopicID(b)] = x
	}
	return w, nil
}

func (r recovery) text(t *table) {
	if r.Whole {
		t.row(fmt.Sprintf("cluster %s: the catalog is whole up to entry %d: nothing to recover", r.Cluster, r.Entry))
		return
	}
	t.row("found lost: " + r.Why)
	list := func(what string, xs []salvage.Stretch) {
		for _, x := range xs {
			line := fmt.Sprintf("%s: %s-%d offsets [%d, %d)", what, x.Topic, x.Partition, x.From, x.To)
			if x.Records > 0 {
				line += fmt.Sprintf(", %d records", x.Records)
			}
			t.row(line)
		}
	}
	for _, x := range r.Topics {
		named := "its name is lost: --name " + x.ID.String() + "=NAME:PARTITIONS says it"
		if x.Named {
			named = "named by you"
		}
		t.row(fmt.Sprintf("topic: %s with at least %d partitions (%s)", x.Name, x.Partitions, named))
	}
	list("recovered", r.Found)
	list("cannot be recovered", r.Lost)
	list("cannot be recovered, the log begins behind", r.Raised)
	for _, x := range r.Damaged {
		t.row("cannot be read: " + x)
	}
	for _, x := range r.Unknown {
		t.row("unknown: " + x)
	}
	done := "would go on"
	if r.Written {
		done = "goes on"
	}
	t.row(fmt.Sprintf("cluster %s %s from entry %d, with %d partitions; %d sessions ended, %d objects are of no use any more",
		r.Cluster, done, r.Number, r.Partitions, len(r.Fences), r.Unused))
	if !r.Written {
		t.row("nothing was written: --yes does it")
	}
}
