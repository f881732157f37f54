package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/catalog/journal"
	"github.com/firnlog/firn/replay"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/object"
)

// objectLine is one object in a list.
type objectLine struct {
	Name     string    `json:"name"`
	Kind     string    `json:"kind"`
	Size     int64     `json:"size"`
	Modified time.Time `json:"modified"`
	Status   string    `json:"status"`
	Extents  int       `json:"extents"` // of the catalog; those in index objects are not counted
}

// objectKinds are what --kind takes.
var objectKinds = []string{"wal", "fence", "seg", "index", "journal", "side", "snapshot", "boundary", "other"}

// objectList lists what lies in the bucket.
func objectList(g *globals) *cobra.Command {
	var store, topic string
	var kinds []string
	var session uint64
	cmd := &cobra.Command{
		Use:     "ls --store URL",
		Aliases: []string{"list"},
		Short:   "List the objects in the bucket",
		Long: `List the objects in the bucket: kind, size, age, and what the catalog says of each:

  used       extents of the catalog lie in it, or an index object lists it
  slot       a live session put it, the catalog does not know it yet
  waiting    a session's slot that nothing refers to any more, until it is swept
  garbage    it will be deleted after the grace period
  fence      it ends a session; fences are kept for ever
  job        a rewrite that is under way put it
  catalog    a part of the journal, or what brokers note beside it
  -          nothing refers to it; or an index object does, which --topic would show`,
		Example: `  firn object ls --store 's3://bucket/prefix' --kind wal,fence
  firn object ls --store 's3://bucket/prefix' --topic orders --format wide`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, k := range kinds {
				if !slices.Contains(objectKinds, k) {
					return usage("--kind %q: want one of %s", k, strings.Join(objectKinds, ", "))
				}
			}
			return withStore(cmd.Context(), store, func(s cold.Store) error {
				l := lister{ctx: cmd.Context(), store: s, kinds: kinds, session: session, topic: topic}
				lines, err := l.run()
				if err != nil {
					return err
				}
				return g.print(cmd, lines, func(t *table) { printObjects(t, lines) })
			})
		},
	}
	storeFlag(cmd, &store)
	f := cmd.Flags()
	f.StringSliceVar(&kinds, "kind", nil, "only these `kinds`: "+strings.Join(objectKinds, ", "))
	f.StringVar(&topic, "topic", "", "only objects that hold or list records of this topic")
	f.Uint64Var(&session, "session", 0, "only slots of this session")
	_ = cmd.RegisterFlagCompletionFunc("kind", words(objectKinds...))
	return cmd
}

func printObjects(t *table, lines []objectLine) {
	var bytes int64
	if t.Wide {
		t.row("NAME", "KIND", "SIZE", "AGE", "STATUS", "EXTENTS", "MODIFIED")
	} else {
		t.row("NAME", "KIND", "SIZE", "AGE", "STATUS")
	}
	for _, l := range lines {
		bytes += l.Size
		age := time.Since(l.Modified).Truncate(time.Second)
		if t.Wide {
			t.row(l.Name, l.Kind, l.Size, age, l.Status, l.Extents, l.Modified.UTC().Format(time.RFC3339))
		} else {
			t.row(l.Name, l.Kind, l.Size, age, l.Status)
		}
	}
	t.row(fmt.Sprintf("%s, %d bytes", counted(int64(len(lines)), "object"), bytes))
}

// lister collects the lines of a list.
type lister struct {
	ctx     context.Context
	store   cold.Store
	kinds   []string
	session uint64
	topic   string

	state *catalog.State
	jobs  map[uint64]bool
	only  map[catalog.ObjectRef]bool // of the topic; nil: all
}

func (l *lister) run() ([]objectLine, error) {
	var err error
	if l.state, err = readCatalog(l.ctx, l.store); err != nil {
		return nil, err
	}
	l.jobs = map[uint64]bool{}
	for _, j := range l.state.Jobs() {
		l.jobs[j.ID] = true
	}
	if l.topic != "" {
		if l.only, err = objectsOf(l.ctx, l.store, l.state, l.topic); err != nil {
			return nil, err
		}
	}
	prefix := ""
	if l.session > 0 {
		prefix = strings.TrimSuffix(catalog.WAL(l.session, 0).Name(), "00000000000000000000")
	}
	lines := []objectLine{}
	for info, err := range l.store.List(l.ctx, prefix, "") {
		if err != nil {
			return nil, fmt.Errorf("list the bucket: %w", err)
		}
		if x, ok := l.line(info); ok {
			lines = append(lines, x)
		}
	}
	slices.SortFunc(lines, func(a, b objectLine) int { return strings.Compare(a.Name, b.Name) })
	return lines, nil
}

