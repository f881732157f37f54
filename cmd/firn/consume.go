package main

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

func newConsume(g *globals) *cobra.Command {
	var offset, format, group, grep string
	var partitions []int32
	var count int
	var follow bool
	cmd := &cobra.Command{
		Use:   "consume TOPIC...",
		Short: "Consume records",
		Long: `Consume records from the start (default), the end, an offset, or a time:

  -o start | end       from the first record, or what comes from now on
  -o 100 | -10         from offset 100, or the last 10 of each partition
  -o @TIME             from a time: 2026-11-23T10:00:00Z, 2026-11-23, -2h, or milliseconds
  -o @TIME:TIME        from one time to another

It ends at the end of the log as it was at the beginning, unless --follow or --group says otherwise.
The % verbs of --record-format are those of rpk and kcl.`,
		Example: `  firn consume orders
  firn consume orders -o @-1h -f '%T{2006-01-02} %k %v\n'`,
		Args:              someArgs("the name of at least one topic"),
		ValidArgsFunction: completeTopics(g),
		RunE: func(cmd *cobra.Command, args []string) error {
			from, err := parseOffset(offset, time.Now())
			if err != nil {
				return err
			}
			f, err := kgo.NewRecordFormatter(format)
			if err != nil {
				return usage("--record-format %q: %w", format, err)
			}
			var match *regexp.Regexp
			if grep != "" {
				if match, err = regexp.Compile(grep); err != nil {
					return usage("--grep: %w", err)
				}
			}
			c := consumer{g: g, topics: args, from: from, group: group, partitions: partitions, count: count, follow: follow || offset == "end"}
			return c.run(cmd.Context(), func(r *kgo.Record) error {
				if match != nil && !match.Match(r.Value) && !match.Match(r.Key) {
					return nil
				}
				_, err := cmd.OutOrStdout().Write(f.AppendRecord(nil, r))
				return err
			})
		},
	}
	f := cmd.Flags()
	f.StringVarP(&offset, "offset", "o", "start", "where to begin: start, end, N, -N, @TIME or @TIME:TIME")
	f.StringVarP(&format, "record-format", "f", "%v\n", "how a record is printed: % verbs")
	f.StringVarP(&group, "group", "g", "", "consume as a member of a group, and commit")
	f.StringVarP(&grep, "grep", "G", "", "only records whose key or value matches")
	f.Int32SliceVarP(&partitions, "partitions", "p", nil, "only these partitions")
	f.IntVarP(&count, "num", "n", 0, "end after so many records")
	f.BoolVar(&follow, "follow", false, "go on at the end of the log")
	return cmd
}

// begin is where to begin, and at what time to end.
type begin struct {
	at     kgo.Offset
	last   int64 // -N: so many before the end
	until  int64 // ms; 0 for none
	sought bool  // at is given as a number
}

func parseOffset(s string, now time.Time) (begin, error) {
	bad := usage("--offset %q: want start, end, N, -N, @TIME or @TIME:TIME", s)
	switch {
	case s == "start" || s == "beginning" || s == "":
		return begin{at: kgo.NewOffset().AtStart()}, nil
	case s == "end":
		return begin{at: kgo.NewOffset().AtEnd()}, nil
	case strings.HasPrefix(s, "@"):
		a, b, _ := cutTimes(s[1:])
		from, err := parseTime(a, now)
		if err != nil {
			return begin{}, bad
		}
		x := begin{at: kgo.NewOffset().AfterMilli(from)}
		if b != "" {
			if x.until, err = parseTime(b, now); err != nil {
				return begin{}, bad
			}
		}
		return x, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	switch {
	case err != nil:
		return begin{}, bad
	case n < 0:
		return begin{at: kgo.NewOffset().AtEnd().Relative(n), last: -n}, nil
	}
	return begin{at: kgo.NewOffset().At(n), sought: true}, nil
}

// cutTimes splits "T1:T2"; times may have colons themselves.
func cutTimes(s string) (a, b string, ok bool) {
	for i := range len(s) {
		if s[i] != ':' {
			continue
		}
		if _, err := parseTime(s[:i], time.Time{}); err == nil {
			if _, err := parseTime(s[i+1:], time.Time{}); err == nil {
				return s[:i], s[i+1:], true
			}
		}
	}
	return s, "", false
}

func parseTime(s string, now time.Time) (int64, error) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && n > 0 {
		return n, nil
	}
	if d, err := time.ParseDuration(s); err == nil && strings.HasPrefix(s, "-") {
		return now.Add(d).UnixMilli(), nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02"} {
		if t, err := time.ParseInLocation(layout, s, time.Local); err == nil {
			return t.UnixMilli(), nil
		}
	}
	if s == "now" {
		return now.UnixMilli(), nil
	}
	return 0, fmt.Errorf("%q is not a time", s)
}

type consumer struct {
	g          *globals
	topics     []string
	from       begin
	group      string
	partitions []int32
	count      int
	follow     bool
}

