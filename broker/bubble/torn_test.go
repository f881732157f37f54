package bubble

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/ingest/pump"
	"github.com/firnlog/firn/replay/audit"
	"github.com/firnlog/firn/replay/salvage"
	"github.com/firnlog/firn/tier/hot"
	"github.com/firnlog/firn/tier/object"
)

// spot is a record's place in a topic.
type spot struct {
	partition int32
	offset    int64
}

// A slot of a session that is not sealed is damaged for good, or gone. The broker of the
// session does not start, so that no partition has a leader. Once the slot is given up all
// have, and every record that was acknowledged and did not lie in it is in its place; no
// offset names two records, whatever the broker's disk still has of the slot.
func TestASessionIsSealedWithoutASlotThatWasGivenUp(t *testing.T) {
	cut := func(b []byte) []byte { return b[:100] }
	for _, x := range []struct {
		name   string
		slots  []int // of 15, from the end when negative
		damage func(b []byte) []byte
		disk   bool // stays
		whole  bool // nothing is lost: with a disk, because it is asked
	}{
		{"the last, and two before it, and the disk is asked", []int{-1, 3, 4}, cut, true, true},
		{"in the middle and the disk is there", []int{9}, cut, true, false},
		{"the last and the disk is there", []int{-1}, cut, true, false},
		{"deleted", []int{9}, nil, false, false},
	} {
		t.Run(x.name, func(t *testing.T) {
			inBubble(t, 1, nil, func(t *testing.T, c *cluster) {
				n := c.brokers[0]
				acked := map[spot]string{}
				send := c.sender(acked)
				for i := range 6 {
					for p := range int32(3) {
						if p < 2 || i < 3 {
							send(p, fmt.Sprintf("%d of %d", i, p))
						}
					}
				}
				time.Sleep(time.Second) // its disk has it
				n.crash()
				if !x.disk {
					n.wipe()
				}
				s := c.agreed()
				v := s.Sessions()[0]
				var data []uint64
				for slot := v.Covered; ; slot++ {
					if _, err := c.bucket.Stat(t.Context(), catalog.WAL(v.ID, slot).Name()); err != nil {
						break
					}
					data = append(data, slot)
				}
				var slots []uint64
				var names []string
				lost := map[spot]bool{}
				for _, i := range x.slots {
					slot := data[(i+len(data))%len(data)]
					name := catalog.WAL(v.ID, slot).Name()
					slots, names = append(slots, slot), append(names, name)
					b := c.object(name)
					_, runs, _ := object.Verify(b)
					for _, r := range runs {
						for o := r.Base; o < r.Next; o++ {
							lost[spot{r.Partition.Index, o}] = !x.whole
						}
					}
					if x.damage == nil {
						if err := c.bucket.Delete(t.Context(), name); err != nil {
							t.Fatal(err)
						}
					} else {
						c.place(name, x.damage(slices.Clone(b)))
					}
				}
				if x.damage != nil { // a broker would take the gap for the end
					c.stuck(n)
				}
				o := salvage.TornOptions{Watch: time.Second, Deleted: x.damage == nil}
				if x.disk && x.whole {
					o.Held = n.held(v, slots)
				}
				found, err := salvage.FindTorn(t.Context(), c.bucket, c.agreed(), v.ID, slots, o)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := salvage.GiveUpTorn(t.Context(), c.bucket, found, pump.LoadProducersBelow); err != nil {
					t.Fatalf("%v: %v", names, err)
				}
				if _, err := salvage.GiveUpTorn(t.Context(), c.bucket, found, pump.LoadProducersBelow); !errors.Is(err, catalog.ErrSealed) {
					t.Fatalf("given up twice: %v", err)
				}
				n.start()
				c.intact(acked, lost)
				send = c.sender(acked)
				for range 2 {
					for p := range int32(4) {
						send(p, "more")
					}
					time.Sleep(3 * time.Minute) // generations are sealed, also the old one
					c.intact(acked, lost)
				}
			})
		})
	}
}

