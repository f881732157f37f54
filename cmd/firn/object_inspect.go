package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/catalog/journal"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/replay"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/object"
)

// inspected is the answer of firn object inspect.
type inspected struct {
	Name     string    `json:"name"`
	Size     int64     `json:"size"`
	Modified time.Time `json:"modified"`
	Kind     string    `json:"kind"`
	Session  uint64    `json:"session,omitempty"` // or Job
	Slot     uint64    `json:"slot"`              // or the number within the job
	Job      uint64    `json:"job,omitempty"`
	Nonce    string    `json:"nonce"`
	Fencer   string    `json:"fencer,omitempty"`
	Runs     []runLine `json:"runs"`
	Lists    []runLine `json:"lists,omitempty"` // of an index object: the extents in it
	Findings []string  `json:"findings"`
	Status   string    `json:"status"`
	replay.Origin
}

// runLine is a run of an object, or an extent that an index object lists.
type runLine struct {
	Topic     string `json:"topic,omitempty"`
	Partition int32  `json:"partition"`
	Epoch     int32  `json:"epoch"`
	Base      int64  `json:"base"`
	Next      int64  `json:"next"`
	FirstByte int64  `json:"first_byte"`
	Bytes     int64  `json:"bytes"`
	CRC       string `json:"crc32c"`
	Records   int64  `json:"records"`
	MaxTime   int64  `json:"max_timestamp"`
	Producers int    `json:"producers"`
	Aborted   int    `json:"aborted"`
	Object    string `json:"object,omitempty"` // that an index object names
	// Current says that the newest catalog finds these offsets here.
	Current bool `json:"current"`
}

// objectInspect reads one object whole.
func objectInspect(g *globals) *cobra.Command {
	var store string
	cmd := &cobra.Command{
		Use:   "inspect OBJECT --store URL",
		Short: "Show and verify one object: header, runs, footer, who refers to it",
		Long: `Read one object whole and show its header, its runs with their offsets, every checksum
verified, the entries of the journal that list it, and which of its runs the newest
catalog still finds there. An entry of the journal is shown with its commands.
Exit code 3 when something is wrong with it.`,
		Example: `  firn object inspect wal/00000000000000000002/00000000000000000000 --store 's3://bucket/prefix'
  firn object inspect catalog/journal/00000000000000000003 --store 's3://bucket/prefix'`,
		Args: exactArgs(1, "the name of an object, as firn object ls prints it"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if n, ok := strings.CutPrefix(args[0], journal.PrefixEntries); ok {
				return inspectEntry(g, cmd, store, n)
			}
			ref, err := catalog.ParseRef(args[0])
			if err != nil {
				return usage("%w, or %sNUMBER", err, journal.PrefixEntries)
			}
			var x inspected
			err = withStore(cmd.Context(), store, func(s cold.Store) error {
				x, err = inspect(cmd.Context(), s, ref)
				return err
			})
			if err != nil {
				return err
			}
			err = g.print(cmd, x, func(t *table) { x.print(t) })
			if err == nil && len(x.Findings) > 0 {
				err = &exit{code: exitProblem}
			}
			return err
		},
	}
	storeFlag(cmd, &store)
	return cmd
}

func inspect(ctx context.Context, s cold.Store, ref catalog.ObjectRef) (inspected, error) {
	state, err := readCatalog(ctx, s)
	if err != nil {
		return inspected{}, err
	}
	info, err := s.Stat(ctx, ref.Name())
	if errors.Is(err, cold.ErrNotFound) {
		return inspected{}, fmt.Errorf("%s: %w", ref, err)
	}
	if err != nil {
		return inspected{}, fmt.Errorf("stat %s: %w", ref, err)
	}
	x := inspected{Name: ref.Name(), Size: info.Size, Modified: info.Modified, Findings: []string{}, Runs: []runLine{}}
	h, runs, bad := object.VerifyAt(cold.NewReaderAt(ctx, s, ref.Name(), info.Size, nil), info.Size)
	if err := ctx.Err(); err != nil {
		return x, err
	}
	for _, err := range bad {
		x.Findings = append(x.Findings, err.Error())
	}
	x.header(ref, h)
	l := lister{ctx: ctx, store: s, state: state, jobs: map[uint64]bool{}}
	for _, j := range state.Jobs() {
		l.jobs[j.ID] = true
	}
	line, _ := l.line(info)
	x.Status = line.Status
	for _, r := range runs {
		if r.Partition.Topic.IsZero() {
			continue // the payload of an index object
		}
		e := catalog.Extent{Base: r.Base, Next: r.Next, Epoch: r.Epoch, Object: ref, Pos: r.Pos, Len: r.Len, CRC: r.CRC, Records: r.Records, MaxTimestamp: r.MaxTimestamp}
		y := newRunLine(state, r.Partition, e)
		y.Producers, y.Aborted, y.Object = len(r.Producers), len(r.Aborted), ""
		x.Runs = append(x.Runs, y)
	}
	if h.Kind == object.Index && len(bad) == 0 {
		if err := x.index(ctx, s, state, ref); err != nil {
			return x, err
		}
	}
	if h.Kind != object.Fence {
		x.Origin, err = replay.FindOrigin(ctx, s, state, ref, nil)
	}
	return x, err
}

