package kafka

import (
	"slices"
	"strconv"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/record"
)

// view is the cluster as one request sees it: the same all the way through.
type view struct {
	*catalog.State
	brokers []Broker
	self    int32
}

// view is of the brokers whatever listeners they have: for who is alive, not where.
func (n *node) view() view { return n.viewBy("") }

// viewBy is the cluster as a client of a listener is told of it. A client that came
// by one listener must never be sent to the address of another: that is for
// another network.
func (n *node) viewBy(listener string) view {
	return view{State: n.Cluster.State(), brokers: n.Cluster.Brokers(listener), self: n.Cluster.Self()}
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
// that Kafka sends to the controller (DESIGN 11).
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
func (v view) topic(name string, id [16]byte, byID bool) (*catalog.Topic, code) {
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

// partition finds one partition of a topic.
func partition(t *catalog.Topic, index int32) (*catalog.Partition, code) {
	if index < 0 || int(index) >= len(t.Partitions) {
		return nil, codeUnknownTopicOrPartition
	}
	return t.Partitions[index], codeNone
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
