package group

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// consumers is the protocol type whose metadata says what members subscribe to.
const consumers = "consumer"

// subscription reads the topics out of a consumer's protocol metadata, Kafka's
// ConsumerProtocolSubscription, of which version 0 is the beginning of every
// version:
//
//	2    version
//	4    number of topics
//	     each: 2 length, name
//	…    user data, and what later versions add
//
// It calls fn for each topic with a view; false when the bytes are something else.
// It believes no length.
func subscription(b []byte, fn func(topic []byte)) bool {
	if len(b) < 6 || int16(binary.BigEndian.Uint16(b)) < 0 {
		return false
	}
	n := int32(binary.BigEndian.Uint32(b[2:]))
	b = b[6:]
	if n < 0 || int64(n) > int64(len(b)/2) {
		return false
	}
	for range n {
		if len(b) < 2 {
			return false
		}
		l := int(int16(binary.BigEndian.Uint16(b)))
		if l < 0 || l > len(b)-2 {
			return false
		}
		fn(b[2 : 2+l])
		b = b[2+l:]
	}
	return true
}

// subscribe finds out what the members are subscribed to, for the protocol that
// was chosen.
func (g *group) subscribe() {
	g.topics, g.known = nil, false
	if g.protocolType != consumers || len(g.members) > 0 && g.protocol == "" {
		return
	}
	topics := map[string]struct{}{}
	for _, x := range g.members {
		if !subscription(x.metadata(g.protocol), func(t []byte) { topics[string(t)] = struct{}{} }) {
			return
		}
	}
	g.topics, g.known = topics, true
}

// subscribed says whether the group is subscribed to a topic. Consumers whose
// subscription nobody can read may be subscribed to anything.
func (g *group) subscribed(topic string) bool {
	if !g.known {
		return g.protocolType == consumers
	}
	_, ok := g.topics[topic]
	return ok
}

// resubscribes says whether a member that came again as a new process wants other
// topics than before.
func (g *group) resubscribes(x *member, before []Protocol) bool {
	if g.protocolType != consumers {
		return false
	}
	old := (&member{protocols: before}).metadata(g.protocol)
	is := x.metadata(g.protocol)
	a, ok := topicsOf(old)
	b, ok2 := topicsOf(is)
	if !ok || !ok2 {
		return !bytes.Equal(old, is)
	}
	return !slices.Equal(a, b)
}

func topicsOf(metadata []byte) ([]string, bool) {
	var ts []string
	ok := subscription(metadata, func(t []byte) { ts = append(ts, string(t)) })
	slices.Sort(ts)
	return slices.Compact(ts), ok
}
