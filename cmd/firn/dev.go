package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"time"

	"github.com/lmittmann/tint"
	"github.com/spf13/cobra"

	"github.com/firnlog/firn/broker"
	"github.com/firnlog/firn/broker/settings"
)

func newDev(_ *globals) *cobra.Command {
	var s *settingFlags
	var memory, anyPort, demo, verbose bool
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Everything in one process: broker and store under ./.firn",
		Long: `Run a broker for development, with its bucket in a folder (or in memory): nothing
to install, nothing to set up. Any Kafka client connects to localhost:9092.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v, err := devValues(s, memory, anyPort, demo)
			if err != nil {
				return err
			}
			level := slog.LevelWarn
			if verbose {
				level = slog.LevelInfo
			}
			errOut := cmd.ErrOrStderr()
			log := slog.New(tint.NewHandler(errOut, &tint.Options{NoColor: !isTerminal(errOut), Level: level, TimeFormat: time.TimeOnly}))
			began := time.Now()
			out := cmd.OutOrStdout()
			ctx, cancel := context.WithCancel(cmd.Context())
			defer cancel()
			demoDone := make(chan struct{})
			close(demoDone)
			err = serve(ctx, v, log, func(a broker.Addresses) {
				banner(out, v, a, time.Since(began), demo)
				if demo {
					demoDone = make(chan struct{})
					go func() {
						defer close(demoDone)
						runDemo(ctx, a.Kafka, log)
					}()
				}
			})
			cancel()
			<-demoDone
			if err != nil {
				return err
			}
			fmt.Fprintln(out, "\nStopped. Everything acknowledged is in the store: 0 bytes pending.")
			return nil
		},
	}
	s = addSettings(cmd)
	f := cmd.Flags()
	f.BoolVar(&memory, "memory", false, "keep everything in memory and forget it at the end")
	f.BoolVar(&anyPort, "any-port", false, "take the next free ports when the usual ones are taken")
	f.BoolVar(&demo, "demo", false, "two topics with live traffic and a lagging group, sealed fast enough to watch")
	f.BoolVarP(&verbose, "verbose", "v", false, "log what the broker does")
	return cmd
}

// devValues are the settings of a development broker.
func devValues(s *settingFlags, memory, anyPort, demo bool) (*settings.Values, error) {
	under := map[string]string{
		"data.dir":                         "./.firn/data",
		"group.initial.rebalance.delay.ms": "0",
		"offsets.topic.num.partitions":     "8",
		"gossip":                           "127.0.0.1:0",
	}
	v, err := s.values(nil)
	if err != nil {
		return nil, err
	}
	dir := "./.firn"
	if d, ok := v.Lookup("data.dir"); ok {
		dir = d
		under["data.dir"] = d
	}
	switch _, set := v.Lookup("store"); {
	case memory && set:
		return nil, usage("--memory and --store exclude each other")
	case memory:
		under["store"], under["data.dir"] = "mem://", ""
	default:
		abs, err := filepath.Abs(dir)
		if err != nil {
			return nil, fmt.Errorf("data folder: %w", err)
		}
		under["store"] = "file://" + filepath.Join(abs, "bucket")
		if _, ok := v.Lookup("data.dir"); ok {
			under["data.dir"] = filepath.Join(abs, "data")
		}
	}
	if demo {
		under["seal.interval.ms"] = "5000"
	}
	if anyPort {
		for name, usual := range map[string]string{"listeners": "127.0.0.1:9092", "http": "127.0.0.1:8080"} {
			if _, set := v.Lookup(name); !set {
				under[name] = freeNear(usual)
			}
		}
	}
	// The data folder is a sub-folder of what --data-dir names: the flag must not
	// win over it.
	if s.cmd.Flags().Lookup("data-dir").Changed {
		dirFlag := s.cmd.Flags().Lookup("data-dir")
		if err := dirFlag.Value.Set(under["data.dir"]); err != nil {
			return nil, err
		}
	}
	return s.values(under)
}

// freeNear is the address, or the next port of it that is free.
func freeNear(addr string) string {
	host, port, _ := net.SplitHostPort(addr)
	n, _ := net.LookupPort("tcp", port)
	for p := n; p < n+100; p++ {
		a := net.JoinHostPort(host, fmt.Sprint(p))
		if ln, err := net.Listen("tcp", a); err == nil {
			ln.Close()
			return a
		}
	}
	return net.JoinHostPort(host, "0")
}

func banner(out io.Writer, v *settings.Values, a broker.Addresses, took time.Duration, demo bool) {
	store := v.Get("store")
	where := v.Get("data.dir")
	if where == "" {
		where = "nothing on disk"
	}
	topic := "greetings"
	if demo {
		topic = "orders"
	}
	fmt.Fprintf(out, `
  Firn is ready (%d ms)

    Kafka      %s
    HTTP       http://%s   (/metrics, /livez, /readyz)
    Bucket     %s
    Hot tier   %s

  Try it:

    echo hello | go run ./cmd/firn produce %s --brokers %s
    kcat -b %s -t %s -C -o beginning -e
    kgo.NewClient(kgo.SeedBrokers(%q), kgo.ConsumeTopics(%q))   // any Kafka client

`, took.Milliseconds(), a.Kafka, a.HTTP, redact(store), where, topic, a.Kafka, a.Kafka, topic, a.Kafka, topic)
	if store != "mem://" {
		fmt.Fprintf(out, "  A second broker on the same bucket:\n\n    go run ./cmd/firn broker --store '%s' --data-dir %s-2 --listeners 127.0.0.1:0 --http 127.0.0.1:0\n\n", redact(store), where)
	}
	fmt.Fprint(out, "  Ctrl-C stops it; what was acknowledged stays.\n\n")
}

func redact(url string) string { return broker.RedactURL(url) }
