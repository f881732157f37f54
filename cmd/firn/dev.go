package main

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/lmittmann/tint"
	"github.com/spf13/cobra"

	"github.com/firnlog/firn/broker"
	"github.com/firnlog/firn/broker/settings"
)

// dev is one run of `firn dev`.
type dev struct {
	memory, minio, anyPort, demo, verbose bool

	brokers int // how many, on one store

	// Of --minio: where it listens, and its folder.
	storeAt, storeFolder string
}

// newDev runs everything in one process, with nothing to set up.
func newDev(g *globals) *cobra.Command {
	var s *settingFlags
	d := &dev{}
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Everything in one process: broker and bucket under ./.firn",
		Long: `Run a broker for development, with its bucket in a folder (or in memory): nothing
to install, nothing to set up. Any Kafka client connects to localhost:9092.

--data-dir names the folder of bucket and hot tier, ./.firn by default; --store
takes a bucket from elsewhere, --minio starts a real MinIO, which is built from
its Go module the first time (minutes, and the go command). All settings of a broker are accepted: see
"firn help settings". Ctrl-C stops it, a second Ctrl-C at once.`,
		Example: `  firn dev
  firn dev --demo
  firn dev --memory --any-port
  firn dev --minio
  firn dev --brokers 3
  firn dev --store 's3://bucket/dev?endpoint=http://localhost:9000&path_style=true'`,
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			first, err := d.values(s)
			if err != nil {
				return err
			}
			vs, err := d.siblings(s, first)
			if err != nil {
				return err
			}
			return d.run(cmd, vs)
		},
	}
	s = addSettings(g, cmd)
	f := cmd.Flags()
	f.Lookup("data-dir").Usage = "Folder of bucket and hot tier. Default ./.firn."
	f.Lookup("log-format").Hidden = true // it is read by people
	f.BoolVar(&d.memory, "memory", false, "keep everything in memory and forget it at the end")
	f.BoolVar(&d.minio, "minio", false, "run a real MinIO as the bucket, at localhost:9000 with --data-dir's folder")
	f.IntVar(&d.brokers, "brokers", 1, "how many brokers to run on the one bucket; each has the next ports and a data folder of its own")
	f.BoolVar(&d.anyPort, "any-port", false, "take the next free ports when the usual ones are taken")
	f.BoolVar(&d.demo, "demo", false, "two topics with live traffic and a lagging group, sealed fast enough to watch")
	f.BoolVarP(&d.verbose, "verbose", "v", false, "log what the broker does")
	return cmd
}

// values are the settings of a development broker: what was given, and where
// nothing was, what suits one person at one machine.
func (d *dev) values(s *settingFlags) (*settings.Values, error) {
	over, under, err := d.sources(s)
	if err != nil {
		return nil, err
	}
	return s.values(over, under)
}

// sources are those values: what goes before all that was given, and what after.
func (d *dev) sources(s *settingFlags) (over, under map[string]string, err error) {
	given, err := s.values(nil, nil)
	if err != nil {
		return nil, nil, err
	}
	folder := "./.firn"
	if f := given.Get("data.dir"); f != "" {
		folder = f
	}
	if folder, err = filepath.Abs(folder); err != nil {
		return nil, nil, fmt.Errorf("data folder: %w", err)
	}
	under = map[string]string{
		"store":                            bucketURL(folder),
		"gossip":                           "127.0.0.1:0",
		"group.initial.rebalance.delay.ms": "0",
		"offsets.topic.num.partitions":     "8",
		"log.level":                        "warn",
	}
	if d.verbose {
		under["log.level"] = "info"
	}
	_, stored := given.Lookup("store")
	_, kept := given.Lookup("data.dir")
	if d.memory {
		if stored {
			return nil, nil, usage("--memory and --store exclude each other: memory is the store")
		}
		if kept {
			return nil, nil, usage("--memory and --data-dir exclude each other: nothing is kept")
		}
		under["store"] = "mem://"
	}
	if d.minio {
		if stored || d.memory {
			return nil, nil, usage("--minio, --memory and --store exclude each other: each is the store")
		}
		addr := minioAddress
		if d.anyPort {
			addr = freeFrom(addr)
		}
		d.storeAt, d.storeFolder = addr, filepath.Join(folder, "minio")
		under["store"] = "minio://" + addr + "/" + devBucket
	}
	store := under["store"]
	if stored {
		store = given.Get("store")
	}
	over = map[string]string{"data.dir": hotFolder(folder, store, d.minio)}
	if d.demo {
		under["seal.interval.ms"] = "5000"
	}
	if d.anyPort {
		for _, name := range []string{"listeners", "http"} {
			if _, set := given.Lookup(name); !set {
				under[name] = freeFrom(given.Get(name))
			}
		}
	}
	return over, under, nil
}

