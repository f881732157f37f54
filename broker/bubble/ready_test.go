package bubble

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/firnlog/firn/tier/cold/fault"
	"github.com/firnlog/firn/tier/cold/trace"
)

// readyz is what the broker says to a probe.
func (n *node) readyz() (int, string) {
	n.c.t.Helper()
	return n.page(n.at.HTTP, "/readyz")
}

// page is what the broker answers over HTTP.
func (n *node) page(at, path string) (int, string) {
	n.c.t.Helper()
	p := n.c.net.Boot("10.3.0.1")
	defer p.Kill()
	web := http.Client{Timeout: time.Minute, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(ctx context.Context, _, at string) (net.Conn, error) { return p.Dial(ctx, at) },
	}}
	r, err := web.Get("http://" + at + path)
	if err != nil {
		n.c.t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		n.c.t.Fatal(err)
	}
	return r.StatusCode, strings.TrimSpace(string(b))
}

// A bucket that takes no puts for a moment takes no broker out of service; one that takes
// none for long does, with the reason, as long as somebody waits for it. A broker that has
// nothing to put is as good as before.
func TestReadyIsWhoseRecordsGetIntoTheBucket(t *testing.T) {
	for name, plan := range map[string]fault.Plan{
		"wal":  only("wal/", fault.Fault{Kind: fault.Denied}, trace.Put),
		"puts": fault.Always(fault.Fault{Kind: fault.Unavailable}, trace.Put), // also those that begin a session
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, 1, nil, func(t *testing.T, c *cluster) {
				cl := c.client(kgo.DefaultProduceTopic("t"))
				defer cl.Close()
				if err := cl.ProduceSync(t.Context(), kgo.StringRecord("first")).FirstErr(); err != nil {
					t.Fatal(err)
				}
				expect := func(want int, why string) {
					t.Helper()
					if code, body := c.brokers[0].readyz(); code != want || !strings.Contains(body, why) {
						t.Errorf("%d %q, want %d %q", code, body, want, why)
					}
				}
				expect(200, "")
				c.store.Use(plan)
				time.Sleep(time.Minute)
				expect(200, "") // nobody writes
				done := make(chan error, 1)
				cl.Produce(t.Context(), kgo.StringRecord("second"), func(_ *kgo.Record, err error) { done <- err })
				time.Sleep(20 * time.Second)
				expect(200, "")
				time.Sleep(21 * time.Second)
				expect(503, "no put to the bucket has succeeded for 4")
				expect(503, map[string]string{"wal": "denied", "puts": "503"}[name]) // and why
				if name == "puts" {                                                  // and it is no better off without a session
					c.depose()
					time.Sleep(20 * time.Second)
					expect(503, "the bucket")
				}
				c.store.Use(usual)
				if err := <-done; err != nil {
					t.Error(err)
				}
				expect(200, "")
			})
		})
	}
}

// A broker that starts while its bucket is away lives, waits, and says so: whoever probes it
// need not kill it for that, and whoever scrapes it sees what it waits for.
func TestABrokerThatWaitsForItsBucketAnswersProbes(t *testing.T) {
	inBubble(t, 0, nil, func(t *testing.T, c *cluster) {
		c.store.Use(fault.Always(fault.Fault{Kind: fault.Unavailable}))
		n := c.add()
		ready := n.launch()
		expect := func(path string, want int, says string) {
			t.Helper()
			if code, body := n.page(n.host+":8080", path); code != want || !strings.Contains(body, says) {
				t.Errorf("%s: %d, want %d and %q in\n%s", path, code, want, says, body)
			}
		}
		time.Sleep(time.Minute)
		expect("/livez", 200, "ok")
		expect("/readyz", 503, "starting")
		expect("/metrics", 200, "\nfirn_ready 0\n")
		expect("/metrics", 200, `firn_object_requests_total{op="stat",outcome="failed"`)
		c.store.Use(usual)
		n.at = <-ready
		expect("/readyz", 200, "ok")
		expect("/metrics", 200, "\nfirn_ready 1\n")
		expect("/metrics", 200, "\nkafka_brokers 1\n")
	})
}
