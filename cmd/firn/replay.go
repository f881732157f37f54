package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/firnlog/firn/replay"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/web/cost"
)

// replayer is one run of firn replay.
type replayer struct {
	g          *globals
	cmd        *cobra.Command
	topic      string
	store      string
	partitions []int32
	from, to   string
	committed  bool
	out        string
	format     string
	toTopic    string
	speed      string
	dryRun     bool
	checkpoint string
	follow     bool
	prices     string
	memory     int64 // MiB
}

// newReplay reads history straight from the bucket.
func newReplay(g *globals) *cobra.Command {
	r := &replayer{g: g}
	cmd := &cobra.Command{
		Use:   "replay TOPIC --store URL",
		Short: "Read a topic straight from the bucket, with or without brokers",
		Long: `Read records straight from the bucket: also those that are only in WAL objects so
far, also while brokers write, also when there are none any more. Nothing is written to
the bucket. The records of a partition come in the order of their offsets; partitions are
merged by timestamp. Every checksum is verified, and memory stays flat.

  --from, --to   start, end, an offset, or a time: @2026-11-23, @2026-11-23T10:00:00Z,
                 @-2h, @milliseconds. --to is where it ends: that record is not read.
  --format       jsonl: a line of JSON for each record, as firn consume --json prints it;
                 raw: the values, one behind the other, nothing between;
                 % verbs, those of firn consume: '%p %o %k %v\n'
  --to-topic     produce to a topic instead: partitions, keys, headers and timestamps
                 stay. The topic needs as many partitions.
  --speed        1 keeps the distances of the timestamps, 10x is ten times as fast.
  --dry-run      print what would be read, and what that costs: as text, or as JSON or
                 YAML by --format json or yaml.

With --checkpoint, how far it came is kept in a file. The same command goes on there when
it was interrupted or killed, cuts off what was written after the checkpoint, and ends
with each record once in the file of --out. With --to-topic, records since the last
checkpoint are produced again.`,
		Example: `  firn replay orders --store 's3://bucket/prefix' --from @2026-11-01 --to @2026-11-08 --out week.jsonl
  firn replay orders --store 's3://bucket/prefix' --dry-run
  firn replay orders --store 's3://bucket/prefix' --to-topic orders-again --speed 10x --checkpoint orders.json`,
		Args:              exactArgs(1, "the name of a topic"),
		ValidArgsFunction: completeTopics(g),
		RunE: func(cmd *cobra.Command, args []string) error {
			leanHeap()
			r.cmd, r.topic = cmd, args[0]
			return r.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	storeFlag(cmd, &r.store)
	f.Int32SliceVarP(&r.partitions, "partition", "p", nil, "only these partitions: `P,…`")
	f.StringVar(&r.from, "from", "start", "where to begin: start, end, OFFSET or @TIME")
	f.StringVar(&r.to, "to", "end", "where to end: end, OFFSET or @TIME")
	f.BoolVar(&r.committed, "read-committed", false, "leave out records of transactions that are open or aborted")
	f.StringVar(&r.out, "out", "-", "the `FILE` to write; - is standard output")
	f.StringVar(&r.format, "format", "jsonl", "how a record is written: `jsonl`, raw or % verbs")
	f.StringVar(&r.toTopic, "to-topic", "", "the `TOPIC` to produce to, at --brokers")
	f.StringVar(&r.speed, "speed", "", "how much faster than it was written, such as 1 or 10x; as fast as can be without")
	f.BoolVar(&r.dryRun, "dry-run", false, "print objects, GETs, bytes and what they cost")
	f.StringVar(&r.checkpoint, "checkpoint", "", "a `FILE` that keeps how far it came")
	f.BoolVar(&r.follow, "follow", false, "go on at the end of the log")
	f.StringVar(&r.prices, "prices", "", "a YAML `FILE` of prices for --dry-run; firn cost --print-prices prints one")
	f.Int64Var(&r.memory, "memory", replay.DefaultMemory>>20, "how many `MiB` of what was fetched may be held, 16 at least")
	_ = cmd.RegisterFlagCompletionFunc("partition", completePartitions(g))
	_ = cmd.RegisterFlagCompletionFunc("to-topic", completeTopics(g))
	_ = cmd.RegisterFlagCompletionFunc("format", words("jsonl", "raw", "%v\\n"))
	_ = cmd.RegisterFlagCompletionFunc("from", words("start", "@-1h"))
	_ = cmd.RegisterFlagCompletionFunc("to", words("end", "@-1h"))
	return cmd
}

// choice is what the flags choose.
func (r *replayer) choice(now time.Time) (c replay.Choice, err error) {
	c = replay.Choice{Partitions: r.partitions, Committed: r.committed}
	from, err := parseReplayPosition(r.from, now)
	if err != nil {
		return c, usage("--from %w", err)
	}
	to, err := parseReplayPosition(r.to, now)
	if err != nil {
		return c, usage("--to %w", err)
	}
	// Nothing lies between, whatever is in the log.
	if from.kind == to.kind && (from.n > to.n || from.from > to.from) {
		return c, usage("--from %s is behind --to %s", r.from, r.to)
	}
	c.From, c.To = from.inReplay(), to.inReplay()
	return c, nil
}

// parseReplayPosition reads start, end, OFFSET or @TIME.
func parseReplayPosition(s string, now time.Time) (position, error) {
	p, err := parsePosition(s, now)
	if err != nil || p.kind == beforeEnd || p.until != 0 {
		return p, fmt.Errorf("%q: want start, end, OFFSET or @TIME, where TIME is 2026-11-23, 2026-11-23T10:00:00Z, -2h or milliseconds", s)
	}
	return p, nil
}

// inReplay is what parseReplayPosition has read, as package replay says it.
func (p position) inReplay() replay.Position {
	switch p.kind {
	case atStart:
		return replay.Start()
	case atOffset:
		return replay.Offset(p.n)
	case atTime:
		return replay.Time(p.from)
	}
	return replay.End()
}

// parseSpeed reads 10, 10x or 0.5; nothing is 0.
func parseSpeed(s string) (float64, error) {
	if s == "" {
		return 0, nil
	}
	x, err := strconv.ParseFloat(strings.TrimSuffix(s, "x"), 64)
	if err != nil || !(x > 0 && x <= 1e9) {
		return 0, usage("--speed %q: want a number above 0, such as 1, 0.5 or 10x", s)
	}
	return x, nil
}

// check refuses flags that contradict each other.
func (r *replayer) check() error {
	switch {
	case r.store == "":
		return usage("--store is not set: want the bucket's URL")
	case r.toTopic != "" && r.cmd.Flags().Changed("out"):
		return usage("--out and --to-topic exclude each other")
	case r.toTopic != "" && r.cmd.Flags().Changed("format"):
		return usage("--format and --to-topic exclude each other: records are produced as they are")
	case r.checkpoint != "" && r.toTopic == "" && r.out == "-":
		return usage("--checkpoint needs --out FILE or --to-topic: what was written to standard output cannot be taken back")
	case r.follow && r.to != "end":
		return usage("--follow and --to exclude each other: it has no end")
	case r.memory < 16:
		return usage("--memory %d: want 16 MiB at least", r.memory)
	}
	return nil
}

func (r *replayer) run(ctx context.Context) error {
	if err := r.check(); err != nil {
		return err
	}
	speed, err := parseSpeed(r.speed)
	if err != nil {
		return err
	}
	choice, err := r.choice(time.Now())
	if err != nil {
		return err
	}
	prices, err := r.priceTable()
	if err != nil {
		return err
	}
	store, err := openBucket(ctx, r.store)
	if err != nil {
		return err
	}
	defer func() { _ = cold.Close(store) }() // nothing was written
	h, err := replay.Open(ctx, store, r.topic, replay.Options{Memory: r.memory << 20})
	if err != nil {
		return err
	}
	mark, err := r.loadCheckpoint(h)
	if err != nil {
		return err
	}
	if mark.Spans == nil {
		if mark.Spans, err = h.Resolve(ctx, choice); errors.Is(err, replay.ErrDamaged) {
			return fmt.Errorf("%w; what lies before that can be read with --to OFFSET or --to @TIME", err)
		}
		if err != nil {
			return err
		}
	}
	if r.dryRun {
		if slices.Contains(formats, r.format) { // of an answer, as anywhere else
			r.g.format = r.format
		}
		return r.printPlan(ctx, h, mark.Spans, prices)
	}
	sink, err := r.open(ctx, mark)
	if err != nil {
		return err
	}
	err = r.copy(ctx, h, sink, mark, replay.How{Committed: r.committed, Speed: speed})
	return errors.Join(err, sink.close())
}

// copy replays the spans that are left, and goes on with what comes if it is to.
func (r *replayer) copy(ctx context.Context, h *replay.History, sink sink, mark *checkpoint, how replay.How) error {
	keeper := &keeper{path: r.checkpoint, mark: mark, sink: sink, every: 2 * time.Second, last: time.Now()}
	if how.Speed > 0 && r.out == "-" && r.toTopic == "" {
		keeper.every = 0 // somebody watches
	}
	if err := keeper.save(); err != nil { // the file may be cut to what this says
		return err
	}
	for {
		spans := mark.copySpans()
		step, done, err := r.progress(ctx, h, spans)
		if err != nil {
			return err
		}
		res, err := h.Replay(ctx, spans, how, func(x *replay.Record) error {
			if err := sink.put(r.topic, x); err != nil {
				return err
			}
			step()
			return keeper.wrote(x)
		})
		done()
		for _, l := range res.Lost {
			r.g.note(r.cmd, "firn: retention took away offsets [%d, %d) of partition %d before they were read", l.From, l.To, l.Partition)
		}
		if err == nil {
			keeper.finished()
		}
		// Whatever ended it, what is there is kept.
		if serr := keeper.save(); serr != nil || err != nil {
			if ctx.Err() != nil && r.follow && serr == nil {
				return nil // which is how --follow ends
			}
			if ctx.Err() != nil {
				err = errors.New("interrupted; with --checkpoint the same command goes on")
			}
			return errors.Join(err, serr)
		}
		if !r.follow {
			return nil
		}
		if err := r.await(ctx, h, mark); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
}

// await waits for records behind the spans, and moves the spans to them.
func (r *replayer) await(ctx context.Context, h *replay.History, mark *checkpoint) error {
	for tick := time.NewTicker(time.Second); ; {
		if err := h.Refresh(ctx); err != nil {
			tick.Stop()
			return err
		}
		ends, err := h.Resolve(ctx, replay.Choice{Partitions: r.partitions, To: replay.End(), Committed: r.committed})
		if err != nil {
			tick.Stop()
			return err
		}
		if mark.extend(ends) {
			tick.Stop()
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			tick.Stop()
			return ctx.Err()
		}
	}
}

// progress returns what is to be called for each record, and at the end.
func (r *replayer) progress(ctx context.Context, h *replay.History, spans []replay.Span) (step, done func(), err error) {
	w := r.cmd.ErrOrStderr()
	if !isTerminal(w) || r.g.quiet || r.follow || r.out == "-" && r.toTopic == "" && isTerminal(r.cmd.OutOrStdout()) {
		return func() {}, func() {}, nil
	}
	plan, err := h.Plan(ctx, spans)
	if err != nil {
		return nil, nil, err
	}
	bar := progressbar.NewOptions64(max(plan.Records, 1), progressbar.OptionSetWriter(w), progressbar.OptionClearOnFinish(),
		progressbar.OptionSetDescription(r.topic), progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("records"))
	bar.StartWithoutRender() // otherwise at the first step, which is of many records: how fast they came was made up
	var n, shown int64
	began := time.Now()
	return func() {
		if n++; n%64 == 0 && time.Since(began) > 100*time.Millisecond {
			began = time.Now()
			_ = bar.Add64(n - shown)
			shown = n
		}
	}, func() { _ = bar.Clear() }, nil
}

func (r *replayer) priceTable() (*cost.Prices, error) {
	var text []byte
	if r.prices != "" {
		b, err := os.ReadFile(r.prices)
		if err != nil {
			return nil, usage("--prices: %w", err)
		}
		text = b
	}
	p, err := cost.ParsePrices(text)
	if err != nil {
		return nil, usage("--prices %s: %w", r.prices, err)
	}
	return p, nil
}

// planned is the answer of --dry-run.
type planned struct {
	Topic string `json:"topic"`
	replay.Plan
	Cost     float64 `json:"cost"`
	Currency string  `json:"currency"`
	Prices   string  `json:"prices"`
}

func (r *replayer) printPlan(ctx context.Context, h *replay.History, spans []replay.Span, prices *cost.Prices) error {
	plan, err := h.Plan(ctx, spans)
	if err != nil {
		return err
	}
	out := planned{Topic: r.topic, Plan: plan, Currency: prices.Currency, Prices: prices.Name}
	out.Cost = plan.Cost(replay.Prices{Get: prices.Requests["get"] / 1000, GiB: prices.Moved["get"]})
	return r.g.print(r.cmd, out, func(t *table) {
		t.row("PARTITION", "FROM", "TO")
		for _, s := range out.Spans {
			t.row(s.Partition, s.From, s.To)
		}
		t.row()
		t.row("OBJECTS", "INDEX-OBJECTS", "GETS", "BYTES", "RECORDS", "COST")
		t.row(out.Objects, out.Indexes, out.Gets, out.Bytes, out.Records, fmt.Sprintf("%.6f %s (%s)", out.Cost, out.Currency, out.Prices))
	})
}

// toKafka is a record as clients know it. It shares the bytes.
func toKafka(topic string, x *replay.Record, into *kgo.Record) {
	into.Topic, into.Partition, into.Offset = topic, x.Partition, x.Offset
	into.Timestamp, into.Key, into.Value = time.UnixMilli(x.Timestamp), x.Key, x.Value
	into.Headers = into.Headers[:0]
	for _, h := range x.Headers {
		into.Headers = append(into.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
}
