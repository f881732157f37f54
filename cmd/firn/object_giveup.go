package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/ingest/pump"
	"github.com/firnlog/firn/replay/salvage"
	"github.com/firnlog/firn/tier/cold"
)

// givenUp is the answer of firn object give-up.
type givenUp struct {
	Object  string            `json:"object"`
	Why     string            `json:"why"`
	Lost    []salvage.Stretch `json:"lost"` // runs that cannot be read
	Records int64             `json:"records"`
	Whole   int               `json:"whole"`   // runs of the object that can be read
	Copied  int               `json:"copied"`  // of these, since its footer cannot
	Written bool              `json:"written"` // with --yes
}

func objectGiveUp(g *globals) *cobra.Command {
	var store string
	var watch time.Duration
	var deleted bool
	var dir string
	cmd := &cobra.Command{
		Use:   "give-up OBJECT... --store URL",
		Short: "Go on without an object that is lost or damaged for good",
		Long: `Say that a WAL object, sealed object or segment will not come back. Its partitions
may have no leader, since nobody knows what their producers have sent, and readers get
errors in it; afterwards they have one, and readers pass over the offsets that are
lost. It is what kafka-leader-election --election-type UNCLEAN is elsewhere, by name of
the object. Without --yes it only says which records are lost; exit code 3 says that
there are some.

Bring the object back if you can: from a version of the bucket, a copy, a backup. While
brokers live whose disks still hold its records they press them elsewhere by themselves
as long as they lead the partition. Only runs that cannot be read are given up, never
one that is whole: those of an object of which the footer alone is damaged are copied.
Offsets are not given away again. A producer whose newest batches are lost may be told
that its sequence has a gap, as after an unclean election.

Brokers may run, and one has to. Those of versions without this command stop when
they read of it in the journal: upgrade all first.

A slot of a session that is not sealed (finding A4 of firn object verify) is described
by nobody yet. When its broker is gone nobody can take over any partition that it had,
whether the slot is about it or not; the session is then sealed without the slot. Name
all slots of it that cannot be read. Offsets that are missing between the other slots
lay in them, and consumers pass over those; a damaged slot whose footer is whole keeps
every run that is. Of partitions that no later slot tells of, nobody knows what they had
there: their logs go on some millions of offsets further on. With --data-dir, the data
folder of the broker that is gone, nothing is lost that its disk still has. The broker of that session
has to be stopped: as long as it lives it has what it acknowledged, and describes it
itself. No other broker has to run; those that do may be of any version, and take over
at once. A batch that lay in the slot and that its producer sends again, because it was
never told of it, may be taken for one that is there.`,
		Example: `  firn object verify --store 's3://bucket/prefix'
  firn object give-up wal/00000000000000000012/00000000000000000003 --store 's3://bucket/prefix'
  firn object give-up wal/00000000000000000012/00000000000000000003 --store 's3://bucket/prefix' --yes`,
		Args: someArgs("the name of an object"),
		RunE: func(cmd *cobra.Command, args []string) error {
			refs := make([]catalog.ObjectRef, len(args))
			for i, name := range args {
				ref, err := catalog.ParseRef(name)
				if err != nil {
					return usage("%v", err)
				}
				if ref.Kind == catalog.KindIndex {
					return usage("%s lists extents of the catalog and holds no records: it cannot be given up", ref)
				}
				refs[i] = ref
			}
			return withStore(cmd.Context(), store, func(s cold.Store) error {
				state, err := readCatalog(cmd.Context(), s)
				if err != nil {
					return err
				}
				slots, ok := slotsOf(state, refs)
				ref := refs[0]
				switch {
				case ok:
					err := giveUpSlots(cmd, g, s, state, ref.A, slots, dir, salvage.TornOptions{Watch: watch, Deleted: deleted})
					if !errors.Is(err, salvage.ErrLegible) || len(refs) > 1 || len(state.RunsIn(ref)) == 0 {
						return err
					}
					// Of partitions that the session gave up the catalog describes runs in it.
				case len(refs) > 1:
					return usage("only slots of one session that is not sealed are given up together: name one object")
				}
				l, err := salvage.FindLoss(cmd.Context(), s, state, ref, watch)
				if errors.Is(err, salvage.ErrUnknown) {
					return fmt.Errorf("%w: nobody needs it, or it is listed in an index object; firn object inspect says which", err)
				}
				if err != nil {
					return err
				}
				r := newGivenUp(state, l)
				if g.yes {
					if err := salvage.GiveUp(cmd.Context(), s, l, pump.LoadProducersBelow); err != nil {
						if errors.Is(err, catalog.ErrStale) || errors.Is(err, catalog.ErrNoJob) || errors.Is(err, catalog.ErrUnsure) {
							err = fmt.Errorf("brokers changed what it is about meanwhile: do the same again: %w", err)
						}
						return err
					}
					r.Written = true
				}
				err = g.print(cmd, r, func(t *table) { r.text(t) })
				if err == nil && !r.Written {
					err = &exit{code: exitProblem}
				}
				return err
			})
		},
	}
	storeFlag(cmd, &store)
	cmd.Flags().DurationVar(&watch, "watch", 5*time.Second, "how long to look for what is lost")
	cmd.Flags().StringVar(&dir, "data-dir", "", "data folder of the broker that put the slots, if its disk is there: its hot tier may still have what was in them")
	cmd.Flags().BoolVar(&deleted, "deleted", false, "a slot that is missing, of a session that is not sealed, was there")
	return cmd
}

func newGivenUp(s *catalog.State, l salvage.Loss) givenUp {
	r := givenUp{Object: l.Object.Name(), Why: l.Why, Records: l.Records(), Whole: l.Whole, Copied: len(l.Mute)}
	for _, x := range l.Runs {
		r.Lost = append(r.Lost, salvage.Stretch{Topic: topicName(s, x.Partition.Topic), Partition: x.Partition.Index, From: x.Base, To: x.Next, Records: x.Records})
	}
	return r
}

func (r givenUp) text(t *table) {
	t.row("cannot be read: " + r.Why)
	for _, x := range r.Lost {
		t.row(fmt.Sprintf("lost: %s-%d offsets [%d, %d), %d records", x.Topic, x.Partition, x.From, x.To, x.Records))
	}
	switch {
	case r.Copied > 0:
		t.row(fmt.Sprintf("whole: %d runs of the object, which are put into another one, since its footer does not say any more what is known of producers", r.Copied))
	case r.Whole > 0:
		t.row(fmt.Sprintf("whole: %d runs of the object, which stay where they are", r.Whole))
	}
	if r.Written {
		t.row(fmt.Sprintf("%s is given up: %d records in %d runs are lost, and consumers pass over them", r.Object, r.Records, len(r.Lost)))
	} else {
		t.row(fmt.Sprintf("%d records in %d runs would be given up; nothing was written: --yes does it", r.Records, len(r.Lost)))
	}
}
