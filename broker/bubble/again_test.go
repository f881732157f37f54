package bubble

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/catalog/journal"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/object"
)

// A broker is fenced, and what it would seal of its own session is damaged. When that is
// mended, it goes on, without having been started again: nothing else would ever tell it to.
func TestABrokerThatCannotGoOnAfterAFenceTriesAgain(t *testing.T) {
	inBubble(t, 1, nil, func(t *testing.T, c *cluster) {
		cl := c.client(kgo.DefaultProduceTopic("t"))
		defer cl.Close()
		if _, err := kadm.NewClient(cl).CreateTopic(t.Context(), 1, 1, nil, "t"); err != nil {
			t.Fatal(err)
		}
		if err := cl.ProduceSync(t.Context(), kgo.StringRecord("before")).FirstErr(); err != nil {
			t.Fatal(err)
		}
		r := journal.NewReader(c.bucket)
		if err := r.Catchup(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		s := r.State().Sessions()[0]
		slots := uint64(0)
		for info, err := range c.bucket.List(t.Context(), "wal/", "") {
			if err != nil || !strings.HasPrefix(catalog.WAL(s.ID, slots).Name(), info.Name) {
				t.Fatal(info.Name, err)
			}
			slots++
		}
		put := func(slot uint64, b []byte) {
			t.Helper()
			if err := c.bucket.PutIfAbsent(t.Context(), catalog.WAL(s.ID, slot).Name(), cold.Bytes(b)); err != nil {
				t.Fatal(err)
			}
		}
		name := catalog.WAL(s.ID, 0).Name()
		whole, err := c.bucket.Get(t.Context(), name, cold.Whole, nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.bucket.Delete(t.Context(), name)
		put(0, make([]byte, len(whole)))
		put(slots, object.EncodeFence(s.ID, slots, s.Nonce, [16]byte{1}, 0))
		after := make(chan error, 1)
		cl.Produce(context.Background(), kgo.StringRecord("after"), func(_ *kgo.Record, err error) { after <- err })
		time.Sleep(20 * time.Second)
		select {
		case err := <-after:
			t.Fatalf("a fenced broker answers %v", err)
		default:
		}
		_ = c.bucket.Delete(t.Context(), name)
		put(0, whole)
		select {
		case err := <-after:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(time.Minute):
			t.Error("it does not go on")
		}
	})
}