// line is what there is to say of an object; false when it was not asked for.
func (l *lister) line(info cold.Info) (objectLine, bool) {
	x := objectLine{Name: info.Name, Size: info.Size, Modified: info.Modified, Status: "-"}
	ref, err := catalog.ParseRef(info.Name)
	switch {
	case err != nil:
		x.Kind, x.Status = catalogKind(info.Name)
	case ref.Kind == catalog.KindWAL:
		x.Kind, x.Status = l.slot(ref)
	case ref.Kind == catalog.KindSeg:
		x.Kind = "seg"
	default:
		x.Kind = "index"
	}
	if err == nil && ref.Kind != catalog.KindWAL {
		switch {
		case l.state.Refs(ref) > 0 || l.only[ref]:
			x.Status = "used"
		case l.state.IsGarbage(ref) || l.state.IsGarbage(catalog.Cancelled(ref.A)):
			x.Status = "garbage"
		case l.jobs[ref.A]:
			x.Status = "job"
		}
	}
	if err == nil {
		x.Extents = l.state.Refs(ref)
	}
	keep := len(l.kinds) == 0 || slices.Contains(l.kinds, x.Kind)
	return x, keep && (l.only == nil || err == nil && l.only[ref])
}

// slot is the kind and the status of a WAL object, by what the catalog says of its
// session.
func (l *lister) slot(ref catalog.ObjectRef) (kind, status string) {
	v, ok := l.state.Session(ref.A)
	switch {
	case l.state.Refs(ref) > 0:
		return "wal", "used"
	case !ok:
		return "fence", "fence" // the session is forgotten, its slots are swept
	case v.Sealed && ref.B == v.Fence:
		return "fence", "fence"
	case v.Sealed && ref.B > v.Fence:
		return "wal", "-" // above the fence: rubbish (S6)
	case ref.B >= v.Covered:
		return "wal", "slot"
	}
	return "wal", "waiting"
}

func catalogKind(name string) (kind, status string) {
	for prefix, kind := range map[string]string{
		journal.PrefixEntries: "journal", journal.PrefixSide: "side", journal.PrefixSnapshots: "snapshot", journal.PrefixBoundaries: "boundary",
	} {
		if strings.HasPrefix(name, prefix) {
			return kind, "catalog"
		}
	}
	if strings.HasPrefix(name, journal.PrefixAll) {
		return "other", "catalog" // that brokers have approved the bucket
	}
	return "other", "-"
}

// objectsOf are the objects that hold or list records of a topic: those that the catalog
// knows, and the slots of live sessions that it does not know yet.
func objectsOf(ctx context.Context, s cold.Store, state *catalog.State, topic string) (map[catalog.ObjectRef]bool, error) {
	t, ok := state.TopicNamed(topic)
	if !ok {
		return nil, fmt.Errorf("no such topic: %s", topic)
	}
	out := map[catalog.ObjectRef]bool{}
	for _, p := range t.Partitions {
		for _, e := range p.Extents {
			out[e.Object] = true
		}
		for _, x := range p.Index {
			out[x.Object] = true
			b, err := s.Get(ctx, x.Object.Name(), cold.Whole, nil)
			if err != nil {
				return nil, fmt.Errorf("read %s: %w", x.Object, err)
			}
			payload, err := object.DecodeIndex(b, x.Object.A, x.Object.B)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", x.Object, err)
			}
			xs, err := catalog.DecodeExtents(payload)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", x.Object, err)
			}
			for _, e := range xs {
				out[e.Object] = true
			}
		}
	}
	h, err := replay.Open(ctx, s, topic, replay.Options{})
	if err != nil {
		return nil, err
	}
	for _, p := range t.Partitions {
		for at := p.Next; ; {
			place, ok := h.Extents(p.ID, at)
			if !ok || len(place.Extents) == 0 {
				break
			}
			for _, e := range place.Extents {
				out[e.Object], at = true, e.Next
			}
		}
	}
	return out, nil
}
