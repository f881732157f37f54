package bubble

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/catalog/journal"
	"github.com/firnlog/firn/ingest/pump"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/replay/audit"
	"github.com/firnlog/firn/replay/salvage"
	"github.com/firnlog/firn/tier/cold"
)

// An object is deleted by somebody. The partition that needs it has no leader, the others
// have; once it was given up all have one. Its records are a hole that consumers pass, all
// others are there, and a producer that was known before the hole is known after it: what
// it sends again is not taken twice.
func TestAPartitionGoesOnWithoutAnObjectThatWasGivenUp(t *testing.T) {
	inBubble(t, 1, nil, func(t *testing.T, c *cluster) {
		n := c.brokers[0]
		cl := c.client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
		defer cl.Close()
		adm := kadm.NewClient(cl)
		if _, err := adm.CreateTopic(t.Context(), 2, 1, nil, "t"); err != nil {
			t.Fatal(err)
		}
		ids, err := cl.Request(t.Context(), kmsg.NewPtrInitProducerIDRequest())
		if err != nil {
			t.Fatal(err)
		}
		b := record.Builder{HasProducer: true, Template: record.Header{ProducerID: ids.(*kmsg.InitProducerIDResponse).ProducerID}}
		b.Add(time.Now().UnixMilli(), nil, []byte("first"))
		first, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		if offset := c.again(first); offset != 0 {
			t.Fatalf("the first batch is at %d", offset)
		}
		send := func(p int32, value string) int64 {
			t.Helper()
			r := &kgo.Record{Topic: "t", Partition: p, Value: []byte(value)}
			if err := cl.ProduceSync(t.Context(), r).FirstErr(); err != nil {
				t.Fatal(err)
			}
			return r.Offset
		}
		for i := range 5 {
			send(0, fmt.Sprint("lost ", i))
		}
		for i := range 5 {
			send(1, fmt.Sprint("other ", i))
		}
		n.crash()
		n.wipe()
		// Its session is sealed, so that the catalog describes what it has put.
		c.depose()
		s := c.agreed()
		topic, _ := s.TopicNamed("t")
		p := topic.Partitions[0]
		x := p.Extents[len(p.Extents)-1]
		whole := c.object(x.Object.Name())
		if err := c.bucket.Delete(t.Context(), x.Object.Name()); err != nil {
			t.Fatal(err)
		}
		n.start()
		send(1, "other 5")
		if _, err := salvage.FindLoss(t.Context(), c.bucket, c.agreed(), topic.Partitions[1].Extents[0].Object, time.Second); !errors.Is(err, salvage.ErrIntact) {
			t.Fatalf("an object that is there: %v", err)
		}
		if _, err := salvage.FindLoss(t.Context(), c.bucket, c.agreed(), catalog.Seg(1, 1), time.Second); !errors.Is(err, salvage.ErrUnknown) {
			t.Fatalf("an object that is none: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		impatient := c.client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
		if err := impatient.ProduceSync(ctx, &kgo.Record{Topic: "t", Partition: 0}).FirstErr(); err == nil {
			t.Fatal("a partition is led whose producers cannot be known")
		}
		cancel()
		impatient.Close()
		l, err := salvage.FindLoss(t.Context(), c.bucket, c.agreed(), x.Object, time.Second)
		if err != nil || len(l.Runs) != 1 || l.Records() != x.Records || l.Runs[0].Base != x.Base {
			t.Fatalf("%+v, %v", l, err)
		}
		if err := salvage.GiveUp(t.Context(), c.bucket, l, pump.LoadProducersBelow); err != nil {
			t.Fatal(err)
		}
		if offset := send(0, "goes on"); offset < p.Next {
			t.Errorf("offset %d was given away a second time", offset)
		}
		if offset := c.again(first); offset != 0 {
			t.Errorf("what was sent again is at %d", offset)
		}
		reader := c.client(kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
		defer reader.Close()
		want := int(p.Next-x.Records) + 1 + 6
		got := poll(reader, want)
		for _, r := range got {
			if r.Partition == 0 && r.Offset >= x.Base && r.Offset < x.Next {
				t.Errorf("offset %d is lost and was read", r.Offset)
			}
		}
		if len(got) != want {
			t.Errorf("%d of %d records were read", len(got), want)
		}
		if _, err := salvage.FindLoss(t.Context(), c.bucket, c.agreed(), x.Object, time.Second); !errors.Is(err, salvage.ErrUnknown) {
			t.Errorf("it is given up twice: %v", err)
		}
		// It comes back: too late, and nobody minds.
		if err := c.bucket.PutIfAbsent(t.Context(), x.Object.Name(), cold.Bytes(whole)); err != nil {
			t.Fatal(err)
		}
		r, err := audit.Run(t.Context(), c.bucket, audit.Options{})
		if err != nil || len(r.Findings) > 0 {
			t.Errorf("%+v, %v", r.Findings, err)
		}
		told := false
		if err := journal.NewReader(c.bucket).Catchup(t.Context(), func(e journal.Entry, _ []catalog.Result) {
			for _, cmd := range e.Commands {
				_, ok := cmd.(*catalog.GiveUp)
				told = told || ok
			}
		}); err != nil || !told {
			t.Errorf("the journal does not tell of it (%v)", err)
		}
	})
}