// ends looks up where the topics end now, and the first offset of each partition
// that is to be read.
func (c *consumer) ends(ctx context.Context, cl *kgo.Client) (map[string]map[int32]int64, map[string]map[int32]kgo.Offset, error) {
	ctx, cancel := context.WithTimeout(ctx, c.g.timeout)
	defer cancel()
	adm := kadm.NewClient(cl)
	ends, err := adm.ListEndOffsets(ctx, c.topics...)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, nil, c.g.explain(err)
	}
	starts, err := adm.ListStartOffsets(ctx, c.topics...)
	if err != nil {
		return nil, nil, c.g.explain(err)
	}
	left := map[string]map[int32]int64{}
	at := map[string]map[int32]kgo.Offset{}
	ends.Each(func(o kadm.ListedOffset) {
		if len(c.partitions) > 0 && !contains(c.partitions, o.Partition) {
			return
		}
		if left[o.Topic] == nil {
			left[o.Topic] = map[int32]int64{}
			at[o.Topic] = map[int32]kgo.Offset{}
		}
		first, _ := starts.Lookup(o.Topic, o.Partition)
		from := c.from.at
		if c.from.last > 0 {
			from = kgo.NewOffset().At(max(first.Offset, o.Offset-c.from.last))
		}
		if first.Offset < o.Offset {
			left[o.Topic][o.Partition] = o.Offset
		}
		at[o.Topic][o.Partition] = from
	})
	return left, at, nil
}

func contains(ps []int32, p int32) bool {
	for _, x := range ps {
		if x == p {
			return true
		}
	}
	return false
}

func (c *consumer) run(ctx context.Context, each func(*kgo.Record) error) error {
	if c.group != "" {
		cl, err := c.g.client(kgo.ConsumerGroup(c.group), kgo.ConsumeTopics(c.topics...), kgo.ConsumeResetOffset(c.from.at))
		if err != nil {
			return err
		}
		defer cl.Close()
		defer func() {
			cctx, cancel := context.WithTimeout(context.Background(), c.g.timeout)
			defer cancel()
			_ = cl.CommitUncommittedOffsets(cctx)
		}()
		return c.poll(ctx, cl, nil, each)
	}
	cl, err := c.g.client()
	if err != nil {
		return err
	}
	left, at, err := c.ends(ctx, cl)
	if err == nil && c.from.until != 0 {
		adm := kadm.NewClient(cl)
		var until kadm.ListedOffsets
		if until, err = adm.ListOffsetsAfterMilli(ctx, c.from.until, c.topics...); err == nil {
			until.Each(func(o kadm.ListedOffset) {
				if end, ok := left[o.Topic][o.Partition]; ok && o.Offset >= 0 && o.Offset < end {
					left[o.Topic][o.Partition] = o.Offset
				}
			})
		}
	}
	cl.Close()
	if err != nil {
		return err
	}
	if c.follow {
		left = nil
	}
	for topic, ps := range at {
		if left == nil {
			break
		}
		for p, o := range ps {
			// What begins at or behind the end has nothing to wait for.
			if e := o.EpochOffset(); e.Offset >= 0 && c.from.sought && e.Offset >= left[topic][p] {
				delete(left[topic], p)
			}
		}
	}
	if left != nil && empty(left) {
		return nil
	}
	cl, err = c.g.client(kgo.ConsumePartitions(at))
	if err != nil {
		return err
	}
	defer cl.Close()
	return c.poll(ctx, cl, left, each)
}

func empty(left map[string]map[int32]int64) bool {
	for _, ps := range left {
		if len(ps) > 0 {
			return false
		}
	}
	return true
}

// poll reads until ctx ends, enough records were read, or every partition has come
// to its end (left; nil for never).
func (c *consumer) poll(ctx context.Context, cl *kgo.Client, left map[string]map[int32]int64, each func(*kgo.Record) error) error {
	n := 0
	for {
		wait := ctx
		cancel := func() {}
		if left != nil {
			// A partition whose start lies at its end gives no record to tell by: a
			// fetch that stays empty does.
			wait, cancel = context.WithTimeout(ctx, 2*time.Second)
		}
		fs := cl.PollFetches(wait)
		cancel()
		if ctx.Err() != nil {
			return nil
		}
		for _, e := range fs.Errors() {
			if wait.Err() != nil {
				break
			}
			return c.g.explain(fmt.Errorf("%s partition %d: %w", e.Topic, e.Partition, e.Err))
		}
		if left != nil && wait.Err() != nil && fs.NumRecords() == 0 {
			return nil
		}
		for it := fs.RecordIter(); !it.Done(); {
			r := it.Next()
			if left != nil {
				end, open := left[r.Topic][r.Partition]
				if !open || r.Offset >= end {
					delete(left[r.Topic], r.Partition)
					continue
				}
				if r.Offset+1 >= end {
					delete(left[r.Topic], r.Partition)
				}
			}
			if err := each(r); err != nil {
				return fmt.Errorf("standard output: %w", err)
			}
			if n++; n == c.count {
				return nil
			}
		}
		if left != nil && empty(left) {
			return nil
		}
	}
}
