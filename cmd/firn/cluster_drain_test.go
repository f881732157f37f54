package main

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// newDrains is a cluster of which some brokers drain, and none ever gives up what it leads.
func newDrains(t *testing.T, brokers int, drained ...string) cli {
	c, k := newKafka(t, kfake.NumBrokers(brokers), kfake.SeedTopics(60, "t"))
	k.ControlKey(int16(kmsg.DescribeConfigs), func(req kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		q := req.(*kmsg.DescribeConfigsRequest)
		r := q.ResponseKind().(*kmsg.DescribeConfigsResponse)
		for _, x := range q.Resources {
			rr := kmsg.NewDescribeConfigsResponseResource()
			rr.ResourceType, rr.ResourceName = x.ResourceType, x.ResourceName
			for _, d := range drained {
				if d == x.ResourceName {
					set := kmsg.NewDescribeConfigsResponseResourceConfig()
					set.Name, set.Value = drainConfig, kmsg.StringPtr("true")
					rr.Configs = append(rr.Configs, set)
				}
			}
			r.Resources = append(r.Resources, rr)
		}
		return r, nil, true
	})
	k.ControlKey(int16(kmsg.IncrementalAlterConfigs), func(req kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		q := req.(*kmsg.IncrementalAlterConfigsRequest)
		r := q.ResponseKind().(*kmsg.IncrementalAlterConfigsResponse)
		for _, x := range q.Resources {
			rr := kmsg.NewIncrementalAlterConfigsResponseResource()
			rr.ResourceType, rr.ResourceName = x.ResourceType, x.ResourceName
			r.Resources = append(r.Resources, rr)
		}
		return r, nil, true
	})
	return c
}

// A drain waits as long as --wait says, whatever --timeout, and says that it did.
func TestDrainWaitsAsLongAsItIsToldTo(t *testing.T) {
	c := newDrains(t, 2)
	began := time.Now()
	a := c.fails(exitError, "partitions after 1.5s; it goes on giving them up", "cluster", "drain", "1", "--wait", "1500ms", "--timeout", "1s")
	if took := time.Since(began); took < 1500*time.Millisecond || strings.Contains(a.err, "--timeout") {
		t.Errorf("after %s: %s", took, a.err)
	}
}

// Who cannot be relieved by anybody is not drained; everybody can be taken back.
func TestTheLastThatTakesPartitionsIsNotDrained(t *testing.T) {
	c := newDrains(t, 3, "0", "2")
	began := time.Now()
	c.fails(exitError, "nobody could take the partitions of broker 1", "cluster", "drain", "1", "--wait", "5s")
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("that took %s to say", took)
	}
	for node := range 3 {
		c.ok("cluster", "drain", strconv.Itoa(node), "--undo")
	}
	c.fails(exitError, "there is no broker 9: the cluster has [0 1 2]", "cluster", "drain", "9")
	newDrains(t, 1).fails(exitError, "is the only one", "cluster", "drain", "0")
}
