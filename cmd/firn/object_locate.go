package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/firnlog/firn/replay"
	"github.com/firnlog/firn/tier/cold"
)

// located is the answer of firn object locate.
type located struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	Object    string `json:"object"`
	// FirstByte and Bytes are the run's, within the object.
	FirstByte int64  `json:"first_byte"`
	Bytes     int64  `json:"bytes"`
	CRC       string `json:"crc32c"`
	Base      int64  `json:"base"`
	Next      int64  `json:"next"`
	Epoch     int32  `json:"epoch"`
	Records   int64  `json:"records"`
	Index     string `json:"index_object,omitempty"`
	// Entries of the journal list the run. None: see Before and Unrecorded.
	replay.Origin
	Unrecorded bool   `json:"unrecorded"` // in a slot that the catalog does not know yet
	AsOf       uint64 `json:"as_of_entry"`
}

// objectLocate says where an offset lies.
func objectLocate(g *globals) *cobra.Command {
	var store string
	cmd := &cobra.Command{
		Use:   "locate TOPIC PARTITION OFFSET|@TIME --store URL",
		Short: "Say in which object an offset lies, and which journal entry put it there",
		Long: `Say where an offset lies, or the first record at or after a time: object, byte range,
checksum, and the entries of the journal that list it. firn object inspect goes the
other way.`,
		Example: `  firn object locate orders 3 1234567 --store 's3://bucket/prefix'
  firn object locate orders 3 @2026-11-23T10:00:00Z --store 's3://bucket/prefix'`,
		Args: exactArgs(3, "a topic, a partition and an offset or a time"),
		RunE: func(cmd *cobra.Command, args []string) error {
			partition, err := strconv.ParseInt(args[1], 10, 32)
			if err != nil || partition < 0 {
				return usage("partition %q: want a number", args[1])
			}
			at, err := parsePosition(args[2], time.Now())
			if err != nil || at.kind != atOffset && (at.kind != atTime || at.until != 0) {
				return usage("%q: want OFFSET or @TIME", args[2])
			}
			var l located
			err = withStore(cmd.Context(), store, func(s cold.Store) error {
				l, err = locate(cmd, s, args[0], int32(partition), at)
				return err
			})
			if err != nil {
				return err
			}
			return g.print(cmd, l, func(t *table) { l.print(t) })
		},
	}
	storeFlag(cmd, &store)
	return cmd
}

func locate(cmd *cobra.Command, s cold.Store, topic string, partition int32, at position) (located, error) {
	ctx := cmd.Context()
	h, err := replay.Open(ctx, s, topic, replay.Options{})
	if err != nil {
		return located{}, err
	}
	offset := at.n
	if at.kind == atTime {
		spans, err := h.Resolve(ctx, replay.Choice{Partitions: []int32{partition}, From: replay.Time(at.from), To: replay.End()})
		if err != nil {
			return located{}, err
		}
		if spans[0].From == spans[0].To {
			return located{}, fmt.Errorf("%s partition %d has no record at or after that time; its log ends at offset %d", topic, partition, spans[0].To)
		}
		offset = spans[0].From
	}
	x, err := h.Locate(ctx, partition, offset)
	if err != nil {
		return located{}, err
	}
	l := located{
		Topic: topic, Partition: partition, Offset: offset, Object: x.Object.Name(), FirstByte: x.Pos, Bytes: x.Len, CRC: fmt.Sprintf("%08x", x.CRC),
		Base: x.Base, Next: x.Next, Epoch: x.Epoch, Records: x.Records, Unrecorded: x.Unrecorded, AsOf: h.Entry(),
	}
	if !x.Index.IsZero() {
		l.Index = x.Index.Name()
	}
	if !x.Unrecorded {
		p := x.Partition
		p.Index = partition
		if l.Origin, err = replay.FindOrigin(ctx, s, h.State(), x.Object, &p); err != nil {
			return located{}, err
		}
	}
	return l, nil
}

func (l located) print(t *table) {
	t.row("OBJECT", l.Object)
	t.row("BYTES", fmt.Sprintf("[%d, %d)", l.FirstByte, l.FirstByte+l.Bytes))
	t.row("CRC-32C", l.CRC)
	t.row("OFFSETS", fmt.Sprintf("[%d, %d), %s, epoch %d", l.Base, l.Next, counted(l.Records, "record"), l.Epoch))
	if l.Index != "" {
		t.row("LISTED-IN", l.Index)
	}
	t.row("JOURNAL", originText(l.Origin, l.Unrecorded))
}

// originText says which journal entries put an object into the catalog.
func originText(o replay.Origin, unrecorded bool) string {
	switch {
	case unrecorded:
		return "not yet: the slot is committed, the catalog will record it"
	case len(o.Entries) > 0:
		var s []string
		for _, n := range o.Entries {
			s = append(s, strconv.FormatUint(n, 10))
		}
		return "entry " + strings.Join(s, ", ")
	case o.Before > 0:
		return fmt.Sprintf("before entry %d: what lies before was collected into a snapshot", o.Before)
	}
	return "no entry lists it"
}
