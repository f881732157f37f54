// Command bench measures Firn beside its raw store, in one run: what a put and a
// get cost there, then a real broker process through franz-go. Ratios count;
// absolute figures are the machine's.
//
// With -put-delay Firn stands on a MinIO instead, whose puts take so much longer: a store
// that is far away.
//
// With -kafka and -pid it measures a broker that runs already, a Kafka say, with
// the same client and the same records.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/firnlog/firn/localstack"
	"github.com/firnlog/firn/localstack/faultproxy"
	"github.com/firnlog/firn/localstack/proc"
)

type flags struct {
	mib, repeat, warm, pid int
	bin, kafka, steps, dir string
	putDelay               time.Duration
}

func main() {
	var f flags
	flag.IntVar(&f.mib, "mib", 1024, "how many MiB to produce")
	flag.IntVar(&f.repeat, "repeat", 3, "how often all is done; the table has medians")
	flag.IntVar(&f.warm, "warm", 4, "how many GiB of memory are touched first: a virtual machine may get its pages from the host one by one")
	flag.StringVar(&f.bin, "bin", "", "a firn binary; empty builds one")
	flag.StringVar(&f.dir, "dir", "", "where bucket and data lie; empty is a temporary folder")
	flag.StringVar(&f.steps, "steps", "raw,idle,unbatched,produce,read,cold,beside", "what is measured")
	flag.StringVar(&f.kafka, "kafka", "", "HOST:PORT of a broker that runs already; only idle, unbatched, produce and read are measured")
	flag.IntVar(&f.pid, "pid", 0, "process id of that broker")
	flag.DurationVar(&f.putDelay, "put-delay", 0, "Firn stands on a MinIO whose puts take so much longer, without the steps that measure the file store")
	flag.Parse()
	if err := run(context.Background(), f); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, f flags) error {
	dir, err := os.MkdirTemp(f.dir, "firn-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if f.bin == "" && f.kafka == "" {
		if f.bin, err = proc.Build(ctx, dir, "-trimpath"); err != nil {
			return err
		}
	}
	values, err := text()
	if err != nil {
		return err
	}
	if err := touch(f.warm); err != nil {
		return err
	}
	r := &results{}
	for i := range f.repeat {
		b := &bench{flags: f, dir: filepath.Join(dir, fmt.Sprint(i)), values: values, results: r, topic: fmt.Sprintf("bench-%d", time.Now().UnixNano())}
		err := b.all(ctx)
		b.stop()
		if err = errors.Join(err, os.RemoveAll(b.dir)); err != nil {
			return err
		}
	}
	r.print()
	return nil
}

// text cuts Go's own source tree into values of 1 KiB.
func text() ([][]byte, error) {
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("go env GOROOT: %w", err)
	}
	var all []byte
	err = filepath.WalkDir(filepath.Join(strings.TrimSpace(string(out)), "src"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || len(all) > 32<<20 {
			return err
		}
		b, err := os.ReadFile(path)
		all = append(all, b...)
		return err
	})
	var values [][]byte
	for len(all) >= 1024 {
		values = append(values, all[:1024])
		all = all[1024:]
	}
	return values, err
}

// bench is one repetition.
type bench struct {
	flags
	*results
	dir      string
	values   [][]byte
	topic    string
	broker   *proc.Broker     // nil when it was not started here
	base     string           // URL of the store, without Firn's own part
	far      *faultproxy.Slow // nil: the store is a folder
	produced int
}

// all does the steps that were asked for.
func (b *bench) all(ctx context.Context) error {
	asked := strings.Split(b.steps, ",")
	for _, step := range []struct {
		name string
		ours bool // needs a broker of our own, on a folder
		do   func(context.Context) error
	}{
		{"raw", true, b.raw}, {"", false, b.open}, {"", false, b.start}, {"idle", false, b.idle}, {"unbatched", false, b.unbatched},
		{"produce", false, b.produce}, {"read", false, b.read}, {"cold", true, b.readCold}, {"beside", true, b.beside},
	} {
		if step.name != "" && !slices.Contains(asked, step.name) || step.ours && (b.kafka != "" || b.putDelay > 0) {
			continue
		}
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return nil
}

// open says where the store is, and starts it if it is far away.
func (b *bench) open(ctx context.Context) (err error) {
	b.base = "file://" + b.dir
	if b.putDelay > 0 && b.kafka == "" {
		for _, kv := range localstack.Env() {
			name, value, _ := strings.Cut(kv, "=")
			os.Setenv(name, value)
		}
		if b.far, err = faultproxy.StartSlow(ctx, localstack.MinIO, "127.0.0.1", b.putDelay); err != nil {
			return err
		}
		b.base = b.far.URL()
	}
	return nil
}

// start starts the broker, if it is ours, and makes the topic.
func (b *bench) start(ctx context.Context) error {
	if b.kafka == "" {
		args := []string{"--store", b.base + "/bucket", "--data-dir", filepath.Join(b.dir, "data"), "--listeners", "127.0.0.1:0", "--http", "127.0.0.1:0"}
		br, err := proc.Start(ctx, nil, b.bin, args...)
		if err != nil {
			return err
		}
		b.broker = br
	}
	if b.produced > 0 {
		return nil
	}
	cl, err := b.client()
	if err != nil {
		return err
	}
	defer cl.Close()
	_, err = kadm.NewClient(cl).CreateTopic(ctx, 16, 1, nil, b.topic)
	return err
}

func (b *bench) stop() {
	if b.broker != nil {
		b.broker.Kill()
		b.broker = nil
	}
	if b.far != nil {
		_ = b.far.Close()
		b.far = nil
	}
}

func (b *bench) client(opts ...kgo.Opt) (*kgo.Client, error) {
	addr := b.kafka
	if b.broker != nil {
		addr = b.broker.Kafka
	}
	return kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(addr), kgo.DefaultProduceTopic(b.topic), kgo.ProducerBatchCompression(kgo.NoCompression())}, opts...)...)
}
