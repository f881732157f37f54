package bubble

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/catalog/journal"
	"github.com/firnlog/firn/tier/cold/fault"
)

// A broker that died before anybody heard of it is fenced however slow the bucket is: a
// bucket that always answers late is none that was out of reach.
func TestASilentBrokerIsFencedOnASlowBucket(t *testing.T) {
	for _, slow := range []time.Duration{400 * time.Millisecond, 2 * time.Second} {
		t.Run(fmt.Sprint(slow), func(t *testing.T) {
			inBubble(t, 2, nil, func(t *testing.T, c *cluster) {
				time.Sleep(5 * time.Second)
				s := journal.NewScribe(c.bucket, [16]byte{9}, journal.Options{})
				if err := s.Open(t.Context(), ""); err != nil {
					t.Fatal(err)
				}
				res, err := s.Commit(t.Context(), &catalog.RegisterSession{Nonce: [16]byte{9}, Node: 9, Advertised: "10.9.9.9:9092"})
				if err != nil || res[0].Err != nil {
					t.Fatal(err, res)
				}
				c.store.Use(func(fault.Call) fault.Fault { return fault.Fault{Before: slow} })
				time.Sleep(10*time.Second + 20*slow)
				if v, ok := c.state(t).Session(res[0].ID); ok && !v.Sealed {
					t.Errorf("session %d is not fenced, on a bucket that answers after %s", v.ID, slow)
				}
			})
		})
	}
}

// So is one whose death is heard of, also while clients take all the looks at the journal
// that there are.
func TestADeadBrokerIsFencedOnASlowBucket(t *testing.T) {
	inBubble(t, 3, map[string]string{"auto.create.topics.enable": "false"}, func(t *testing.T, c *cluster) {
		time.Sleep(5 * time.Second)
		dead := c.brokers[2]
		var clients sync.WaitGroup
		defer clients.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		for _, n := range c.brokers[:2] {
			for range 10 {
				cl := c.client(kgo.SeedBrokers(n.host+":9092"), kgo.RequestRetries(0))
				clients.Go(func() {
					defer cl.Close()
					for ctx.Err() == nil {
						_, _ = cl.SeedBrokers()[0].Request(ctx, named("nobody-s"))
						time.Sleep(20 * time.Millisecond)
					}
				})
			}
		}
		const slow = 700 * time.Millisecond
		c.store.Use(func(fault.Call) fault.Fault { return fault.Fault{Before: slow} })
		time.Sleep(10 * time.Second)
		dead.crash()
		time.Sleep(5*time.Second + 15*slow)
		for _, v := range c.state(t).Sessions() {
			if !v.Sealed && v.Node == dead.at.Node {
				t.Errorf("session %d of the broker that died is not fenced", v.ID)
			}
		}
	})
}
