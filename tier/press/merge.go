package press

import (
	"context"
	"fmt"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/object"
)

// mergeBytes bounds what one merge reads into memory.
const mergeBytes = 64 << 20

// merge presses runs that still lie in WAL objects of sealed sessions into sealed
// objects, so that the WAL objects can go (S10): what no hot tier holds any more.
// It works on the partitions that this broker leads.
func (p *Press) merge(ctx context.Context) error {
	for {
		s, ok := p.session()
		if !ok {
			return nil
		}
		picked := pick(p.Journal.State(), s.ID, mergeBytes)
		if len(picked) == 0 {
			return nil
		}
		err := p.job(ctx, s.ID, func(j *job) (*catalog.CommitJob, error) {
			r := runs{e: j.begin(object.Sealed, 0)}
			for _, x := range picked {
				b, err := p.Store.Get(ctx, x.Object.Name(), cold.Range{Offset: x.Pos, Length: x.Len}, nil)
				if err != nil {
					return nil, fmt.Errorf("read %s: %w", x.Object, err)
				}
				run := object.Run{Partition: x.Partition, Epoch: x.Epoch, Base: x.Base, Next: x.Next, Pos: x.Pos, Len: x.Len, CRC: x.CRC, MaxTimestamp: x.MaxTimestamp, Records: x.Records}
				if err := object.VerifyRun(run, b); err != nil {
					return nil, fmt.Errorf("%s, bytes [%d, %d): %w", x.Object, x.Pos, x.Pos+x.Len, err)
				}
				if err := r.add(ctx, p, x.Partition, x.Epoch, b); err != nil {
					return nil, err
				}
			}
			if err := r.end(ctx, p); err != nil {
				return nil, err
			}
			extents, err := j.put(r.e, 0)
			return &catalog.CommitJob{Extents: extents}, err
		})
		if err != nil {
			return err
		}
	}
}

// pick chooses extents of the session's partitions that lie in WAL objects of
// sealed sessions, in order, up to about so many bytes: of each partition a
// stretch without a gap.
func pick(s *catalog.State, session uint64, limit int64) []catalog.Located {
	var out []catalog.Located
	for _, id := range s.Owned(session) {
		c, ok := s.Partition(id)
		if !ok {
			continue
		}
		taken := false
		for _, x := range c.Extents {
			dead := x.Object.Kind == catalog.KindWAL
			if dead {
				v, ok := s.Session(x.Object.A)
				dead = !ok || v.Sealed
			}
			if !dead {
				if taken {
					break
				}
				continue
			}
			if limit <= 0 {
				return out
			}
			taken = true
			limit -= x.Len
			out = append(out, catalog.Located{Partition: id, Extent: x})
		}
	}
	return out
}

// retain moves log starts forward by retention.ms and retention.bytes.
func (p *Press) retain(ctx context.Context) error {
	s, ok := p.session()
	if !ok {
		return nil
	}
	items := Expired(p.Journal.State(), s.ID, p.now(), p.Setting)
	if len(items) == 0 {
		return nil
	}
	if _, err := p.one(ctx, &catalog.Trim{Items: items}); err != nil {
		return err
	}
	for _, it := range items {
		if err := p.Writer.Trim(ctx, it.Partition, it.LogStart); err != nil {
			return err
		}
	}
	p.Logger.Info("retention moved log starts", "partitions", len(items))
	return nil
}

// Expired decides what retention gives up, of the partitions of one session: whole
// extents from the front, those whose newest record is older than retention.ms
// and those without which retention.bytes still holds. Topics that are only
// compacted are left alone.
func Expired(s *catalog.State, session uint64, nowMs int64, setting func(string) (string, bool)) []catalog.TrimItem {
	var items []catalog.TrimItem
	for t := range s.AllTopics() {
		if !t.Has("cleanup.policy", "delete", setting) {
			continue
		}
		age, size := t.Int("retention.ms", setting), t.Int("retention.bytes", setting)
		for _, c := range t.Partitions {
			if c.Owner != session {
				continue
			}
			if start := expired(c, nowMs, age, size); start > c.LogStart {
				items = append(items, catalog.TrimItem{Partition: c.ID, LogStart: start})
			}
		}
	}
	return items
}

func expired(c *catalog.Partition, nowMs, age, size int64) int64 {
	start, left := c.LogStart, c.Bytes
	drop := func(next, bytes, newest int64) bool {
		old := age >= 0 && newest >= 0 && newest < nowMs-age
		much := size >= 0 && left-bytes >= size
		if !old && !much {
			return false
		}
		start, left = max(start, next), left-bytes
		return true
	}
	for _, l := range c.Index {
		if !drop(l.Next, l.Bytes, l.MaxTimestamp) {
			return start
		}
	}
	for _, x := range c.Extents {
		if !drop(x.Next, x.Len, x.MaxTimestamp) {
			break
		}
	}
	return start
}
