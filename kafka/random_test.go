package kafka

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/firnlog/firn/record"
)

// Whatever a well-formed request says, it is answered, in the shape of its version,
// and nothing panics. Here nobody recovers.
func TestRandomRequestsAreAnswered(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	f := newFake()
	f.fill(f.topic("t", 3), 0, 3, 100)
	f.topic("u", 1, "cleanup.policy", "compact")
	s := New(Options{Backend: f.backend()})
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // what would wait does not
	eachVersion(func(a *api, version int16) {
		for range 40 {
			q := randomRequest(r, a.key, version, true)
			switch q := q.(type) {
			case *kmsg.FetchRequest:
				q.ReplicaID, q.ReplicaState.ID, q.MaxWaitMillis, q.SessionEpoch = -1, -1, 0, -1
			case *kmsg.ProduceRequest:
				q.Acks = -1
				for i := range q.Topics {
					for j := range q.Topics[i].Partitions {
						q.Topics[i].Partitions[j].Records = batch(record.None, time.Now().UnixMilli(), "a")
					}
				}
			case *kmsg.DeleteTopicsRequest:
				q.TopicNames, q.Topics = nil, nil // the others need them
			}
			b := frame(q, 1)[4:]
			c := &call{api: a, bytes: len(b)}
			if a.key == keyProduce {
				c.frame = s.pool.get(len(b))
				copy(c.frame.bytes, b)
				b = c.frame.bytes
			}
			if err := c.decode(b); err != nil {
				t.Fatalf("%s v%d: %v", a.name, version, err)
			}
			var out []byte
			switch {
			case a.key == keyFetch:
				_, parts := a.serve(context.Background(), &s.node, c).fetch.encode(nil, version)
				for _, p := range parts {
					out = append(out, p...)
				}
			case a.start != nil:
				out = a.start(ctx, &s.node, c)(ctx).response.AppendTo(nil)
			case a.waits:
				out = a.serve(ctx, &s.node, c).response.AppendTo(nil)
			default:
				out = a.serve(context.Background(), &s.node, c).response.AppendTo(nil)
			}
			again := q.ResponseKind()
			again.SetVersion(version)
			if err := again.ReadFrom(out); err != nil {
				t.Fatalf("%s v%d: the answer to %+v cannot be read: %v", a.name, version, q, err)
			}
			if string(again.AppendTo(nil)) != string(out) {
				t.Fatalf("%s v%d: the answer to %+v is not exact", a.name, version, q)
			}
		}
	})
}
