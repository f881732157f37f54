//go:build ring4

package ring4

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/firnlog/firn/localstack"
	"github.com/firnlog/firn/localstack/cluster"
	"github.com/firnlog/firn/localstack/proc"
)

// record is one acknowledged record: where the broker said it is.
type acked struct {
	partition int32
	offset    int64
}

// TestNothingAcknowledgedIsLostByKills kills the broker at random moments while
// idempotent producers write with acks=all, restarting it on its disk and on an
// empty one in turn. Afterwards every acknowledged record is there once, at the
// offset that was acknowledged, and nothing is there twice.
func TestNothingAcknowledgedIsLostByKills(t *testing.T) {
	kills, rng := killCount(t, 30), rng(t)
	s := newStack(t)
	s.start(t)
	const topic, partitions, producers = "kills", 8, 4
	adm := kadm.NewClient(client(t, s.addr))
	if _, err := adm.CreateTopic(t.Context(), partitions, 1, nil, topic); err != nil {
		t.Fatal(err)
	}

	var mu sync.Mutex
	got := map[string]acked{}
	var failed, sent atomic.Int64
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for p := range producers {
		wg.Go(func() {
			cl := client(t, s.addr, kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.RoundRobinPartitioner()),
				kgo.ProducerLinger(time.Duration(p)*time.Millisecond), kgo.MaxBufferedRecords(2000))
			for i := 0; ctx.Err() == nil; i++ {
				v := fmt.Sprintf("%d-%d-%0*d", p, i, 20+i%300, i)
				sent.Add(1)
				cl.Produce(context.Background(), &kgo.Record{Value: []byte(v)}, func(r *kgo.Record, err error) {
					if err != nil {
						failed.Add(1)
						return
					}
					mu.Lock()
					got[string(r.Value)] = acked{r.Partition, r.Offset}
					mu.Unlock()
				})
				if i%50 == 0 {
					time.Sleep(time.Millisecond)
				}
			}
			fctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
			defer cancel()
			if err := cl.Flush(fctx); err != nil {
				t.Errorf("producer %d: %v", p, err)
			}
		})
	}
	for k := range kills {
		time.Sleep(time.Duration(50+rng.IntN(900)) * time.Millisecond)
		s.kill()
		if wipe := os.Getenv("RING4_WIPE"); wipe == "always" || wipe == "" && k%2 == 1 {
			s.wipe(t)
		}
		s.start(t)
	}
	time.Sleep(time.Second)
	stop()
	wg.Wait()
	t.Logf("%d sent, %d acknowledged, %d failed, restart %v", sent.Load(), len(got), failed.Load(), s.broker.ReadyAfter)
	if len(got) == 0 {
		t.Fatal("nothing was acknowledged: the test showed nothing")
	}

	// One more life, on an empty disk: the bucket alone has it all.
	s.kill()
	s.wipe(t)
	s.start(t)
	check(t, s.addr, topic, got)
	s.stop(t)
	s.verify(t)
}

