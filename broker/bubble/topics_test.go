package bubble

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A topic that is deleted and made again under its name, while others write to it and
// read from it, is another topic: nobody reads a record of the one in the other.
func TestATopicThatIsMadeAgainIsAnotherOne(t *testing.T) {
	inBubble(t, 3, map[string]string{"auto.create.topics.enable": "false", "gc.grace.ms": "1000", "seal.interval.ms": "1000"}, func(t *testing.T, c *cluster) {
		admin := c.client()
		defer admin.Close()
		for life := range 5 {
			if _, err := kadm.NewClient(admin).CreateTopic(t.Context(), 2, 1, nil, "t"); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			var tasks sync.WaitGroup
			writer := c.client(kgo.MetadataMaxAge(time.Second))
			tasks.Go(func() { // goes on until the topic is gone, and then fails
				for i := 0; ctx.Err() == nil; i++ {
					_ = writer.ProduceSync(ctx, &kgo.Record{Topic: "t", Key: fmt.Appendf(nil, "%d", i), Value: fmt.Appendf(nil, "life %d", life)})
				}
			})
			reader := c.client(kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(100*time.Millisecond))
			seen := 0
			tasks.Go(func() {
				for ctx.Err() == nil {
					for _, r := range reader.PollFetches(ctx).Records() {
						if seen++; string(r.Value) != fmt.Sprintf("life %d", life) {
							t.Errorf("in life %d offset %d of partition %d holds %q", life, r.Offset, r.Partition, r.Value)
						}
					}
				}
			})
			time.Sleep(3 * time.Second)
			if _, err := kadm.NewClient(admin).DeleteTopic(t.Context(), "t"); err != nil {
				t.Fatal(err)
			}
			tasks.Wait()
			cancel()
			writer.Close()
			reader.Close()
			if seen < 100 {
				t.Errorf("in life %d only %d records were read", life, seen)
			}
		}
		time.Sleep(time.Minute)
		for info, err := range c.bucket.List(t.Context(), "seg/", "") {
			if err != nil || strings.HasPrefix(info.Name, "seg/") {
				t.Errorf("%s is left of topics that are deleted: %v", info.Name, err)
			}
		}
		c.whole()
	})
}
