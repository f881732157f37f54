package record

import (
	"encoding/hex"
	"fmt"
)

// TopicID is a topic's identity: random, never reused, so that a topic which
// is deleted and created again under the same name is another topic (KIP-516).
type TopicID [16]byte

// IsZero reports whether the id is the zero id, which names no topic.
func (t TopicID) IsZero() bool { return t == TopicID{} }

// String is the id in hexadecimal, as object listings and logs show it.
func (t TopicID) String() string { return hex.EncodeToString(t[:]) }

// Partition names one partition of one topic, for ever.
type Partition struct {
	Topic TopicID
	Index int32
}

// String is "topicid/index".
func (p Partition) String() string { return fmt.Sprintf("%s/%d", p.Topic, p.Index) }

// Compare orders partitions by topic id and then by index. It is the order of
// runs inside every object.
func (p Partition) Compare(q Partition) int {
	for i := range p.Topic {
		if p.Topic[i] != q.Topic[i] {
			return int(p.Topic[i]) - int(q.Topic[i])
		}
	}
	switch {
	case p.Index < q.Index:
		return -1
	case p.Index > q.Index:
		return 1
	}
	return 0
}
