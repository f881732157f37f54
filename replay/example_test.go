package replay_test

import (
	"context"
	"fmt"
	"log"

	"github.com/firnlog/firn/replay"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/cold/open"
)

// A program reads the last stretch of a topic straight from the bucket, whether
// brokers run or not.
func Example() {
	ctx := context.Background()
	store, _, err := open.Open(ctx, "s3://bucket/prefix?region=eu-central-1", open.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer cold.Close(store)
	h, err := replay.Open(ctx, store, "orders", replay.Options{Memory: 64 << 20})
	if err != nil {
		log.Fatal(err)
	}
	spans, err := h.Resolve(ctx, replay.Choice{From: replay.Time(1795000000000), To: replay.End()})
	if err != nil {
		log.Fatal(err)
	}
	plan, err := h.Plan(ctx, spans)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%d objects, %d GETs, %.2f USD\n", plan.Objects, plan.Gets, plan.Cost(replay.Prices{Get: 0.0004 / 1000, GiB: 0.09}))
	_, err = h.Replay(ctx, spans, replay.How{}, func(r *replay.Record) error {
		fmt.Printf("%d/%d %s=%s\n", r.Partition, r.Offset, r.Key, r.Value)
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
}
