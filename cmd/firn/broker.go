package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"

	"github.com/firnlog/firn/broker"
	"github.com/firnlog/firn/broker/settings"
)

// newBroker runs one broker until it is asked to stop. The ready line is a
// contract with scripts.
func newBroker(g *globals) *cobra.Command {
	var s *settingFlags
	cmd := &cobra.Command{
		Use:   "broker --store URL",
		Short: "Run one of N identical brokers",
		Long: `Run a broker. Brokers are identical and keep nothing that the bucket does not have:
any of them may be killed at any time.

Every setting is a flag, a pair of -X, a FIRN_… variable and a key of the file that
--config names; the first of these wins, in that order. "firn help settings" lists
all of them. Credentials of the bucket come from the AWS chain: AWS_ACCESS_KEY_ID
and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or the machine's role.

When the broker serves, it prints one line:

  ready kafka=HOST:PORT http=HOST:PORT gossip=HOST:PORT node=N

The first SIGTERM or Ctrl-C drains it, the second one ends it at once.`,
		Example: `  firn broker --store 's3://bucket/prefix?region=eu-central-1' --data-dir /var/lib/firn --listeners 0.0.0.0:9092
  firn broker --store file:///tmp/bucket --listeners 127.0.0.1:0 -X num.partitions=8
  firn broker --config /etc/firn.yaml`,
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v, err := s.values(nil, nil)
			if err != nil {
				return err
			}
			if v.Get("store") == "" {
				return usage("--store is not set: want s3://bucket/prefix, minio://host:port/bucket/prefix, file:///dir or mem://")
			}
			return serve(cmd.Context(), v, logger(v, cmd.ErrOrStderr()), nil, func(a broker.Addresses) {
				fmt.Fprintln(cmd.OutOrStdout(), "ready "+a.String())
			})
		},
	}
	s = addSettings(g, cmd)
	return cmd
}

// leanGC is the garbage collector's target (GOGC) of a process that is a broker, or that
// reads a whole bucket. Its heap is nearly all buffers, without pointers and reused, so that a collection
// costs little and a heap of twice the live bytes is memory for nothing: measured, a
// third of the anonymous memory under load and no more CPU (docs/benchmarks.md).
const leanGC = 30

func leanHeap() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(leanGC)
	}
}

// serve opens the store and runs a broker on it until ctx ends. watch, when not nil,
// counts what is flushed and what is not. The log has a line for each step of its life.
func serve(ctx context.Context, v *settings.Values, log *slog.Logger, watch *flushed, ready func(broker.Addresses)) error {
	leanHeap()
	store, place, err := broker.OpenStore(ctx, v.Get("store"))
	if err != nil {
		return &exit{exitUsage, err}
	}
	o := broker.Options{Settings: v, Store: store, Place: place, Logger: log, Version: programVersion()}
	if watch != nil {
		o.Store, o.Left = watch.watch(store), watch.left
	}
	log.Info("starting", "version", o.Version, "store", place.String(), "data.dir", v.Get("data.dir"))
	var asked time.Time
	told := make(chan struct{})
	unwatch := context.AfterFunc(ctx, func() {
		defer close(told)
		asked = time.Now()
		log.Info("asked to stop: giving partitions to other brokers, and what waits to the bucket", "drain.timeout.ms", v.Get("drain.timeout.ms"))
	})
	err = broker.Run(ctx, o, func(a broker.Addresses) {
		log.Info("serving", "node", a.Node, "kafka", a.Kafka, "http", a.HTTP, "gossip", a.Gossip)
		ready(a)
	})
	if !unwatch() {
		<-told // it may stop faster than it says that it was asked to
		if err == nil {
			log.Info("stopped", "took", time.Since(asked))
		}
	}
	return err
}
