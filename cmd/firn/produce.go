package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"
)

// newProduce produces what it reads. Its exit code is 0 only when every record
// was acknowledged.
func newProduce(g *globals) *cobra.Command {
	p := &producer{g: g}
	cmd := &cobra.Command{
		Use:   "produce TOPIC",
		Short: "Produce records from standard input",
		Long: `Produce records from standard input, one a line unless -f says otherwise. The % verbs
are those of rpk and kcl: %v value, %k key, %h headers, %t topic, %p partition, with
sizes such as %V{4}%v for binary data. Exit code 0 means that all are acknowledged:
with --acks all, in the bucket.`,
		Example: `  echo hello | firn produce greetings
  firn produce orders -f '%k %v\n' < orders.txt
  firn produce orders -k customer-7 -H source:import -z zstd -o '%p %o\n' < orders.txt`,
		Args:              exactArgs(1, "the name of one topic"),
		ValidArgsFunction: completeTopics(g),
		RunE: func(cmd *cobra.Command, args []string) error {
			p.topic = args[0]
			return p.run(cmd)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&p.format, "record-format", "f", "%v\n", "how a record is read: % verbs")
	f.StringVarP(&p.output, "output-format", "o", "", "print each acknowledged record: % verbs, for example '%p %o\\n'")
	f.StringVarP(&p.key, "key", "k", "", "key of records that bring none")
	f.StringArrayVarP(&p.headers, "header", "H", nil, "`KEY:VALUE`: a header of every record")
	f.Int32VarP(&p.partition, "partition", "p", 0, "the partition to produce to; by key without it")
	_ = cmd.RegisterFlagCompletionFunc("partition", completePartitions(g))
	f.StringVarP(&p.codec, "compression", "z", "none", "none, gzip, snappy, lz4 or zstd")
	f.StringVar(&p.acks, "acks", "all", "all: in the bucket; 1: synced by the leader; 0: unknown")
	f.BoolVarP(&p.tombstone, "tombstone", "Z", false, "records with an empty value delete their key")
	_ = cmd.RegisterFlagCompletionFunc("compression", words("none", "gzip", "snappy", "lz4", "zstd"))
	_ = cmd.RegisterFlagCompletionFunc("acks", words("all", "1", "0"))
	return cmd
}

type producer struct {
	g         *globals
	topic     string
	format    string
	output    string
	key       string
	headers   []string
	partition int32
	codec     string
	acks      string
	tombstone bool
}

// options are the client's, or what is wrong with the flags.
func (p *producer) options(cmd *cobra.Command) ([]kgo.Opt, error) {
	opts := []kgo.Opt{kgo.DefaultProduceTopic(p.topic), kgo.AllowAutoTopicCreation()}
	if cmd.Flags().Changed("partition") {
		opts = append(opts, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	}
	switch p.acks {
	case "all", "-1":
	case "1":
		opts = append(opts, kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite())
	case "0":
		opts = append(opts, kgo.RequiredAcks(kgo.NoAck()), kgo.DisableIdempotentWrite())
	default:
		return nil, usage("--acks %q: want all, 1 or 0", p.acks)
	}
	codec, ok := map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}[p.codec]
	if !ok {
		return nil, usage("--compression %q: want none, gzip, snappy, lz4 or zstd", p.codec)
	}
	return append(opts, kgo.ProducerBatchCompression(codec)), nil
}

func (p *producer) run(cmd *cobra.Command) error {
	opts, err := p.options(cmd)
	if err != nil {
		return err
	}
	var headers []kgo.RecordHeader
	for _, h := range p.headers {
		k, v, ok := strings.Cut(h, ":")
		if !ok {
			return usage("--header %q: want KEY:VALUE", h)
		}
		headers = append(headers, kgo.RecordHeader{Key: k, Value: []byte(v)})
	}
	out := bufio.NewWriter(cmd.OutOrStdout())
	print, err := recordPrinter(p.g, p.output != "", p.output, out)
	if err != nil {
		return err
	}
	ctx, cl, err := p.g.connect(cmd.Context(), opts...)
	if err != nil {
		return err
	}
	defer cl.Close()
	ctx, late := context.WithCancelCause(ctx)
	defer late(nil)
	reader, err := kgo.NewRecordReader(bufio.NewReaderSize(p.input(&heeding{ctx, cmd.InOrStdin()}), 64<<10), p.format)
	if err != nil {
		return usage("--record-format %q: %w", p.format, err)
	}
	t := &tally{print: print, flush: out.Flush, wait: p.g.timeout}
	t.late = time.AfterFunc(t.wait, func() { late(context.DeadlineExceeded) })
	t.late.Stop()
	rerr := p.feed(ctx, cl, reader, headers, t)
	ferr := cl.Flush(ctx)
	if ferr == nil {
		t.told.Wait() // the client has flushed what it took, not told of what it refused
	}
	acked, failed, waiting, first := t.result()
	if err := errors.Join(out.Flush()); err != nil {
		return fmt.Errorf("standard output: %w", err)
	}
	if isTerminal(cmd.ErrOrStderr()) && isTerminal(cmd.OutOrStdout()) && print == nil {
		p.g.note(cmd, "%s acknowledged", counted(acked, "record"))
	}
	if errors.Is(first, context.Canceled) && errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
		first = context.DeadlineExceeded
	}
	switch {
	case first == nil && waiting > 0 && errors.Is(context.Cause(ctx), context.DeadlineExceeded) && cl.dials.fault() == nil:
		return fmt.Errorf("%s acknowledged, and no answer within %v for %d more, which may be stored or not; --timeout gives it more time", counted(acked, "record"), t.wait, waiting)
	case first != nil:
		return fmt.Errorf("%d of %s failed: produce to %s: %w", failed, counted(acked+failed, "record"), p.topic, cl.explain(first))
	case cmd.Context().Err() != nil:
		return fmt.Errorf("interrupted: %s acknowledged, the rest of the input was not read", counted(acked, "record"))
	case ferr != nil:
		return cl.explain(ferr)
	}
	return rerr
}

