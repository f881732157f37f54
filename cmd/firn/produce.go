package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"
)

func newProduce(g *globals) *cobra.Command {
	var format, key, codec, output string
	var headers []string
	var partition int32
	var acks string
	cmd := &cobra.Command{
		Use:   "produce TOPIC",
		Short: "Produce records from standard input",
		Long: `Produce records from standard input, one a line unless --record-format says otherwise.
The % verbs are those of rpk and kcl: %k key, %v value, %h headers, %t topic, %p partition.`,
		Example: `  echo hello | firn produce greetings
  firn produce orders -f '%k %v\n' < orders.txt`,
		Args:              exactArgs(1, "the name of one topic"),
		ValidArgsFunction: completeTopics(g),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts := []kgo.Opt{kgo.DefaultProduceTopic(args[0]), kgo.AllowAutoTopicCreation(), kgo.RecordDeliveryTimeout(g.timeout)}
			if cmd.Flags().Changed("partition") {
				opts = append(opts, kgo.RecordPartitioner(kgo.ManualPartitioner()))
			}
			switch acks {
			case "all", "-1":
			case "1":
				opts = append(opts, kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite())
			case "0":
				opts = append(opts, kgo.RequiredAcks(kgo.NoAck()), kgo.DisableIdempotentWrite())
			default:
				return usage("--acks %q: want all, 1 or 0", acks)
			}
			codecs := map[string]kgo.CompressionCodec{"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression()}
			c, ok := codecs[codec]
			if !ok {
				return usage("--compression %q: want none, gzip, snappy, lz4 or zstd", codec)
			}
			opts = append(opts, kgo.ProducerBatchCompression(c))
			var hs []kgo.RecordHeader
			for _, h := range headers {
				k, v, ok := strings.Cut(h, ":")
				if !ok {
					return usage("--header %q: want key:value", h)
				}
				hs = append(hs, kgo.RecordHeader{Key: k, Value: []byte(v)})
			}
			reader, err := kgo.NewRecordReader(cmd.InOrStdin(), format)
			if err != nil {
				return usage("--record-format %q: %w", format, err)
			}
			var formatter *kgo.RecordFormatter
			if output != "" {
				if formatter, err = kgo.NewRecordFormatter(output); err != nil {
					return usage("--output-format %q: %w", output, err)
				}
			}
			cl, err := g.client(opts...)
			if err != nil {
				return err
			}
			defer cl.Close()
			var failed atomic.Pointer[error]
			for failed.Load() == nil {
				r, err := reader.ReadRecord()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					return fmt.Errorf("standard input: %w", err)
				}
				if key != "" {
					r.Key = []byte(key)
				}
				r.Partition = partition
				r.Headers = append(r.Headers, hs...)
				r.Topic = args[0]
				cl.Produce(cmd.Context(), r, func(r *kgo.Record, err error) {
					if err != nil {
						failed.CompareAndSwap(nil, &err)
					} else if formatter != nil {
						_, _ = cmd.OutOrStdout().Write(formatter.AppendRecord(nil, r))
					}
				})
			}
			if err := cl.Flush(cmd.Context()); err != nil {
				return g.explain(err)
			}
			if err := failed.Load(); err != nil {
				return g.explain(fmt.Errorf("produce to %s: %w", args[0], *err))
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVarP(&format, "record-format", "f", "%v\n", "how a record is read: % verbs")
	f.StringVarP(&output, "output-format", "o", "", "print each acknowledged record: % verbs, for example '%p %o\\n'")
	f.StringVarP(&key, "key", "k", "", "key of every record")
	f.StringArrayVarP(&headers, "header", "H", nil, "a header of every record: key:value")
	f.Int32VarP(&partition, "partition", "p", 0, "the partition to produce to")
	f.StringVarP(&codec, "compression", "z", "none", "none, gzip, snappy, lz4 or zstd")
	f.StringVar(&acks, "acks", "all", "all: in the bucket; 1: synced by the leader; 0: unknown")
	return cmd
}
