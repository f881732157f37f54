package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/firnlog/firn/replay"
)

// sink is where replayed records go.
type sink interface {
	put(topic string, x *replay.Record) error
	// settle returns when all that was put is there to stay, with its length in
	// bytes, where it has one.
	settle() (int64, error)
	close() error
}

// open opens the sink that the flags name, as the checkpoint left it.
func (r *replayer) open(ctx context.Context, mark *checkpoint) (sink, error) {
	if r.toTopic != "" {
		return r.openTopic(ctx, mark.Spans)
	}
	s := &fileSink{}
	if r.out == "-" {
		s.w = bufio.NewWriterSize(r.cmd.OutOrStdout(), 256<<10)
	}
	var err error
	if s.print, err = replayPrinter(r.format, writerFunc(func(b []byte) (int, error) { return s.w.Write(b) })); err != nil {
		return nil, err
	}
	if r.out == "-" {
		return s, nil
	}
	if !mark.begun {
		if info, err := os.Stat(r.out); err == nil && info.Size() > 0 {
			if err := r.g.confirm(r.cmd, fmt.Sprintf("%s is not empty and will be overwritten.", r.out)); err != nil {
				return nil, err
			}
		}
	}
	f, err := os.OpenFile(r.out, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("--out: %w", err)
	}
	if err := cutTo(f, mark); err != nil {
		return nil, errors.Join(fmt.Errorf("--out %s: %w", r.out, err), f.Close())
	}
	s.f, s.w, s.length = f, bufio.NewWriterSize(f, 256<<10), mark.Length
	return s, nil
}

// cutTo takes back what was written after the checkpoint.
func cutTo(f *os.File, mark *checkpoint) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		if mark.Length > 0 {
			return errors.New("it is no file: a checkpoint needs one")
		}
		return nil
	}
	if info.Size() < mark.Length {
		return fmt.Errorf("it has %d bytes, the checkpoint says %d: it was changed; remove both to begin anew", info.Size(), mark.Length)
	}
	if err := f.Truncate(mark.Length); err != nil {
		return err
	}
	_, err = f.Seek(mark.Length, io.SeekStart)
	return err
}

// fileSink writes to a file or to standard output.
type fileSink struct {
	f      *os.File // nil: standard output
	w      *bufio.Writer
	print  func(*kgo.Record) error
	length int64
	rec    kgo.Record
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

func (s *fileSink) put(topic string, x *replay.Record) error {
	toKafka(topic, x, &s.rec)
	if err := s.print(&s.rec); err != nil {
		return s.explain(err)
	}
	return nil
}

func (s *fileSink) settle() (int64, error) {
	if err := s.w.Flush(); err != nil {
		return 0, s.explain(err)
	}
	if s.f == nil {
		return 0, nil
	}
	info, err := s.f.Stat()
	if err != nil {
		return 0, s.explain(err)
	}
	if !info.Mode().IsRegular() {
		return 0, nil // a pipe or a device
	}
	if err := s.f.Sync(); err != nil {
		return 0, s.explain(err)
	}
	return s.f.Seek(0, io.SeekCurrent)
}

func (s *fileSink) close() error {
	if s.f == nil {
		return nil
	}
	return s.f.Close()
}

func (s *fileSink) explain(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return err // it names the file
	}
	return fmt.Errorf("standard output: %w", err)
}

// replayPrinter writes records as jsonl, raw or by verbs.
func replayPrinter(format string, w io.Writer) (func(*kgo.Record) error, error) {
	switch {
	case format == "jsonl" || format == "json":
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		return func(r *kgo.Record) error { return e.Encode(newRecordLine(r)) }, nil
	case format == "raw":
		return func(r *kgo.Record) error { _, err := w.Write(r.Value); return err }, nil
	case strings.Contains(format, "%"):
		f, err := kgo.NewRecordFormatter(format)
		if err != nil {
			return nil, usage("--format %q: %w", format, err)
		}
		var buf []byte
		return func(r *kgo.Record) error {
			buf = f.AppendRecord(buf[:0], r)
			_, err := w.Write(buf)
			return err
		}, nil
	}
	return nil, usage("--format %q: want jsonl, raw or %% verbs such as '%%k %%v\\n'", format)
}

// topicSink produces to a topic.
type topicSink struct {
	ctx   context.Context
	cl    *client
	topic string
	end   func()
	told  sync.WaitGroup // of each record's fate

	mu    sync.Mutex
	first error // why a record was not acknowledged
}

func (r *replayer) openTopic(ctx context.Context, spans []replay.Span) (sink, error) {
	// An interrupt ends reading. What was handed over has --timeout to be acknowledged.
	// The client's own delivery timeout would count from the records' timestamps.
	kctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	kctx, cl, err := r.g.connect(kctx, kgo.DefaultProduceTopic(r.toTopic), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MaxBufferedBytes(64<<20))
	if err != nil {
		cancel()
		return nil, err
	}
	late := time.AfterFunc(r.g.timeout, cancel)
	if err := fits(kctx, cl, r.toTopic, spans); err != nil {
		cl.Close()
		cancel()
		return nil, err
	}
	late.Stop()
	unwatch := context.AfterFunc(ctx, func() { late.Reset(r.g.timeout) })
	return &topicSink{ctx: kctx, cl: cl, topic: r.toTopic, end: func() { unwatch(); late.Stop(); cancel() }}, nil
}

// fits says what is wrong with a topic that is to take some partitions of another one. The
// first record would make the topic, with as many partitions as the broker likes.
func fits(ctx context.Context, cl *client, topic string, spans []replay.Span) error {
	ts, err := kadm.NewClient(cl.Client).ListTopics(ctx, topic)
	if err != nil {
		return cl.explain(err)
	}
	need := 1
	for _, s := range spans {
		need = max(need, int(s.Partition)+1)
	}
	switch t := ts[topic]; {
	case errors.Is(t.Err, kerr.UnknownTopicOrPartition):
		return fmt.Errorf("--to-topic: no such topic: %s; make it with `firn topic create %s -p %d`", topic, topic, need)
	case t.Err != nil:
		return fmt.Errorf("--to-topic %s: %w", topic, t.Err)
	case len(t.Partitions) < need:
		return fmt.Errorf("--to-topic: %s has too few partitions, %d; `firn topic add-partitions %s --num %d` makes them as many as are to be replayed", topic, len(t.Partitions), topic, need-len(t.Partitions))
	}
	return nil
}

func (s *topicSink) put(_ string, x *replay.Record) error {
	if err := s.failed(); err != nil {
		return err
	}
	var rec kgo.Record // the client keeps it until it is acknowledged
	toKafka(s.topic, x, &rec)
	rec.Key, rec.Value = bytes.Clone(rec.Key), bytes.Clone(rec.Value)
	for i := range rec.Headers {
		rec.Headers[i].Value = bytes.Clone(rec.Headers[i].Value)
	}
	partition := rec.Partition
	s.told.Add(1)
	s.cl.Produce(s.ctx, &rec, func(_ *kgo.Record, err error) {
		defer s.told.Done()
		if err != nil {
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.first == nil {
				s.first = fmt.Errorf("produce to %s partition %d: %w", s.topic, partition, s.cl.explain(err))
			}
		}
	})
	return nil
}

func (s *topicSink) failed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.first
}

func (s *topicSink) settle() (int64, error) {
	if err := s.cl.Flush(s.ctx); err != nil {
		return 0, s.cl.explain(err)
	}
	s.told.Wait() // the client has flushed what it took, not told of what it refused
	return 0, s.failed()
}

func (s *topicSink) close() error {
	s.cl.Close()
	s.end()
	return nil
}
