package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/firnlog/firn/replay"
)

// checkpoint is how far a replay came: in the file of --checkpoint, whole at any
// time. What --out held at that moment is its first Length bytes.
type checkpoint struct {
	Version int           `json:"version"`
	Job     replayJob     `json:"job"`
	Spans   []replay.Span `json:"spans"` // what is left
	Length  int64         `json:"length"`

	begun bool // it was read from the file
}

// replayJob is what a checkpoint belongs to: another one must not go on with it.
type replayJob struct {
	Cluster    string  `json:"cluster"`
	Topic      string  `json:"topic"`
	TopicID    string  `json:"topic_id"`
	Partitions []int32 `json:"partitions,omitempty"`
	From       string  `json:"from"`
	To         string  `json:"to"`
	Committed  bool    `json:"read_committed,omitempty"`
	Out        string  `json:"out,omitempty"`
	Format     string  `json:"format,omitempty"`
	ToTopic    string  `json:"to_topic,omitempty"`
}

// differs names the first thing in which another job is another.
func (j replayJob) differs(k replayJob) error {
	for _, x := range []struct{ what, then, now string }{
		{"cluster", j.Cluster, k.Cluster}, {"topic", j.Topic, k.Topic}, {"topic id", j.TopicID, k.TopicID},
		{"--partition", fmt.Sprint(j.Partitions), fmt.Sprint(k.Partitions)}, {"--from", j.From, k.From}, {"--to", j.To, k.To},
		{"--read-committed", fmt.Sprint(j.Committed), fmt.Sprint(k.Committed)},
		{"--out", j.Out, k.Out}, {"--format", j.Format, k.Format}, {"--to-topic", j.ToTopic, k.ToTopic},
	} {
		if x.then != x.now {
			return fmt.Errorf("it was begun with %s %q, not %q", x.what, x.then, x.now)
		}
	}
	return nil
}

func (r *replayer) job(h *replay.History) (replayJob, error) {
	j := replayJob{Cluster: h.Cluster(), Topic: r.topic, TopicID: h.Topic().String(), From: r.from, To: r.to, Committed: r.committed, ToTopic: r.toTopic}
	if len(r.partitions) > 0 {
		j.Partitions = slices.Compact(slices.Sorted(slices.Values(r.partitions)))
	}
	if r.toTopic == "" {
		out, err := filepath.Abs(r.out)
		if err != nil {
			return j, fmt.Errorf("--out: %w", err)
		}
		j.Out, j.Format = out, r.format
	}
	return j, nil
}

// loadCheckpoint reads the checkpoint, or begins one.
func (r *replayer) loadCheckpoint(h *replay.History) (*checkpoint, error) {
	job, err := r.job(h)
	if err != nil {
		return nil, err
	}
	fresh := &checkpoint{Version: 1, Job: job}
	if r.checkpoint == "" {
		return fresh, nil
	}
	b, err := os.ReadFile(r.checkpoint)
	if errors.Is(err, fs.ErrNotExist) {
		return fresh, nil
	}
	if err != nil {
		return nil, fmt.Errorf("--checkpoint: %w", err)
	}
	c := &checkpoint{begun: true}
	if err := json.Unmarshal(b, c); err != nil {
		return nil, usage("--checkpoint %s: it is no checkpoint: %w", r.checkpoint, err)
	}
	switch {
	case c.Version != 1:
		return nil, usage("--checkpoint %s: it is of version %d, this program knows 1", r.checkpoint, c.Version)
	case c.Spans == nil || c.Length < 0:
		return nil, usage("--checkpoint %s: it is no checkpoint: spans or length are missing", r.checkpoint)
	}
	if err := c.Job.differs(job); err != nil {
		return nil, usage("--checkpoint %s: %w; remove it to begin anew", r.checkpoint, err)
	}
	return c, nil
}

// copySpans is what is left.
func (c *checkpoint) copySpans() []replay.Span { return slices.Clone(c.Spans) }

// extend moves the ends of the spans to those of the log; false when none has
// moved. Partitions that were added since come from their start.
func (c *checkpoint) extend(log []replay.Span) bool {
	moved := false
	for _, l := range log {
		i := slices.IndexFunc(c.Spans, func(s replay.Span) bool { return s.Partition == l.Partition })
		switch {
		case i < 0:
			c.Spans = append(c.Spans, l)
			moved = moved || l.From < l.To
		case c.Spans[i].To < l.To:
			c.Spans[i].To, moved = l.To, true
		}
	}
	return moved
}

// keeper settles the sink and writes the checkpoint now and then.
type keeper struct {
	path  string
	mark  *checkpoint
	sink  sink
	every time.Duration
	last  time.Time
}

// wrote notes a record that the sink has.
func (k *keeper) wrote(x *replay.Record) error {
	i, _ := slices.BinarySearchFunc(k.mark.Spans, x.Partition, func(s replay.Span, p int32) int { return int(s.Partition) - int(p) })
	k.mark.Spans[i].From = x.Offset + 1
	if time.Since(k.last) < k.every {
		return nil
	}
	return k.save()
}

// finished says that nothing is left: also what ends with records that nobody sees.
func (k *keeper) finished() {
	for i := range k.mark.Spans {
		k.mark.Spans[i].From = k.mark.Spans[i].To
	}
}

// save settles the sink, and then the checkpoint that tells of it: written beside
// it, synced, and put in its place.
func (k *keeper) save() error {
	k.last = time.Now()
	length, err := k.sink.settle()
	if err != nil || k.path == "" {
		return err
	}
	k.mark.Length = length
	b, err := json.MarshalIndent(k.mark, "", "  ")
	if err != nil {
		return err
	}
	if err := replaceFile(k.path, append(b, '\n')); err != nil {
		return fmt.Errorf("--checkpoint: %w", err)
	}
	return nil
}

// replaceFile puts a file in the place of another, whole or not at all.
func replaceFile(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
