package bubble

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// What a group has committed for a topic ends with the topic: one that is made again
// under its name is read from its beginning, whoever coordinates the group by then.
func TestOffsetsOfADeletedTopicAreForgotten(t *testing.T) {
	inBubble(t, 3, map[string]string{"auto.create.topics.enable": "false"}, func(t *testing.T, c *cluster) {
		again := func(commit int64) {
			t.Helper()
			cl := c.client() // a new one, which knows no topic id of before
			defer cl.Close()
			admin := kadm.NewClient(cl)
			if _, err := admin.CreateTopic(t.Context(), 1, 1, nil, "t"); err != nil {
				t.Fatal(err)
			}
			if at := c.committed(); at != -1 {
				t.Errorf("a new topic has the committed offset %d", at)
			}
			os := kadm.Offsets{}
			os.Add(kadm.Offset{Topic: "t", At: commit, LeaderEpoch: -1})
			if err := admin.CommitAllOffsets(t.Context(), "g", os); err != nil {
				t.Fatal(err)
			}
			if at := c.committed(); at != commit {
				t.Errorf("%d was committed, and %d is there", commit, at)
			}
		}
		drop := func() {
			t.Helper()
			cl := c.client()
			defer cl.Close()
			if _, err := kadm.NewClient(cl).DeleteTopic(t.Context(), "t"); err != nil {
				t.Fatal(err)
			}
		}
		again(7)
		drop()
		again(8) // at once
		drop()
		time.Sleep(time.Second) // the coordinator hears of it
		cl := c.client()
		defer cl.Close()
		if _, err := kadm.NewClient(cl).CreateTopic(t.Context(), 1, 1, nil, "t"); err != nil {
			t.Fatal(err)
		}
		for _, n := range c.brokers {
			n.stop()
			n.start()
		}
		if at := c.committed(); at != -1 {
			t.Errorf("a new topic has the committed offset %d after the coordinator has moved", at)
		}
	})
}