// header fills in the header, and holds it to the object's name.
func (x *inspected) header(ref catalog.ObjectRef, h object.Header) {
	if h.Kind == 0 {
		x.Kind = "unreadable"
		return
	}
	x.Kind, x.Slot, x.Nonce = h.Kind.String(), h.Slot, hex.EncodeToString(h.Nonce[:])
	if ref.Kind == catalog.KindWAL {
		x.Session = h.Session
	} else {
		x.Job = h.Session
	}
	if h.Kind == object.Fence {
		x.Fencer = hex.EncodeToString(h.Fencer[:])
	}
	if h.Session != ref.A || h.Slot != ref.B {
		x.Findings = append(x.Findings, fmt.Sprintf("its header says that it is number %d of %d: it was put under a wrong name", h.Slot, h.Session))
	}
}

// index fills in what an index object lists, and the partition that it belongs to.
func (x *inspected) index(ctx context.Context, s cold.Store, state *catalog.State, ref catalog.ObjectRef) error {
	b, err := s.Get(ctx, ref.Name(), cold.Whole, nil)
	if err != nil {
		return fmt.Errorf("read %s: %w", ref, err)
	}
	payload, err := object.DecodeIndex(b, ref.A, ref.B)
	var xs []catalog.Extent
	if err == nil {
		xs, err = catalog.DecodeExtents(payload)
	}
	if err != nil {
		x.Findings = append(x.Findings, err.Error())
		return nil
	}
	var of record.Partition
	for t := range state.AllTopics() {
		for _, p := range t.Partitions {
			for _, l := range p.Index {
				if l.Object == ref {
					of, x.Status = p.ID, "used"
				}
			}
		}
	}
	for _, e := range xs {
		y := newRunLine(state, of, e)
		y.Current = x.Status == "used"
		x.Lists = append(x.Lists, y)
	}
	return nil
}

func newRunLine(s *catalog.State, p record.Partition, e catalog.Extent) runLine {
	l := runLine{
		Partition: p.Index, Epoch: e.Epoch, Base: e.Base, Next: e.Next, FirstByte: e.Pos, Bytes: e.Len, CRC: fmt.Sprintf("%08x", e.CRC),
		Records: e.Records, MaxTime: e.MaxTimestamp, Object: e.Object.Name(),
	}
	if !p.Topic.IsZero() {
		l.Topic = topicName(s, p.Topic)
	}
	if c, ok := s.Partition(p); ok {
		i := c.Find(e.Base)
		l.Current = i < len(c.Extents) && c.Extents[i].Base == e.Base && c.Extents[i].Object == e.Object
	}
	return l
}

func (x inspected) print(t *table) {
	t.row("NAME", x.Name)
	t.row("KIND", x.Kind)
	t.row("SIZE", x.Size)
	t.row("MODIFIED", x.Modified.UTC().Format(time.RFC3339))
	if x.Session > 0 {
		t.row("SESSION", fmt.Sprintf("%d, slot %d", x.Session, x.Slot))
	}
	if x.Job > 0 {
		t.row("JOB", fmt.Sprintf("%d, number %d", x.Job, x.Slot))
	}
	t.row("NONCE", x.Nonce)
	if x.Fencer != "" {
		t.row("FENCED-BY", x.Fencer)
	}
	t.row("STATUS", x.Status)
	if x.Fencer == "" {
		t.row("JOURNAL", originText(x.Origin, x.Status == "slot"))
	}
	verdict := "every byte verified"
	if n := int64(len(x.Findings)); n > 0 {
		verdict = counted(n, "finding")
	}
	t.row("CHECKSUMS", verdict)
	for _, f := range x.Findings {
		t.row("", f)
	}
	rows := func(runs []runLine, object bool) {
		if len(runs) == 0 {
			return
		}
		t.row()
		head := []any{"TOPIC", "PARTITION", "OFFSETS", "EPOCH", "BYTES", "CRC-32C", "RECORDS", "CURRENT"}
		if object {
			head = append(head, "OBJECT")
		}
		t.row(head...)
		for _, r := range runs {
			row := []any{r.Topic, r.Partition, fmt.Sprintf("[%d, %d)", r.Base, r.Next), r.Epoch, fmt.Sprintf("[%d, %d)", r.FirstByte, r.FirstByte+r.Bytes), r.CRC, r.Records, r.Current}
			if object {
				row = append(row, r.Object)
			}
			t.row(row...)
		}
	}
	rows(x.Runs, false)
	rows(x.Lists, true)
}

// entryLine is an entry of the journal.
type entryLine struct {
	Entry    uint64   `json:"entry"`
	Writer   string   `json:"writer"`
	Commands []string `json:"commands"`
}

func inspectEntry(g *globals, cmd *cobra.Command, store, number string) error {
	n, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return usage("object name %q: want a number of 20 digits behind %s", journal.PrefixEntries+number, journal.PrefixEntries)
	}
	return withStore(cmd.Context(), store, func(s cold.Store) error {
		e, err := journal.ReadEntry(cmd.Context(), s, n)
		if err != nil {
			return err
		}
		l := entryLine{Entry: n, Writer: hex.EncodeToString(e.Writer[:])}
		for _, c := range e.Commands {
			l.Commands = append(l.Commands, catalog.Describe(c))
		}
		return g.print(cmd, l, func(t *table) {
			t.row("ENTRY", l.Entry)
			t.row("WRITER", l.Writer)
			for _, c := range l.Commands {
				t.row("COMMAND", c)
			}
		})
	})
}
