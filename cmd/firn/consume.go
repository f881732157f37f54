package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// newConsume prints records. Without a group it reads a part of the log that is
// fixed at the beginning, and fails rather than end before it has seen all of it.
func newConsume(g *globals) *cobra.Command {
	c := &consumer{g: g}
	var offset, format, grep string
	cmd := &cobra.Command{
		Use:   "consume TOPIC...",
		Short: "Print records",
		Long: `Print records from the start (default), the end, an offset, or a time:

  -o start | end       from the first record, or what comes from now on
  -o 100 | -10         from offset 100, or the last 10 of each partition
  -o @TIME             from a time: 2026-11-23, 2026-11-23T10:00:00Z, -2h, or milliseconds
  -o @TIME:TIME        from one time to another

It ends at what was the end of the log when it began, unless --follow, --group or
-o end say otherwise. The % verbs of -f are those of rpk and kcl: %v value, %k key,
%t topic, %p partition, %o offset, %T time, %h headers; with --format json, every
record is a line of JSON.`,
		Example: `  firn consume orders
  firn consume orders -o @-1h -f '%T{2006-01-02} %k %v\n'
  firn consume orders -o -10 -p 0,1 --json`,
		Args:              someArgs("the name of at least one topic"),
		ValidArgsFunction: completeTopics(g),
		RunE: func(cmd *cobra.Command, args []string) error {
			at, err := parsePosition(offset, time.Now())
			if err != nil {
				return usage("--offset %w", err)
			}
			c.topics, c.at = args, at
			c.follow = c.follow || at.kind == atEnd
			switch {
			case c.group != "" && len(c.partitions) > 0:
				return usage("--group and --partitions exclude each other: the group decides who reads what")
			case c.group != "" && at.kind != atStart && at.kind != atEnd:
				return usage("--group begins where it has committed, or at --offset start or end; `firn group seek` moves it")
			}
			if c.count < 0 {
				return usage("--num %d: want how many records to print, or 0 for all", c.count)
			}
			if grep != "" {
				if c.match, err = regexp.Compile(grep); err != nil {
					return usage("--grep: %w", err)
				}
			}
			out := bufio.NewWriterSize(cmd.OutOrStdout(), 64<<10)
			if c.print, err = recordPrinter(g, cmd.Flags().Changed("record-format"), format, out); err != nil {
				return err
			}
			c.flush = out.Flush
			if err := c.run(cmd.Context()); err != nil {
				_ = out.Flush() // what was printed so far; a writer that failed fails again, and was told of
				return err
			}
			return out.Flush()
		},
	}
	f := cmd.Flags()
	f.StringVarP(&offset, "offset", "o", "start", "where to begin: start, end, N, -N, @TIME or @TIME:TIME")
	f.StringVarP(&format, "record-format", "f", "%v\n", "how a record is printed: % verbs")
	f.StringVarP(&c.group, "group", "g", "", "consume as a member of a group, and commit what was printed")
	f.StringVarP(&grep, "grep", "G", "", "only records whose key or value matches this regular expression")
	f.Int32SliceVarP(&c.partitions, "partitions", "p", nil, "only these partitions")
	_ = cmd.RegisterFlagCompletionFunc("partitions", completePartitions(g))
	f.Int64VarP(&c.count, "num", "n", 0, "end after so many records; 0 for all")
	f.BoolVar(&c.follow, "follow", false, "go on at the end of the log")
	f.BoolVar(&c.committed, "read-committed", false, "leave out records of transactions that are open or aborted")
	_ = cmd.RegisterFlagCompletionFunc("offset", words("start", "end", "@-1h", "-10"))
	_ = cmd.RegisterFlagCompletionFunc("group", completeGroups(g))
	return cmd
}

type consumer struct {
	g          *globals
	topics     []string
	at         position
	group      string
	partitions []int32
	count      int64
	follow     bool
	committed  bool
	match      *regexp.Regexp
	print      func(*kgo.Record) error
	flush      func() error

	printed int64
}

