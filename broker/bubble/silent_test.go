package bubble

import (
	"fmt"
	"testing"
	"time"

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