// One of three brokers dies, and a slot of its session is damaged: nobody leads what it had,
// and the others go on. Once the slot is given up they take over what it had, without being
// started again.
func TestTheLivingTakeOverWithoutASlotThatWasGivenUp(t *testing.T) {
	inBubble(t, 3, nil, func(t *testing.T, c *cluster) {
		acked := map[spot]string{}
		send := c.sender(acked)
		for i := range 4 {
			for p := range int32(4) {
				send(p, fmt.Sprintf("%d of %d", i, p))
			}
		}
		s := c.agreed()
		topic, _ := s.TopicNamed("t")
		at := int32(0)
		v, _ := s.Session(topic.Partitions[at].Owner)
		n := c.brokers[slices.IndexFunc(c.brokers, func(n *node) bool { return v.Advertised == n.host+":9092" })]
		name := catalog.WAL(v.ID, v.Covered+1).Name()
		b := c.object(name)
		lost := map[spot]bool{}
		_, runs, _ := object.Verify(b)
		for _, r := range runs {
			for o := r.Base; o < r.Next; o++ {
				lost[spot{r.Partition.Index, o}] = true
			}
		}
		c.place(name, b[:len(b)-1])
		n.crash()
		time.Sleep(time.Minute)
		if w, _ := c.agreed().Session(v.ID); w.Sealed {
			t.Fatal("a session is sealed that cannot be read")
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		impatient := c.client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
		if err := impatient.ProduceSync(ctx, &kgo.Record{Topic: "t", Partition: at}).FirstErr(); err == nil {
			t.Fatal("a partition is led whose log nobody can know")
		}
		cancel()
		impatient.Close()
		found, err := salvage.FindTorn(t.Context(), c.bucket, c.agreed(), v.ID, []uint64{v.Covered + 1}, salvage.TornOptions{})
		if err == nil {
			_, err = salvage.GiveUpTorn(t.Context(), c.bucket, found, pump.LoadProducersBelow)
		}
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		send = c.sender(acked)
		for p := range int32(4) {
			send(p, "more")
		}
		if took := time.Since(began); took > 15*time.Second {
			t.Errorf("partitions have leaders after %v", took)
		}
		c.intact(acked, lost)
		n.start()
		time.Sleep(3 * time.Minute)
		c.intact(acked, lost)
	})
}

// stuck starts a broker, which cannot.
func (c *cluster) stuck(n *node) {
	c.t.Helper()
	ready := n.launch()
	select {
	case <-ready:
		c.t.Fatal("the broker serves, though it cannot know where its former session ended")
	case <-n.ended:
	case <-time.After(time.Minute):
		ended := n.ended
		c.halt = append(c.halt, func() { <-ended })
	}
	n.cancel()
	n.cancel = nil
	n.proc.Kill()
}

// held is what a broker's disk has of slots.
func (n *node) held(v *catalog.Session, slots []uint64) map[uint64][]salvage.Held {
	n.c.t.Helper()
	tier, err := hot.Open(n.c.t.Context(), filepath.Join(n.dir, "hot"), hot.Options{})
	if err != nil {
		n.c.t.Fatal(err)
	}
	out := map[uint64][]salvage.Held{}
	err = tier.Leftover(v.ID, 0, func(slot uint64, entries []hot.Entry) error {
		for _, e := range entries {
			if slices.Contains(slots, slot) {
				out[slot] = append(out[slot], salvage.Held{Partition: e.Partition, Epoch: e.Epoch, Base: e.Base, Next: e.Last + 1, Batch: bytes.Clone(e.Value)})
			}
		}
		return nil
	})
	if err = errors.Join(err, tier.Close(n.c.t.Context())); err != nil || len(out) != len(slots) {
		n.c.t.Fatalf("the disk has %d of %d slots: %v", len(out), len(slots), err)
	}
	return out
}

// sender sends records to partitions of "t" and notes where they are. No place is given
// away twice.
func (c *cluster) sender(acked map[spot]string) func(p int32, value string) {
	c.t.Helper()
	cl := c.client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	c.halt = append(c.halt, cl.Close)
	if len(acked) == 0 {
		if _, err := kadm.NewClient(cl).CreateTopic(c.t.Context(), 4, 1, nil, "t"); err != nil {
			c.t.Fatal(err)
		}
	}
	return func(p int32, value string) {
		c.t.Helper()
		r := &kgo.Record{Topic: "t", Partition: p, Value: []byte(value)}
		if err := cl.ProduceSync(c.t.Context(), r).FirstErr(); err != nil {
			c.t.Fatal(err)
		}
		at := spot{p, r.Offset}
		if was, taken := acked[at]; taken {
			c.t.Errorf("offset %d of partition %d is given to %q, and was to %q", r.Offset, p, value, was)
		}
		acked[at] = value
	}
}

// intact checks that what was acknowledged is in its place in "t", but for what is lost,
// that nothing else is there, and that the bucket is as it should be.
func (c *cluster) intact(acked map[spot]string, lost map[spot]bool) {
	c.t.Helper()
	kept := 0
	for at := range acked {
		if !lost[at] {
			kept++
		}
	}
	cl := c.client(kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	defer cl.Close()
	seen := map[spot]bool{}
	for deadline := time.Now().Add(time.Minute); kept > 0 && time.Now().Before(deadline); {
		for _, r := range poll(cl, 1) {
			at := spot{r.Partition, r.Offset}
			if acked[at] != string(r.Value) || seen[at] {
				c.t.Errorf("%v is %q, want %q once", at, r.Value, acked[at])
			}
			if seen[at] = true; !lost[at] {
				kept--
			}
		}
	}
	for at, value := range acked {
		if !lost[at] && !seen[at] {
			c.t.Errorf("%v, %q, is lost", at, value)
		}
	}
	r, err := audit.Run(c.t.Context(), c.bucket, audit.Options{})
	if err != nil || len(r.Findings) > 0 {
		c.t.Errorf("%+v, %v", r.Findings, err)
	}
	for _, err := range c.agreed().Check() {
		c.t.Error(err)
	}
}