func (c *consumer) run(ctx context.Context) error {
	opts := []kgo.Opt{kgo.FetchMaxWait(time.Second)}
	if c.committed {
		opts = append(opts, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	}
	if c.group != "" {
		return c.runGroup(ctx, opts)
	}
	rctx, cl, err := c.g.connect(ctx)
	if err != nil {
		return err
	}
	lctx, cancel := context.WithTimeout(rctx, c.g.timeout)
	spans, err := resolve(lctx, kadm.NewClient(cl.Client), c.topics, c.partitions, c.at, c.committed)
	cancel()
	err = cl.explain(err)
	cl.Close()
	if err != nil {
		return err
	}
	left := left{}
	begin := map[string]map[int32]kgo.Offset{}
	for _, s := range spans {
		if s.from >= s.to && !c.follow {
			continue // nothing to wait for
		}
		if begin[s.topic] == nil {
			begin[s.topic] = map[int32]kgo.Offset{}
		}
		begin[s.topic][s.partition] = kgo.NewOffset().At(s.from)
		left[place{s.topic, s.partition}] = &s
	}
	if len(left) == 0 {
		return nil
	}
	// Control records are kept: they may be the last of the log, and tell that it
	// was read.
	rctx, cl, err = c.g.connect(ctx, append(opts, kgo.ConsumePartitions(begin), kgo.KeepControlRecords())...)
	if err != nil {
		return err
	}
	defer cl.Close()
	if c.follow {
		left = nil
	}
	return c.poll(rctx, cl, left, nil)
}

// runGroup reads as a member of a group until it is interrupted, or has printed
// enough. It commits what was printed, not what was fetched.
func (c *consumer) runGroup(ctx context.Context, opts []kgo.Opt) error {
	begin := kgo.NewOffset().AtStart()
	if c.at.kind == atEnd {
		begin = kgo.NewOffset().AtEnd()
	}
	rctx, cl, err := c.g.connect(ctx, append(opts, kgo.ConsumerGroup(c.group), kgo.ConsumeTopics(c.topics...),
		kgo.ConsumeResetOffset(begin), kgo.AutoCommitMarks(), kgo.BlockRebalanceOnPoll())...)
	if err != nil {
		return err
	}
	defer cl.Close()
	err = c.poll(rctx, cl, nil, func(r *kgo.Record) { cl.MarkCommitRecords(r) })
	cctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.g.timeout)
	defer cancel()
	if cerr := cl.CommitMarkedOffsets(cctx); cerr != nil && err == nil {
		err = fmt.Errorf("commit: %w", cl.explain(cerr))
	}
	cl.AllowRebalance()
	return err
}

// place is one partition of a topic by name.
type place struct {
	topic     string
	partition int32
}

// left is what is still to be read; nil for no end.
type left map[place]*span

// idle is how long a log gives nothing before it is asked whether the rest of it
// is a gap.
const idle = time.Second

// poll reads until ctx ends, enough was printed, or nothing is left. A log that
// gives nothing for the time of --timeout, although it should, is an error: the end
// of the output must mean the end of the log.
func (c *consumer) poll(ctx context.Context, cl *client, left left, done func(*kgo.Record)) error {
	came := time.Now()
	for left == nil || len(left) > 0 {
		pctx, cancel := ctx, context.CancelFunc(func() {})
		if left != nil {
			pctx, cancel = context.WithTimeout(ctx, min(idle, c.g.timeout))
		}
		fs := cl.PollFetches(pctx)
		late := pctx.Err() != nil && ctx.Err() == nil
		cancel()
		if fs.NumRecords() > 0 {
			came = time.Now()
		}
		for it := fs.RecordIter(); !it.Done(); {
			enough, err := c.take(it.Next(), cl, left, done)
			if err != nil || enough {
				return err
			}
		}
		if c.group != "" {
			cl.AllowRebalance()
		}
		if err := c.flush(); err != nil {
			return fmt.Errorf("standard output: %w", err)
		}
		if ctx.Err() != nil {
			if err := cl.dials.fault(); err != nil || left == nil { // interrupted is how --follow ends
				return err
			}
			return fmt.Errorf("interrupted: %s", left)
		}
		if late && fs.NumRecords() == 0 {
			gctx, cancel := context.WithTimeout(ctx, c.g.timeout)
			err := left.skipGaps(gctx, cl.Client)
			cancel()
			if len(left) > 0 && time.Since(came) >= c.g.timeout {
				return errors.Join(fmt.Errorf("no record for %v, although there is more: %s; --timeout gives it more time", c.g.timeout, left), err)
			}
			continue
		}
		for _, e := range fs.Errors() {
			if !errors.Is(e.Err, context.DeadlineExceeded) && !errors.Is(e.Err, context.Canceled) {
				return cl.explain(fmt.Errorf("%s partition %d: %w", e.Topic, e.Partition, e.Err))
			}
		}
	}
	return nil
}

// take prints one record and notes how far its partition is read.
func (c *consumer) take(r *kgo.Record, cl *client, left left, done func(*kgo.Record)) (enough bool, err error) {
	if left != nil {
		at := place{r.Topic, r.Partition}
		s := left[at]
		if s == nil {
			return false, nil
		}
		s.from = r.Offset + 1
		if s.from >= s.to {
			delete(left, at)
			cl.PauseFetchPartitions(map[string][]int32{r.Topic: {r.Partition}})
		}
		if r.Offset >= s.to {
			return false, nil
		}
	}
	if !r.Attrs.IsControl() && (c.match == nil || c.match.Match(r.Value) || c.match.Match(r.Key)) {
		if err := c.print(r); err != nil {
			return false, fmt.Errorf("standard output: %w", err)
		}
		c.printed++
	}
	if done != nil {
		done(r)
	}
	return c.count > 0 && c.printed >= c.count, nil
}

// String names a part of what is left.
func (l left) String() string {
	var parts []string
	for at, s := range l { // any of them will do
		if parts = append(parts, fmt.Sprintf("%s partition %d is read up to offset %d of %d", at.topic, at.partition, s.from, s.to)); len(parts) == 3 {
			break
		}
	}
	return strings.Join(parts, ", ")
}
