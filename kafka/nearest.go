package kafka

import (
	"context"
	"sync"
	"time"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/record"
)

// Reads from the nearest broker (KIP-392). A client that names its rack is sent by the
// leader to a broker of that rack when there is much to read that the catalog describes:
// history, which any broker reads from the bucket. That broker serves it up to the end of
// what the catalog describes, which is its high watermark, and there sends the client back
// to the leader, as to another preferred replica: what comes after is known to the leader
// alone. An error would not do: librdkafka stays with a preferred replica that says
// NOT_LEADER_OR_FOLLOWER as long as the leader is the same.

// worthMoving is how many bytes there must be to read before a client is sent to another
// broker: two round trips should not be lost on less.
const worthMoving = 1 << 20

// nearest is the live broker in the client's rack that is to serve a partition which this
// one leads; -1 when the client is to stay.
func (f *fetching) nearest(p *fetchPart) int32 {
	if f.version < 11 || f.q.Rack == "" {
		return -1
	}
	v := f.n.viewBy(f.listener)
	if self, ok := v.broker(v.self); !ok || self.Rack == f.q.Rack {
		return -1
	}
	c, ok := v.Partition(p.id)
	if !ok || !muchBehind(c, p.q.FetchOffset) {
		return -1
	}
	var near []int32
	for _, b := range v.brokers {
		if b.Rack == f.q.Rack {
			near = append(near, b.Node)
		}
	}
	if len(near) == 0 {
		return -1
	}
	if !f.n.sends.allow(comer{f.peer, p.id}, p.q.FetchOffset, time.Now()) {
		return -1
	}
	return near[int(p.id.Index)%len(near)] // one and the same, for the sake of its cache
}

// sends remembers who was sent elsewhere. A client that comes back at once, at the same
// offset, could not go (franz-go knows no broker that leads nothing of its topics), and
// would come again as fast as it can.
type sends struct {
	mu sync.Mutex
	by map[comer]sent // guarded by mu
}

// comer is a connection that asks for a partition.
type comer struct {
	peer      string
	partition record.Partition
}

type sent struct {
	offset int64
	at     time.Time
	stays  bool // it came back
}

// mostSends bounds the memory; who is forgotten is sent once more. sendAgain is how long
// somebody who came back is served here.
const (
	mostSends = 10_000
	sendAgain = time.Minute
)

// allow reports whether somebody who asks for an offset is to be sent elsewhere.
func (s *sends) allow(c comer, offset int64, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if was, ok := s.by[c]; ok && now.Sub(was.at) < sendAgain {
		if was.stays {
			return false
		}
		if was.offset == offset {
			s.by[c] = sent{at: now, stays: true}
			return false
		}
	}
	if s.by == nil || len(s.by) >= mostSends {
		s.by = map[comer]sent{}
	}
	s.by[c] = sent{offset: offset, at: now}
	return true
}

// muchBehind reports whether the catalog describes much behind an offset that is still in
// the log.
func muchBehind(c *catalog.Partition, offset int64) bool {
	if offset < c.LogStart || offset >= c.Next {
		return false
	}
	var bytes int64
	for i := len(c.Extents) - 1; i >= 0 && c.Extents[i].Next > offset && bytes < worthMoving; i-- {
		bytes += c.Extents[i].Len
	}
	for i := len(c.Index) - 1; i >= 0 && c.Index[i].Next > offset && bytes < worthMoving; i-- {
		bytes += c.Index[i].Bytes
	}
	return bytes >= worthMoving
}

// history is a partition of which this broker, which does not lead it, serves what the
// catalog describes, since the client is in its rack.
func (f *fetching) history(p *fetchPart) (*catalog.Partition, bool) {
	if f.version < 11 || f.q.Rack == "" {
		return nil, false
	}
	v := f.n.viewBy(f.listener)
	if self, ok := v.broker(v.self); !ok || self.Rack != f.q.Rack {
		return nil, false
	}
	return v.Partition(p.id)
}

// replica is a partition as one Fetch sees it.
type replica struct {
	Progress
	epochEnd func(ctx context.Context, epoch int32) (int32, int64, error)
	leader   bool
}

// replica finds the partition here, as its leader or near to the client.
func (f *fetching) replica(p *fetchPart) (replica, code) {
	epoch := int32(-1)
	if f.version >= 9 {
		epoch = p.q.CurrentLeaderEpoch
	}
	pr, code := f.n.lead(p.id, epoch)
	if code == codeNotLeaderOrFollower {
		if c, ok := f.history(p); ok {
			if code := suits(c.Epoch, epoch); code == codeNone && p.q.FetchOffset >= c.Next {
				leader, ok := f.n.viewBy(f.listener).leader(c)
				if !ok || leader == f.n.Cluster.Self() {
					return replica{}, codeNotLeaderOrFollower
				}
				p.a.nearest = leader
			}
			return replica{
				Progress: Progress{HighWatermark: c.Next, LastStable: c.Next, LogStart: c.LogStart, Epoch: c.Epoch},
				epochEnd: func(_ context.Context, epoch int32) (int32, int64, error) {
					e, end := c.EpochEnd(epoch, c.Next)
					return e, end, nil
				},
			}, suits(c.Epoch, epoch)
		}
	}
	return replica{
		Progress: pr, leader: true,
		epochEnd: func(ctx context.Context, epoch int32) (int32, int64, error) {
			return f.n.History.EpochEnd(ctx, p.id, epoch)
		},
	}, code
}