// hotFolder is where the hot tier of a store is: each store has its own, since a hot
// tier belongs to one cluster, and one can try this store and then that. Memory has
// none, because the next one is another cluster.
func hotFolder(folder, store string, minio bool) string {
	switch {
	case store == "mem://":
		return ""
	case minio: // whatever its port is this time
		return filepath.Join(folder, "data-minio")
	case store == bucketURL(folder):
		return filepath.Join(folder, "data")
	}
	return filepath.Join(folder, fmt.Sprintf("data-%08x", crc32.ChecksumIEEE([]byte(store))))
}

// bucketURL is the store in a folder.
func bucketURL(folder string) string {
	return "file://" + (&url.URL{Path: filepath.ToSlash(filepath.Join(folder, "bucket"))}).EscapedPath()
}

// freeFrom is the address, or that of the next free port.
func freeFrom(addr string) string {
	host, port, _ := net.SplitHostPort(addr)
	first, _ := strconv.Atoi(port)
	for p := first; p < first+100; p++ {
		a := net.JoinHostPort(host, strconv.Itoa(p))
		if ln, err := net.Listen("tcp", a); err == nil {
			ln.Close()
			return a
		}
	}
	return net.JoinHostPort(host, "0")
}

// run runs broker and demo until the command is interrupted: first the demo
// stops, then the broker, so that nobody is cut off.
func (d *dev) run(cmd *cobra.Command, vs []*settings.Values) error {
	var level slog.Level
	_ = level.UnmarshalText([]byte(vs[0].Get("log.level"))) // one of its names, the table says
	log := slog.New(tint.NewTextHandler(cmd.ErrOrStderr(), &tint.Options{NoColor: !isColorful(cmd.ErrOrStderr()), Level: level, TimeFormat: time.TimeOnly}))
	ctx, stop := context.WithCancel(context.WithoutCancel(cmd.Context()))
	defer stop()
	out := cmd.OutOrStdout()
	began := time.Now()
	if d.minio {
		store, err := d.startMinIO(cmd)
		if err != nil {
			return err
		}
		defer func() { // after the broker, which still puts what it flushes
			if err := store.Close(); err != nil {
				log.Warn("MinIO did not end cleanly", "err", err)
			}
		}()
	}
	pending := &flushed{}
	quiet := make(chan struct{}) // closed when the demo has ended
	if !d.demo {
		close(quiet)
	}
	served, left := make(chan struct{}), make(chan struct{})
	var asked time.Time
	go func() {
		defer close(left)
		select {
		case <-served:
			return
		case <-cmd.Context().Done():
		}
		asked = time.Now()
		select {
		case <-quiet:
		case <-served:
		case <-time.After(time.Second):
		}
		pending.begin()
		stop()
	}()
	started := false
	err := serveAll(ctx, vs, log, pending, func(as []broker.Addresses) {
		b := banner{Addresses: as[0], Others: as[1:], Values: vs[0], MinIO: d.minio, Took: time.Since(began), Demo: d.demo, Program: invocation()}
		if started = d.demo; !started {
			fmt.Fprint(out, b)
			return
		}
		go func() { // the broker serves only when this function has returned
			defer close(quiet)
			runDemo(cmd.Context(), clientAddress(as[0].Kafka), log, func() { fmt.Fprint(out, b) })
		}()
	})
	close(served)
	<-left
	if started && err == nil {
		<-quiet
	}
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%w; --any-port takes the next free ones", err)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\nStopped in %v: %s; %d bytes pending.\n", time.Since(asked).Round(time.Millisecond), pending, pending.pending.Load())
	if pending.pending.Load() > 0 {
		return errors.New("the bucket did not take what is pending: what acks=1 has acknowledged of it is in the hot tier, for the next start")
	}
	return nil
}
