package group

import (
	"errors"
	"runtime"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestRecordsAreKafkas: what kmsg, and with it every tool, reads is what was
// written, at the versions that Kafka writes.
func TestRecordsAreKafkas(t *testing.T) {
	c := commit{offset: 7, epoch: 3, metadata: "m", at: 99}
	r := offsetRecord("g", TopicPartition{"t", 2}, &c)
	var k kmsg.OffsetCommitKey
	var v kmsg.OffsetCommitValue
	if err := errors.Join(k.ReadFrom(r.Key), v.ReadFrom(r.Value)); err != nil {
		t.Fatal(err)
	}
	if k.Version != 1 || k.Group != "g" || k.Topic != "t" || k.Partition != 2 || v.Version != 3 || v.Offset != 7 || v.LeaderEpoch != 3 || v.Metadata != "m" || v.CommitTimestamp != 99 {
		t.Fatalf("%+v %+v", k, v)
	}
	c.until = 500
	if err := v.ReadFrom(offsetRecord("g", TopicPartition{"t", 2}, &c).Value); err != nil || v.Version != 1 || v.ExpireTimestamp != 500 {
		t.Fatalf("%+v %v", v, err)
	}
	if r := offsetRecord("g", TopicPartition{"t", 2}, nil); r.Value != nil {
		t.Fatal("a tombstone has no value")
	}
}

// TestReplayReadsEveryVersion reads what older and newer brokers write.
func TestReplayReadsEveryVersion(t *testing.T) {
	for version := range int16(5) {
		m := New(Config{}, nil)
		k := kmsg.OffsetCommitKey{Version: min(version, 1), Group: "g", Topic: "t"}
		v := kmsg.NewOffsetCommitValue()
		v.Version, v.Offset, v.LeaderEpoch, v.Metadata, v.CommitTimestamp, v.TopicID = version, 7, 3, "m", 99, [16]byte{1}
		if !m.Replay(k.AppendTo(nil), v.AppendTo(nil)) {
			t.Fatalf("offset version %d is not read", version)
		}
		epoch := int32(-1)
		if version >= 3 {
			epoch = 3
		}
		if c := m.groups["g"].offsets[TopicPartition{"t", 0}]; c.offset != 7 || c.epoch != epoch || c.metadata != "m" || c.at != 99 {
			t.Fatalf("offset version %d: %+v", version, c)
		}
	}
	for version := range int16(4) {
		m := New(Config{}, nil)
		k := kmsg.GroupMetadataKey{Version: 2, Group: "g"}
		v := kmsg.NewGroupMetadataValue()
		x := kmsg.NewGroupMetadataValueMember()
		x.MemberID, x.InstanceID, x.SessionTimeoutMillis, x.RebalanceTimeoutMillis, x.Assignment = "x", kmsg.StringPtr("i"), 10000, 20000, []byte("a")
		x.Subscription = subscriptionTo("t")
		v.Version, v.ProtocolType, v.Generation, v.Protocol, v.Leader, v.CurrentStateTimestamp = version, "consumer", 5, kmsg.StringPtr("range"), kmsg.StringPtr("x"), 99
		v.Members = append(v.Members, x)
		if !m.Replay(k.AppendTo(nil), v.AppendTo(nil)) {
			t.Fatalf("group version %d is not read", version)
		}
		m.Loaded(1, 1)
		audit(t, m)
		g := m.groups["g"]
		if g.state != Stable || g.generation != 5 || g.leader != "x" || len(g.members) != 1 || !g.subscribed("t") || g.subscribed("u") {
			t.Fatalf("group version %d: %+v", version, g)
		}
		if y := g.members[0]; string(y.assignment) != "a" || y.session != 10000 || (y.instance != nil) != (version >= 3) {
			t.Fatalf("group version %d: %+v", version, y)
		}
	}
}

func TestReplaySkipsWhatItDoesNotKnow(t *testing.T) {
	m := New(Config{}, nil)
	for _, key := range [][]byte{nil, {0}, {0, 9}, {0, 3, 0, 1, 'g'}, {0xff, 0xff}, {0, 1}, {0, 2, 0, 9, 'g'}} {
		if err := m.ReplayTxn(-1, key, []byte{0, 0}); !errors.Is(err, ErrUnknownRecord) {
			t.Fatalf("%v: %v", key, err)
		}
	}
	if len(m.groups) != 0 {
		t.Fatal("groups came of garbage")
	}
}

// TestReplayBelievesNoCount: a small record that says it has many members takes no
// memory for them (G4).
func TestReplayBelievesNoCount(t *testing.T) {
	v := kmsg.NewGroupMetadataValue()
	v.Version = 3
	b := v.AppendTo(nil)
	b = append(b[:len(b)-4], 0x00, 0x0f, 0xff, 0xff)
	b = append(b, make([]byte, 1<<20)...)
	m := New(Config{}, nil)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	m.Replay(groupKey("g"), b)
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > 16*uint64(len(b))+1<<20 {
		t.Fatalf("%d bytes took %d of memory", len(b), took)
	}
}

// FuzzReplay: no record, and no metadata, makes the machine panic or unsound.
func FuzzReplay(f *testing.F) {
	g := &group{id: "g", generation: 3, protocolType: consumers, protocol: "range", leader: "x",
		members: []*member{{id: "x", session: 10000, rebalance: 1, protocols: []Protocol{{"range", subscriptionTo("t")}}, assignment: []byte("a")}}}
	m := New(Config{}, nil)
	g.save(m)
	f.Add(m.out.Records[0].Key, m.out.Records[0].Value)
	r := offsetRecord("g", TopicPartition{"t", 1}, &commit{offset: 1})
	f.Add(r.Key, r.Value)
	v := kmsg.NewOffsetCommitValue()
	v.Version = 4
	f.Add(r.Key, v.AppendTo(nil))
	f.Fuzz(func(t *testing.T, k, v []byte) {
		n := 0
		m := New(Config{}, func(string) string { n++; return string(rune('a' + n)) })
		m.Replay(k, v)
		m.Loaded(1, 1)
		audit(t, m)
		for _, id := range m.ids() {
			g := m.groups[id]
			for x, y := range g.byID {
				_ = m.Heartbeat(2, &HeartbeatRequest{Group: id, MemberID: x, Generation: g.generation})
				m.Join(2, 2, &JoinRequest{Group: id, MemberID: x, InstanceID: y.instance, SessionTimeoutMs: 10000, ProtocolType: g.protocolType, Protocols: []Protocol{{g.protocol, v}}}, 1)
				break
			}
			audit(t, m)
		}
		m.Tick(1<<40, 1<<40)
		audit(t, m)
		m.Take()
	})
}

// FuzzSubscription: no metadata makes the parser panic, or differ from kmsg's.
func FuzzSubscription(f *testing.F) {
	f.Add(subscriptionTo("a", "b"))
	f.Add([]byte{0, 0, 0x7f, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		ts, ok := topicsOf(b)
		var m kmsg.ConsumerMemberMetadata
		if len(b) < 1<<10 && m.ReadFrom(b) == nil && m.Version >= 0 && len(m.Topics) > 0 && !ok { // kmsg takes a negative count for none
			t.Fatalf("kmsg reads %v", m.Topics)
		}
		for _, topic := range ts {
			if len(topic) > len(b) {
				t.Fatal("a topic longer than its metadata")
			}
		}
	})
}
