package kafka

import (
	"context"

	"github.com/firnlog/firn/catalog"
)

// Reads from the nearest broker (KIP-392). A client that names its rack is sent by the
// leader to a broker of that rack when there is much to read that the catalog describes:
// history, which any broker reads from the bucket. That broker serves it up to the end of
// what the catalog describes, which is its high watermark, and there sends the client back
// to the leader: what comes after is known to the leader alone. Clients take
// NOT_LEADER_OR_FOLLOWER for the end of a preferred replica, whatever replica it is.

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
	return near[int(p.id.Index)%len(near)] // one and the same, for the sake of its cache
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

// history is what this broker can serve of a partition that it does not lead, to a client
// of its rack, if there is anything at the offset.
func (f *fetching) history(p *fetchPart) (*catalog.Partition, bool) {
	if f.version < 11 || f.q.Rack == "" {
		return nil, false
	}
	v := f.n.viewBy(f.listener)
	if self, ok := v.broker(v.self); !ok || self.Rack != f.q.Rack {
		return nil, false
	}
	c, ok := v.Partition(p.id)
	return c, ok && p.q.FetchOffset < c.Next
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
