package bubble

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Who makes and deletes topics by a broker that leaves, or that has just been fenced, is
// told that it is done when it is done: that this broker does not serve them is no fault.
func TestTopicsAreMadeByABrokerThatLeaves(t *testing.T) {
	inBubble(t, 2, map[string]string{"auto.create.topics.enable": "false"}, func(t *testing.T, c *cluster) {
		ctx, cancel := context.WithCancel(t.Context())
		var tasks sync.WaitGroup
		made := make([]int, 3)
		for i := range made {
			cl := c.client(kgo.RequestRetries(1000))
			tasks.Go(func() {
				defer cl.Close()
				adm := kadm.NewClient(cl)
				for ctx.Err() == nil {
					name := fmt.Sprintf("t-%d-%d", i, made[i])
					if _, err := adm.CreateTopic(ctx, 2, 1, nil, name); err != nil && ctx.Err() == nil && !errors.Is(err, kerr.TopicAlreadyExists) {
						t.Errorf("create %s: %v", name, err)
					}
					if _, err := adm.DeleteTopic(ctx, name); err != nil && ctx.Err() == nil && !errors.Is(err, kerr.UnknownTopicOrPartition) {
						t.Errorf("delete %s: %v", name, err)
					}
					made[i]++
				}
			})
		}
		controller := c.brokers[0] // has the lowest node id: it is asked
		for range 2 {
			time.Sleep(100 * time.Millisecond)
			controller.stop()
			controller.start()
		}
		cancel()
		tasks.Wait()
		for i, n := range made {
			if n < 5 {
				t.Errorf("client %d made %d topics", i, n)
			}
		}
	})
}
