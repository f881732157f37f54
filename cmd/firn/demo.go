package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// runDemo writes live traffic to two topics and reads one of them with a group
// that does not keep up, until ctx ends.
func runDemo(ctx context.Context, addr string, log *slog.Logger) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.ClientID("firn-demo"), kgo.ProducerLinger(20*time.Millisecond))
	if err != nil {
		log.Warn("demo", "err", err)
		return
	}
	defer cl.Close()
	for _, topic := range []string{"orders", "page-views"} {
		if _, err := kadm.NewClient(cl).CreateTopic(ctx, 4, 1, nil, topic); err != nil && ctx.Err() == nil {
			log.Debug("demo topic", "topic", topic, "err", err)
		}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		lag(ctx, addr)
	}()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			<-done
			return
		case <-tick.C:
		}
		customer := fmt.Sprintf("customer-%03d", rand.IntN(500))
		if n%4 == 0 {
			b, _ := json.Marshal(map[string]any{"order": n, "customer": customer, "item": []string{"ice axe", "rope", "crampons", "tent"}[rand.IntN(4)], "cents": 100 + rand.IntN(50000)})
			cl.Produce(ctx, &kgo.Record{Topic: "orders", Key: []byte(customer), Value: b}, nil)
		}
		b, _ := json.Marshal(map[string]any{"at": time.Now().UTC(), "customer": customer, "page": fmt.Sprintf("/routes/%d", rand.IntN(80))})
		cl.Produce(ctx, &kgo.Record{Topic: "page-views", Key: []byte(customer), Value: b}, nil)
	}
}

// lag reads orders slower than they come.
func lag(ctx context.Context, addr string) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.ClientID("firn-demo-billing"), kgo.ConsumerGroup("billing"), kgo.ConsumeTopics("orders"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.AutoCommitInterval(time.Second))
	if err != nil {
		return
	}
	defer cl.Close()
	for ctx.Err() == nil {
		cl.PollRecords(ctx, 10)
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}
