package bubble

import (
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/firnlog/firn/tier/cold/fault"
)

// A broker whose start takes long keeps no client waiting that others would serve: whoever
// comes to it is refused, and looks elsewhere. When it serves it does so at its address.
func TestABrokerThatStartsKeepsNobodyWaiting(t *testing.T) {
	inBubble(t, 2, nil, func(t *testing.T, c *cluster) {
		b := c.brokers[0]
		at := b.at.Kafka
		b.crash()
		b.store.Use(fault.Always(fault.Fault{Kind: fault.Unavailable}))
		ready := b.launch()
		time.Sleep(100 * time.Millisecond)

		p := c.net.Boot("10.3.0.9")
		defer p.Kill()
		if conn, err := p.Dial(t.Context(), at); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("who comes to a broker that starts is kept waiting: %v", err)
			if err == nil {
				conn.Close()
			}
		}
		cl := c.client(kgo.SeedBrokers(at, c.brokers[1].at.Kafka), kgo.DefaultProduceTopic("t"))
		defer cl.Close()
		for i := range 10 {
			began := time.Now()
			if err := cl.ProduceSync(t.Context(), kgo.StringRecord("x")).FirstErr(); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began); took > 4*time.Second { // with the end of the broker that was killed
				t.Errorf("record %d took %v while another broker serves", i, took)
			}
			cl.ForceMetadataRefresh()
			time.Sleep(time.Second)
		}
		b.store.Use(fault.Healthy)
		if b.at = <-ready; b.at.Kafka != at {
			t.Errorf("it serves at %s, and was at %s", b.at.Kafka, at)
		}
		conn, err := p.Dial(t.Context(), at)
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
	})
}
