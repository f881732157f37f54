package bubble

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// count is how many objects have names that begin so.
func (c *cluster) count(prefix string) (n int) {
	c.t.Helper()
	for info, err := range c.bucket.List(c.t.Context(), prefix, "") {
		if err != nil {
			c.t.Fatal(err)
		}
		if strings.HasPrefix(info.Name, prefix) {
			n++
		}
	}
	return n
}

// A broker that was away for a week, while the journal went on and its old entries were
// deleted, starts from the snapshot that there is, on its old disk.
func TestABrokerThatWasAwayForAWeekStartsFromTheSnapshot(t *testing.T) {
	inBubble(t, 2, map[string]string{"log.retention.ms": "-1"}, func(t *testing.T, c *cluster) {
		x := c.begin(t, 1, 2)
		time.Sleep(5 * time.Second)
		first, away := c.brokers[0], c.brokers[1]
		away.stop()
		work := func() {
			t.Helper()
			admin := kadm.NewClient(c.client())
			defer admin.Close() // a client without brokers asks for them all week
			for i := range 1200 {
				v := fmt.Sprint(100_000 + i)
				if _, err := admin.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Name: "segment.ms", Value: &v}}, "h0"); err != nil {
					t.Fatal(err)
				}
			}
		}
		x.stop()
		for range 3 {
			work()
			first.stop()
			time.Sleep(56 * time.Hour)
			first.start()
		}
		work()
		if n := c.count("catalog/boundary/"); n == 0 {
			t.Error("no entry of the journal was given up: the test shows nothing")
		}
		if n := c.count("catalog/journal/"); n > 3000 {
			t.Errorf("%d entries of the journal are left of 4,800", n)
		}
		away.start()
		time.Sleep(15 * time.Second)
		x.judge()
	})
}

// Sessions rotate, generations are sealed and garbage is deleted while clients work and
// brokers die: the bucket does not grow with time, and readers miss nothing.
func TestTheBucketDoesNotGrowWithTime(t *testing.T) {
	if testing.Short() {
		t.Skip("seals and rotates all the time")
	}
	inBubble(t, 3, map[string]string{
		"session.rotate.slots": "32", "seal.interval.ms": "1000", "gc.grace.ms": "2000", "cache.bytes": "1048576",
	}, func(t *testing.T, c *cluster) {
		x := c.begin(t, 1, 4)
		for _, n := range c.brokers {
			time.Sleep(8 * time.Second)
			n.crash()
			time.Sleep(2 * time.Second)
			n.start()
		}
		time.Sleep(8 * time.Second)
		x.judge()
		time.Sleep(15 * time.Second)
		if wal, slots := c.count("wal/"), 3*32+100; wal > slots {
			t.Errorf("%d WAL objects and fences are left, of which %d could be of use", wal, slots)
		}
	})
}
