package press

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/planted"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier/object"
)

// compact rewrites partitions of topics with cleanup.policy=compact key by key, by
// Kafka's rules (kafka.md 52): of each key the newest record stays, tombstones
// stay for delete.retention.ms, every record keeps its offset, and the log ends
// where it ended.
func (p *Press) compact(ctx context.Context) error {
	s, ok := p.session()
	if !ok {
		return nil
	}
	state := p.Journal.State()
	for _, id := range state.Owned(s.ID) {
		t, _ := state.Topic(id.Topic)
		if !t.Has("cleanup.policy", "compact", p.Setting) {
			continue
		}
		k := CleaningOf(t, p.Setting)
		for passes := 0; ; passes++ {
			if passes == rounds {
				p.more = true
				break
			}
			done, err := p.compactOnce(ctx, s, id, k)
			if err = p.avoiding(err); err != nil {
				return fmt.Errorf("%s-%d: %w", t.Name, id.Index, err)
			}
			if done {
				break
			}
		}
	}
	return nil
}

// compactOnce does one pass over a partition, if one is due. It reports whether
// another one would find nothing to do.
func (p *Press) compactOnce(ctx context.Context, s *catalog.Session, id record.Partition, k Cleaning) (done bool, err error) {
	c, ok := p.Journal.State().Partition(id)
	if !ok || c.Owner != s.ID {
		return true, nil
	}
	if _, front := PlanCompact(c, k, math.MaxInt64, p.wallMs()); front == 0 {
		return true, nil // spares asking the owner
	}
	stable, err := p.stable(ctx, id)
	if errors.Is(err, ErrNotLed) {
		return true, nil // not yet
	}
	if err != nil {
		return true, err
	}
	skip := p.skip()
	for _, x := range c.Extents {
		if skip(x.Object) {
			stable = min(stable, x.Base)
			break
		}
	}
	dirty, front := PlanCompact(c, k, stable, p.wallMs())
	if front == 0 {
		return true, nil
	}
	return false, p.compactOne(ctx, s, c, dirty, front, k)
}

// stable is the offset from which on a transaction is open; the largest offset when
// none is.
func (p *Press) stable(ctx context.Context, id record.Partition) (int64, error) {
	ps, err := p.Writer.Producers(ctx, id)
	if err != nil {
		return 0, fmt.Errorf("producers of %s: %w", id, err)
	}
	stable := int64(math.MaxInt64)
	for _, q := range ps {
		if q.TxnStart >= 0 {
			stable = min(stable, q.TxnStart)
		}
	}
	return stable, nil
}

// keyDigest stands for a key: 128 bits of SHA-256, of which nobody finds two alike.
type keyDigest [16]byte

func digest(key []byte) keyDigest {
	sum := sha256.Sum256(key)
	return keyDigest(sum[:16])
}

// newest is the offset of the newest record of each key in a stretch that was not
// compacted before, up to the offset known: Kafka's dedupe buffer.
type newest struct {
	offsets map[keyDigest]int64
	most    int
	known   int64
	full    bool
}

// add notes the keys of a batch, unless there is no room for them: then known is
// where the batch begins. One batch always has room, so that each pass gets on.
// Records of transactions supersede nothing: they may have been aborted.
func (n *newest) add(h record.Header, batch []byte, dec *record.Decoder) error {
	if n.full {
		return nil
	}
	if len(n.offsets)+int(min(h.NumRecords, math.MaxInt32)) > n.most && len(n.offsets) > 0 {
		n.full = true
		return nil
	}
	n.known = h.NextOffset()
	if h.Control() || h.Transactional() {
		return nil
	}
	it := record.Iterate(h, batch, dec)
	for it.Next() {
		if it.Record.Key != nil {
			n.offsets[digest(it.Record.Key)] = it.Offset()
		}
	}
	return it.Err()
}

// errEnough ends a stream early.
var errEnough = errors.New("enough")