// check consumes the topic from the start and compares it with what was acknowledged.
func check(t *testing.T, addr, topic string, want map[string]acked) {
	t.Helper()
	adm := kadm.NewClient(client(t, addr))
	ends, err := adm.ListEndOffsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	left := int64(0)
	ends.Each(func(o kadm.ListedOffset) { left += o.Offset })
	cl := client(t, addr, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	seen := map[string]acked{}
	next := map[int32]int64{}
	for left > 0 {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		fs := cl.PollFetches(ctx)
		cancel()
		if errs := fs.Errors(); len(errs) > 0 {
			t.Fatalf("%d records left: %v", left, errs)
		}
		fs.EachRecord(func(r *kgo.Record) {
			left--
			if r.Offset != next[r.Partition] {
				t.Errorf("partition %d: offset %d follows %d", r.Partition, r.Offset, next[r.Partition]-1)
			}
			next[r.Partition] = r.Offset + 1
			if o, ok := seen[string(r.Value)]; ok {
				t.Errorf("%.20q is there twice: %+v and partition %d offset %d (producer %d epoch %d)", r.Value, o, r.Partition, r.Offset, r.ProducerID, r.ProducerEpoch)
			}
			seen[string(r.Value)] = acked{r.Partition, r.Offset}
		})
	}
	lost := 0
	for v, w := range want {
		g, ok := seen[v]
		if !ok || g != w {
			if lost++; lost < 10 {
				t.Errorf("%q was acknowledged at %+v and is at %+v (there: %v)", v, w, g, ok)
			}
		}
	}
	if lost > 0 {
		t.Errorf("%d of %d acknowledged records are lost or moved", lost, len(want))
	}
	t.Logf("%d records read, %d acknowledged ones among them", len(seen), len(want))
}

// stack is one broker on one bucket, restarted at the same addresses.
type stack struct {
	bin, store, data, addr string
	args                   []string
	env                    []string       // more of the environment
	host                   string         // of its listeners
	space                  *cluster.Space // its network namespace, or nil
	broker                 *proc.Broker
	log                    *os.File
}

var (
	buildOnce sync.Once
	builtBin  string
	buildErr  error
	builtIn   string // folder, which TestMain removes
)

func binary(t *testing.T) string {
	t.Helper()
	buildOnce.Do(func() {
		if builtBin = os.Getenv("RING4_BIN"); builtBin != "" {
			return
		}
		if builtIn, buildErr = os.MkdirTemp("", "firn-ring4-"); buildErr == nil {
			builtBin, buildErr = proc.Build(context.Background(), builtIn)
		}
	})
	if buildErr != nil {
		t.Fatal(buildErr)
	}
	return builtBin
}

func newStack(t *testing.T, args ...string) *stack {
	t.Helper()
	dir := t.TempDir()
	log, err := os.Create(filepath.Join(dir, "broker.log"))
	if err != nil {
		t.Fatal(err)
	}
	addr, err := localstack.Address("127.0.0.1") // it is killed and comes back
	if err != nil {
		t.Fatal(err)
	}
	s := &stack{bin: binary(t), store: "file://" + filepath.Join(dir, "bucket"), data: filepath.Join(dir, "data"), addr: addr, host: "127.0.0.1", args: args, log: log}
	if base := os.Getenv("RING4_STORE"); base != "" { // a real bucket: minio://host:port/bucket/prefix
		s.store = fmt.Sprintf("%s/%d", base, time.Now().UnixNano())
	}
	hang := time.AfterFunc(patience(t), func() { s.hangs(t) })
	t.Cleanup(func() {
		hang.Stop()
		if s.broker != nil {
			s.broker.Kill()
		}
		if keep := os.Getenv("RING4_LOGS"); keep != "" { // a folder that takes them, however it ends
			b, _ := os.ReadFile(log.Name())
			if err := os.MkdirAll(keep, 0o755); err != nil {
				t.Error(err)
			}
			if err := os.WriteFile(filepath.Join(keep, strings.ReplaceAll(s.addr, ":", "_")+".log"), b, 0o644); err != nil {
				t.Error(err)
			}
		}
		if t.Failed() {
			b, _ := os.ReadFile(log.Name())
			if len(b) > 20000 {
				b = b[len(b)-20000:]
			}
			t.Logf("broker log:\n%s", b)
		}
		log.Close()
	})
	return s
}

func (s *stack) start(t *testing.T) {
	t.Helper()
	if err := s.launch(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// launch is start for other goroutines than the test's.
func (s *stack) launch(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	args := append([]string{"--store", s.store, "--data-dir", s.data, "--listeners", s.addr, "--http", "127.0.0.1:0", "--gossip", s.host + ":0"}, s.args...)
	bin, args := s.bin, append([]string{"broker"}, args...)
	if s.space != nil {
		bin, args = s.space.Command(bin, args...)
	}
	b, err := proc.StartEnv(ctx, s.log, s.env, bin, args...)
	if err != nil {
		return err
	}
	s.broker, s.addr = b, b.Kafka
	return nil
}

func (s *stack) kill() { s.broker.Kill() }

func (s *stack) wipe(t *testing.T) {
	t.Helper()
	if err := os.RemoveAll(s.data); err != nil {
		t.Fatal(err)
	}
}

func (s *stack) stop(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := s.broker.Stop(ctx); err != nil {
		t.Error(err)
	}
}

// patient are the options of a client that waits for brokers to come back.
func patient(addr string) []kgo.Opt {
	return []kgo.Opt{kgo.SeedBrokers(addr), kgo.RequestRetries(1000), kgo.RecordDeliveryTimeout(2 * time.Minute), kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond })}
}

func client(t *testing.T, addr string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append(patient(addr), opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}
