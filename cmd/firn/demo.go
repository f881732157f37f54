package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// The demo: 25 orders and 100 page views a second; the group reads 10 orders.
const (
	demoTick    = 10 * time.Millisecond
	orderEvery  = 4 // ticks
	billingPoll = time.Second
	billingRead = 10
)

// runDemo writes live traffic to two topics and reads one of them with a group
// that does not keep up, until ctx ends. begun is called when the topics are there.
func runDemo(ctx context.Context, addr string, log *slog.Logger, begun func()) {
	err := demoTopics(ctx, addr)
	begun()
	if err != nil {
		if ctx.Err() == nil {
			log.Warn("the demo does not begin", "err", err)
		}
		return
	}
	var work sync.WaitGroup
	for name, part := range map[string]func(context.Context, string) error{"shop": shop, "billing": billing} {
		work.Go(func() {
			if err := part(ctx, addr); err != nil && ctx.Err() == nil {
				log.Warn("the demo has stopped", "part", name, "err", err)
			}
		})
	}
	work.Wait()
}

// goodbye bounds what a client may take to leave: the broker is about to stop.
func goodbye(cl *kgo.Client) {
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	_ = cl.Flush(ctx)
	_ = cl.LeaveGroupContext(ctx)
	cl.Close()
}

// demoTopics creates the topics, unless a former demo has.
func demoTopics(ctx context.Context, addr string) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.ClientID("firn-demo"))
	if err != nil {
		return err
	}
	defer cl.Close()
	created, err := kadm.NewClient(cl).CreateTopics(ctx, 4, 1, nil, "orders", "page-views")
	if err != nil {
		return err
	}
	for _, t := range created {
		if t.Err != nil && !errors.Is(t.Err, kerr.TopicAlreadyExists) {
			return fmt.Errorf("create %s: %w", t.Topic, t.Err)
		}
	}
	return nil
}

// shop produces orders and page views.
func shop(ctx context.Context, addr string) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.ClientID("firn-demo-shop"), kgo.ProducerLinger(20*time.Millisecond))
	if err != nil {
		return err
	}
	defer goodbye(cl)
	failed := make(chan error, 1)
	send := func(topic, key string, v any) {
		b, _ := json.Marshal(v)
		cl.TryProduce(ctx, &kgo.Record{Topic: topic, Key: []byte(key), Value: b}, func(_ *kgo.Record, err error) {
			if err != nil {
				select {
				case failed <- err:
				default:
				}
			}
		})
	}
	items := []string{"ice axe", "rope", "crampons", "tent", "head lamp"}
	tick := time.NewTicker(demoTick)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return err
		case <-tick.C:
		}
		customer := fmt.Sprintf("customer-%03d", rand.IntN(500))
		if n%orderEvery == 0 {
			send("orders", customer, struct {
				Order    int    `json:"order"`
				Customer string `json:"customer"`
				Item     string `json:"item"`
				Cents    int    `json:"cents"`
			}{n / orderEvery, customer, items[rand.IntN(len(items))], 100 + rand.IntN(50000)})
		}
		send("page-views", customer, struct {
			At       time.Time `json:"at"`
			Customer string    `json:"customer"`
			Page     string    `json:"page"`
		}{time.Now().UTC(), customer, fmt.Sprintf("/routes/%d", rand.IntN(80))})
	}
}

// billing reads orders more slowly than they come.
func billing(ctx context.Context, addr string) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.ClientID("firn-demo-billing"), kgo.ConsumerGroup("billing"), kgo.ConsumeTopics("orders"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.AutoCommitInterval(time.Second))
	if err != nil {
		return err
	}
	defer goodbye(cl)
	tick := time.NewTicker(billingPoll)
	defer tick.Stop()
	for {
		fs := cl.PollRecords(ctx, billingRead)
		if ctx.Err() != nil {
			return nil
		}
		if err := fs.Err(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