// compactOne rewrites the extents before front of a partition, of which those before
// dirty hold each key once. It reads them twice in bounded memory: the dirty ones
// for their keys, then all that lie below the last key that it could remember; what
// lies above that is left for the next pass, which finds fewer bytes before it.
func (p *Press) compactOne(ctx context.Context, s *catalog.Session, c *catalog.Partition, dirty, front int, k Cleaning) error {
	dec := record.BorrowDecoder()
	defer dec.Return()
	n := newest{offsets: map[keyDigest]int64{}, most: p.Limits.Keys, known: c.Extents[dirty].Base}
	for _, x := range c.Extents[dirty:front] {
		err := p.stream(ctx, x, func(h record.Header, batch []byte) error {
			if err := n.add(h, batch, dec); err != nil {
				return &unreadable{x.Object, err}
			}
			if n.full {
				return errEnough
			}
			return nil
		})
		if errors.Is(err, errEnough) {
			break
		}
		if err != nil {
			return err
		}
	}
	for front > 0 && c.Extents[front-1].Base >= n.known {
		front--
	}
	rule := keeping{
		newest: n.offsets, known: n.known, dirtyFrom: c.Extents[dirty].Base,
		// Older values of a key may be in what was pressed out of the catalog.
		now: p.wallMs(), retention: k.DeleteRetention, tombstonesGo: len(c.Index) == 0,
	}
	var before, after int64
	err := p.job(ctx, s.ID, func(j *job) (*catalog.CommitJob, error) {
		out := segments{press: p, job: j, partition: c.ID, number: catalog.CompactedFrom}
		w := rewriter{emit: func(h record.Header, batch []byte) error { return out.add(ctx, h, batch) }}
		comp := record.BorrowCompressor()
		defer comp.Return()
		for _, x := range c.Extents[:front] {
			before += x.Len
			err := p.stream(ctx, x, func(h record.Header, batch []byte) error {
				if h.BaseOffset == n.known {
					// What follows was not looked at: it stays dirty (P5).
					if err := w.flush(); err != nil {
						return err
					}
					if err := out.end(ctx, 0); err != nil {
						return err
					}
				}
				if h.BaseOffset >= n.known {
					return out.add(ctx, h, batch)
				}
				return w.take(h, batch, dec, comp, rule)
			})
			if err != nil {
				return nil, err
			}
		}
		if err := w.flush(); err != nil {
			return nil, err
		}
		if err := out.end(ctx, 0); err != nil {
			return nil, err
		}
		for _, x := range out.extents {
			after += x.Len
		}
		return &catalog.CommitJob{Extents: out.extents}, nil
	})
	if err == nil {
		p.Logger.Info("compacted by key", "partition", c.ID.String(), "keys", len(n.offsets), "bytes", before, "left", after)
	}
	return err
}

// segments writes batches of one partition into segments of bounded size, each put
// as soon as it is full.
type segments struct {
	press     *Press
	job       *job
	partition record.Partition
	number    uint64 // of the next object
	out       *runs
	extents   []catalog.Located
}

// add copies the batch.
func (s *segments) add(ctx context.Context, h record.Header, batch []byte) error {
	if s.out != nil && s.out.e.Size() >= s.press.Limits.Budget {
		if err := s.end(ctx, s.number+1); err != nil {
			return err
		}
	}
	if s.out == nil {
		s.out = &runs{e: s.job.begin(object.Segment, s.number)}
	}
	return s.out.add(ctx, s.press, s.partition, h.LeaderEpoch, append([]byte(nil), batch...))
}

// end puts the segment that is open. The next one has the given number.
func (s *segments) end(ctx context.Context, next uint64) error {
	number := s.number
	s.number = next
	if s.out == nil {
		return nil
	}
	if err := s.out.end(ctx, s.press); err != nil {
		return err
	}
	xs, err := s.job.put(s.out.e, number)
	s.extents, s.out = append(s.extents, xs...), nil
	return err
}

// keeping decides which records stay.
type keeping struct {
	newest       map[keyDigest]int64
	known        int64 // records below it are known to newest, from dirtyFrom on
	dirtyFrom    int64
	now          int64 // ms
	retention    int64 // ms that tombstones stay
	tombstonesGo bool
}

// tombstones says until when those of a batch stay, and whether they still do. Their time
// begins with the first compaction that keeps them (KIP-534): nothing older of their keys is
// left from then on, and readers who saw it are to see them, too, however old they are.
// Those of transactions superseded nothing.
func (k keeping) tombstones(h record.Header) (horizon int64, stay bool) {
	if ms, ok := h.DeleteHorizon(); ok && h.BaseOffset < k.dirtyFrom {
		return ms, !k.tombstonesGo || ms > k.now || h.Transactional()
	}
	return k.now + min(k.retention, math.MaxInt64-k.now), true
}

// keep decides one record; stay is whether tombstones of its batch do.
func (k keeping) keep(offset int64, key, value []byte, stay bool) bool {
	if key == nil || offset >= k.known {
		return true
	}
	if last, ok := k.newest[digest(key)]; ok && (last > offset || planted.Is(planted.NewestDropped)) {
		return false
	}
	return value != nil || stay && !planted.Is(planted.TombstonesEarly)
}