// input is standard input. The last line needs no line break: printf is no worse
// than echo.
func (p *producer) input(in io.Reader) io.Reader {
	if strings.HasSuffix(p.format, `\n`) || strings.HasSuffix(p.format, "\n") {
		return &ended{in: in, last: '\n'}
	}
	return in
}

// ended reads what in has, and a line break behind it when there is none.
type ended struct {
	in   io.Reader
	last byte
	done bool
}

func (e *ended) Read(b []byte) (int, error) {
	if e.done || len(b) == 0 {
		return 0, io.EOF
	}
	n, err := e.in.Read(b)
	if n > 0 {
		e.last = b[n-1]
		if errors.Is(err, io.EOF) {
			err = nil // the next read finds it again
		}
		return n, err
	}
	if errors.Is(err, io.EOF) {
		if e.done = true; e.last != '\n' {
			b[0] = '\n'
			return 1, nil
		}
	}
	return 0, err
}

// feed produces until the input ends, something fails, or ctx does.
func (p *producer) feed(ctx context.Context, cl *client, reader *kgo.RecordReader, headers []kgo.RecordHeader, t *tally) error {
	for n := 1; ctx.Err() == nil && !t.hasFailed(); n++ {
		r, err := reader.ReadRecord()
		if errors.Is(err, io.EOF) || err != nil && ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("standard input, record %d: %w", n, err)
		}
		if p.key != "" && len(r.Key) == 0 {
			r.Key = []byte(p.key)
		}
		if p.tombstone && len(r.Value) == 0 {
			r.Value = nil
		}
		r.Topic, r.Partition = p.topic, p.partition
		r.Headers = append(r.Headers, headers...)
		t.sent()
		cl.Produce(ctx, r, t.done)
	}
	return nil
}

// tally counts what became of records, and gives up when records wait and none is
// acknowledged for some time. (The client's own delivery timeout counts from the
// record's timestamp, which may be years ago.)
type tally struct {
	print func(*kgo.Record) error
	flush func() error // of what was printed, when no answer is awaited
	wait  time.Duration
	late  *time.Timer
	told  sync.WaitGroup // of each record's fate

	mu            sync.Mutex
	waiting       int64
	acked, failed int64
	first         error
}

func (t *tally) sent() {
	t.told.Add(1)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.waiting++; t.waiting == 1 {
		t.late.Reset(t.wait)
	}
}

func (t *tally) done(r *kgo.Record, err error) {
	defer t.told.Done()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.waiting--; t.waiting == 0 {
		t.late.Stop()
	} else {
		t.late.Reset(t.wait)
	}
	if err == nil {
		t.acked++
		if t.print != nil {
			if err = t.print(r); err == nil && t.waiting == 0 {
				err = t.flush()
			}
		}
	} else {
		t.failed++
	}
	if err != nil && t.first == nil {
		t.first = err
	}
}

func (t *tally) hasFailed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.first != nil
}

func (t *tally) result() (acked, failed, waiting int64, first error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.acked, t.failed, t.waiting, t.first
}
