package group

import (
	"math"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/firnlog/firn/record"
)

// commit is a committed offset as it is kept.
type commit struct {
	offset   int64
	epoch    int32
	metadata string
	at       int64 // wall clock
	until    int64 // wall clock, when the client said how long to keep it; 0 when not
	seq      uint64
	topic    record.TopicID // zero when it is not known yet: records do not name it
}

// Commit takes an OffsetCommit request (semantic 41). A member commits with its
// generation; simple consumers and tools commit with none, which is legal as long
// as the group has no members. Offsets whose Err is set are refused with it. A
// commit is a sign of life.
func (m *Machine) Commit(now, wall int64, r *CommitRequest) CommitResponse {
	out := CommitResponse{Errs: make([]error, len(r.Offsets))}
	g, err := m.committer(now, wall, r)
	if err != nil {
		for i := range out.Errs {
			out.Errs[i] = err
		}
		return out
	}
	until := int64(0)
	if r.RetentionMs > 0 {
		until = max(wall+min(r.RetentionMs, math.MaxInt64-wall), 1) // there are clients that say for ever
	}
	for i, o := range r.Offsets {
		switch {
		case o.Err != nil:
			out.Errs[i] = o.Err
		case longer(o.Metadata, m.cfg.MetadataMax):
			out.Errs[i] = ErrOffsetMetadataLarge
		default:
			c := commit{offset: o.Offset, epoch: o.LeaderEpoch, metadata: o.Metadata, at: wall, until: until, topic: o.TopicID}
			m.write(g, offsetRecord(g.id, o.TopicPartition, &c))
			c.seq = m.seq
			g.offsets[o.TopicPartition] = c
		}
	}
	m.settle(g)
	return out
}

// committer is the group that a commit is for, when it may commit.
func (m *Machine) committer(now, wall int64, r *CommitRequest) (*group, error) {
	if err := m.checkAnyID(r.Group); err != nil {
		return nil, err
	}
	g := m.groups[r.Group]
	switch {
	case g == nil && r.Generation >= 0 && r.NewErrors:
		return nil, ErrGroupNotFound
	case g == nil && r.Generation >= 0:
		return nil, ErrIllegalGeneration
	case g == nil && len(m.groups) >= m.cfg.MaxGroups:
		return nil, ErrNotAvailable
	case g == nil:
		g = m.group(r.Group)
		g.since = wall
		return g, nil
	case r.Generation < 0 && g.state == Empty:
		return g, nil
	}
	x, err := g.check(r.MemberID, r.InstanceID)
	switch {
	case err != nil:
		return nil, err
	case r.Generation != g.generation:
		return nil, ErrIllegalGeneration
	case g.state == Completing:
		return nil, ErrRebalanceInProgress
	}
	x.alive(now)
	return g, nil
}

// longer says whether s has more than n characters, counted as Java does.
func longer(s string, n int) bool {
	if len(s) <= n {
		return false
	}
	units := 0
	for len(s) > 0 && units <= n {
		r, size := utf8.DecodeRuneInString(s)
		units += max(utf16.RuneLen(r), 1)
		s = s[size:]
	}
	return units > n
}
