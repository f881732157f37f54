package kafka

import (
	"context"
	"slices"
	"strconv"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/record"
)

// view is the cluster as one request sees it: the same all the way through, unless the
// request names what is not in it. Then it is taken once more, when this broker is known
// to have heard of everything: what another broker has just made must not be denied.
type view struct {
	*catalog.State
	brokers []Broker
	self    int32

	node     *node
	listener string
	heard    bool // taken once more
}

// view is of the brokers whatever listeners they have: for who is alive, not where.
func (n *node) view() view { return n.viewBy("") }

// viewBy is the cluster as a client of a listener is told of it. A client that came
// by one listener must never be sent to the address of another: that is for
// another network.
func (n *node) viewBy(listener string) view {
	return view{State: n.Cluster.State(), brokers: n.Cluster.Brokers(listener), self: n.Cluster.Self(), node: n, listener: listener}
}

// hear takes the view once more, which may wait for the bucket. false when that was done
// already.
func (v *view) hear(ctx context.Context) bool {
	if v.heard {
		return false
	}
	v.node.Cluster.Hear(ctx)
	*v = v.node.viewBy(v.listener)
	v.heard = true
	return true
}

// broker finds a live broker.
func (v view) broker(node int32) (Broker, bool) {
	i, ok := slices.BinarySearchFunc(v.brokers, node, func(b Broker, n int32) int { return int(b.Node) - int(n) })
	if !ok {
		return Broker{}, false
	}
	return v.brokers[i], true
}

// leader is the node that leads a partition; false when nobody alive does.
func (v view) leader(p *catalog.Partition) (int32, bool) {
	s, ok := v.Session(p.Owner)
	if !ok || s.Sealed {
		return -1, false
	}
	if _, ok := v.broker(s.Node); !ok {
		return -1, false
	}
	return s.Node, true
}

// controller is the live broker with the lowest id: every broker answers APIs
// that Kafka sends to the controller (protocol.md 7).
func (v view) controller() int32 {
	if len(v.brokers) == 0 {
		return -1
	}
	return v.brokers[0].Node
}

// replicas are the virtual replicas that a partition is shown with: as many as
// asked for out of the live brokers, the leader first, the others in the order of
// the ring behind it. All are in sync: the bucket replicates (kafka.md 14).
func (v view) replicas(want int16, leader int32) []int32 {
	n := min(max(int(want), 1), len(v.brokers))
	at := max(slices.IndexFunc(v.brokers, func(b Broker) bool { return b.Node == leader }), 0)
	nodes := make([]int32, 0, n)
	for i := range n {
		nodes = append(nodes, v.brokers[(at+i)%len(v.brokers)].Node)
	}
	return nodes
}

// topic finds a topic by name, or by id when byID. The code says what is wrong.
func (v *view) topic(ctx context.Context, name string, id [16]byte, byID bool) (*catalog.Topic, code) {
	t, code := v.find(name, id, byID)
	if possible := byID && id != [16]byte{} || !byID && catalog.CheckTopicName(name) == nil; t == nil && possible && v.hear(ctx) {
		return v.find(name, id, byID)
	}
	return t, code
}

func (v *view) find(name string, id [16]byte, byID bool) (*catalog.Topic, code) {
	if byID {
		t, ok := v.Topic(record.TopicID(id))
		if !ok {
			return nil, codeUnknownTopicID
		}
		return t, codeNone
	}
	t, ok := v.TopicNamed(name)
	if !ok {
		return nil, codeUnknownTopicOrPartition
	}
	return t, codeNone
}

// checkNew says whether a topic of that name can be created. One that was in the way may
// have been deleted by another broker.
func (v *view) checkNew(ctx context.Context, name string) error {
	err := v.CheckNewTopic(name)
	if err != nil && catalog.CheckTopicName(name) == nil && v.hear(ctx) {
		return v.CheckNewTopic(name)
	}
	return err
}

// partition finds one partition of a topic.
func (v *view) partition(ctx context.Context, t *catalog.Topic, index int32) (*catalog.Partition, code) {
	if index >= 0 && int(index) < len(t.Partitions) {
		return t.Partitions[index], codeNone
	}
	if index >= 0 {
		v.hear(ctx)
		if p, ok := v.Partition(record.Partition{Topic: t.ID, Index: index}); ok {
			return p, codeNone
		}
	}
	return nil, codeUnknownTopicOrPartition
}

// lead finds how far a partition has come, if this broker leads it and the
// client's idea of the leader epoch is right (KIP-320, kafka.md 12); -1 means that
// the client has none.
func (n *node) lead(id record.Partition, epoch int32) (Progress, code) {
	p, ok := n.Log.Progress(id)
	if !ok {
		return Progress{}, codeNotLeaderOrFollower
	}
	if code := suits(p.Epoch, epoch); code != codeNone {
		return Progress{}, code
	}
	return p, codeNone
}

// settle returns when this broker knows as well as it can which of the partitions it
// leads. All of a request together take one look at the journal, of which there are not
// many. It keeps ids.
func (n *node) settle(ctx context.Context, ids []record.Partition) {
	ids = slices.DeleteFunc(ids, func(id record.Partition) bool {
		_, led := n.Log.Progress(id)
		return led
	})
	if len(ids) > 0 {
		n.Log.Settle(ctx, ids)
	}
}

// suits compares a leader epoch with the client's idea of it.
func suits(epoch, client int32) code {
	switch {
	case client < 0 || client == epoch:
		return codeNone
	case client < epoch:
		return codeFencedLeaderEpoch
	}
	return codeUnknownLeaderEpoch
}

// settings that the wire itself obeys, with Kafka's defaults.
const (
	settingAutoCreate    = "auto.create.topics.enable"
	settingPartitions    = "num.partitions"
	settingReplicas      = "default.replication.factor"
	settingDelete        = "delete.topic.enable"
	settingFetchMax      = "fetch.max.bytes"
	defaultPartitions    = 1
	defaultReplicas      = 1
	defaultFetchMaxBytes = 55 << 20
)

func (n *node) settingInt(name string, def int64) int64 {
	if v, ok := n.Settings.Setting(name); ok {
		if i, err := strconv.ParseInt(v, 10, 64); err == nil {
			return i
		}
	}
	return def
}

func (n *node) settingBool(name string, def bool) bool {
	if v, ok := n.Settings.Setting(name); ok {
		if b, err := strconv.ParseBool(v); err == nil {
			return b
		}
	}
	return def
}
