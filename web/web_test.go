package web

import (
	"bytes"
	"context"
	"flag"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"go.uber.org/goleak"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/ingest"
	"github.com/firnlog/firn/ingest/pump"
	"github.com/firnlog/firn/kafka"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/cold/trace"
)

var update = flag.Bool("update", false, "write golden files")

// What the observed packages ask for.
var (
	_ kafka.Observer     = (*Wire)(nil)
	_ trace.Observer     = (*Store)(nil)
	_ pump.Observer      = (*Uploads)(nil)
	_ func(cold.Attempt) = (*Store)(nil).Attempt
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// source is a small cluster: this broker is node 1, leads orders, coordinates one
// group; node 2 leads the first partition of views, nobody the second.
type source struct {
	state    *catalog.State
	live     []Broker
	self     int32
	groups   []Group
	readings Readings
	hurt     record.Partition // it cannot be led
}

func (s *source) State() *catalog.State      { return s.state }
func (s *source) Brokers() ([]Broker, int32) { return s.live, s.self }
func (s *source) Groups() []Group            { return s.groups }
func (s *source) Readings() Readings         { return s.readings }

func (s *source) Span(p record.Partition) (int64, int64, bool) {
	c, ok := s.state.Partition(p)
	if !ok || p == s.hurt {
		return 0, 0, false
	}
	owner, ok := s.state.Session(c.Owner)
	if !ok || owner.Node != s.self {
		return 0, 0, false
	}
	return c.LogStart, c.Next + 40, true
}

var (
	orders = record.TopicID{1}
	views  = record.TopicID{2}
)

func newSource(t testing.TB) *source {
	t.Helper()
	s := catalog.NewState()
	apply := func(c catalog.Command) catalog.Result {
		r := s.Apply(s.Number()+1, []catalog.Command{c})[0]
		if r.Err != nil {
			t.Fatal(r.Err)
		}
		return r
	}
	apply(&catalog.CreateCluster{ID: "test"})
	one := apply(&catalog.RegisterSession{Node: 1, Advertised: "one:9092"}).ID
	two := apply(&catalog.RegisterSession{Node: 2, Advertised: "two:9092"}).ID
	apply(&catalog.CreateTopic{ID: orders, Name: "orders", Replicas: 3, Owners: []uint64{one, one}})
	apply(&catalog.CreateTopic{ID: views, Name: "views", Replicas: 1, Owners: []uint64{two, 0}})
	return &source{
		state: s, self: 1, live: []Broker{{1, "one:9092", 1 << 20}, {2, "two:9092", 0}},
		groups: []Group{{ID: "billing", Members: 2, Offsets: []Committed{
			{"orders", 0, 30, 40}, {"orders", 1, 40, 40}, {"views", 0, 7, -1},
		}}},
		readings: Readings{
			Caches:   []Cache{{"hot", 10, 2, 1000, 5000}, {"tail", 90, 12, 9000, 100}},
			HotState: "full", HotGenerations: 2, FromBucket: 77, Gets: 6,
		},
	}
}

// eventful is metrics to which everything has happened once.
func eventful(t testing.TB, s Source) *Metrics {
	t.Helper()
	now := time.Unix(1000, 0)
	m := NewMetrics(MetricsOptions{Version: "1.2.3", Source: s, Ready: &Readiness{}, Now: func() time.Time { return now }})
	m.Wire.Connected(1)
	m.Wire.Connected(1)
	m.Wire.Connected(-1)
	m.Wire.Refused("connections")
	m.Wire.Answered("Produce", 11, 1000, 50, 3*time.Millisecond)
	m.Wire.Malformed("")
	m.Store.Began(trace.Put)
	m.Store.Ended(trace.Event{Op: trace.Put, Name: "catalog/journal/00000000000000000007", Bytes: 300, Took: 20 * time.Millisecond, Outcome: trace.Exists, Err: cold.ErrExists})
	m.Store.Began(trace.Get)
	m.Store.Ended(trace.Event{Op: trace.Get, Name: "wal/1/0", Bytes: 12, Took: time.Millisecond, Outcome: trace.Denied, Err: cold.ErrDenied})
	for _, name := range []string{"doctor/1/x", "wal/1/0"} {
		m.Store.Began(trace.Delete)
		m.Store.Ended(trace.Event{Op: trace.Delete, Name: name, Took: time.Millisecond})
	}
	m.Store.Attempt(cold.Attempt{Number: 1})
	m.Store.Attempt(cold.Attempt{Number: 2})
	m.Store.Attempt(cold.Attempt{Number: 1, Hedge: true})
	m.Store.Attempt(cold.Attempt{Number: 2, Peek: true})
	m.Uploads.Put(ingest.Mine, 4096, 15*time.Millisecond)
	m.Uploads.Committed(100, 4000, 3, 30*time.Millisecond)
	m.Uploads.HotSkipped(4096, nil)
	m.Uploads.Lost(5)
	m.Uploads.Pending(8192, 2*time.Second)
	now = now.Add(time.Second)
	m.Traffic.Produced(orders, 100, 4000)
	m.Traffic.Fetched(orders, 300, 12000)
	m.Traffic.Cold(orders, 700)
	m.Traffic.Produced(record.TopicID{9}, 1, 1) // deleted meanwhile
	return m
}

func get(t testing.TB, h http.Handler, path string) (int, string, http.Header) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Code, w.Body.String(), w.Header()
}

func TestTheMetricsPageShowsEverythingThatHappened(t *testing.T) {
	s := NewServer(ServerOptions{Metrics: eventful(t, newSource(t))})
	for path, golden := range map[string]string{"/metrics": "metrics.txt", "/metrics/lag": "lag.txt"} {
		code, body, _ := get(t, s, path)
		if code != 200 {
			t.Fatalf("%s: %d %s", path, code, body)
		}
		body = withoutBuckets(body)
		file := filepath.Join("testdata", golden)
		if *update {
			if err := os.WriteFile(file, []byte(body), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil || string(want) != body {
			t.Errorf("%s is not as %s (%v); go test ./web -update writes it\n%s", path, file, err, body)
		}
	}
}

// withoutBuckets leaves out the lines of histograms' buckets and the Go version.
func withoutBuckets(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if strings.Contains(line, "_bucket{") {
			continue
		}
		if i := strings.Index(line, `go="`); i >= 0 {
			line = line[:i] + "go=…" + line[strings.LastIndex(line, `,version`):]
		}
		b.WriteString(line)
	}
	return b.String()
}

func TestNamesFollowTheRulesAndHelpSaysWhatToDo(t *testing.T) {
	s := NewServer(ServerOptions{Metrics: eventful(t, newSource(t))})
	_, body, _ := get(t, s, "/metrics")
	problems, err := promlint.New(strings.NewReader(body)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "kafka_consumergroup_") && strings.HasSuffix(p.Metric, "_sum") {
			continue // kafka_exporter's name
		}
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	for line := range strings.Lines(body) {
		rest, ok := strings.CutPrefix(line, "# HELP ")
		if !ok {
			continue
		}
		name, help, _ := strings.Cut(strings.TrimSpace(rest), " ")
		if !strings.HasPrefix(name, "firn_") && !strings.HasPrefix(name, "kafka_") {
			t.Errorf("%s: neither kafka_ nor firn_", name)
		}
		if len(help) < 30 || !strings.HasSuffix(help, ".") {
			t.Errorf("%s: its help does not help: %q", name, help)
		}
	}
}

// A broker that starts is scraped before its parts are there, and meanwhile.
func TestWhatABrokerCanTellComesWhenItCan(t *testing.T) {
	var r Readiness
	m := NewMetrics(MetricsOptions{Ready: &r})
	s := NewServer(ServerOptions{Metrics: m, Ready: &r})
	m.Traffic.Produced(orders, 1, 1)
	if code, body, _ := get(t, s, "/metrics"); code != 200 || !strings.Contains(body, "\nfirn_ready 0\n") || strings.Contains(body, "kafka_brokers") {
		t.Errorf("%d\n%s", code, body)
	}
	m.Show(newSource(t))
	r.Ready()
	_, body, _ := get(t, s, "/metrics")
	for _, want := range []string{"firn_ready 1", "kafka_brokers 2", `firn_kafka_produced_records_total{topic="orders"} 1`} {
		if !strings.Contains(body, "\n"+want+"\n") {
			t.Errorf("no %q in\n%s", want, body)
		}
	}
	if _, body, _ := get(t, s, "/metrics/lag"); !strings.Contains(body, "kafka_consumergroup_lag{") {
		t.Error(body)
	}
}

// M1: the numbers of two brokers add up to the cluster's.
func TestAddedUpOverBrokersEverythingCountsOnce(t *testing.T) {
	s := newSource(t)
	other := *s
	other.self, other.groups = 2, nil
	var both string
	for _, src := range []*source{s, &other} {
		_, body, _ := get(t, NewServer(ServerOptions{Metrics: NewMetrics(MetricsOptions{Source: src})}), "/metrics")
		both += body
	}
	for series, want := range map[string]int{
		"kafka_brokers ": 1, `kafka_topic_partitions{topic="orders"}`: 1, `kafka_topic_partition_current_offset{`: 4, `kafka_topic_partition_leader{`: 4,
		`kafka_topic_partition_leader{partition="1",topic="views"} -1`: 1, `kafka_topic_partition_leader{partition="0",topic="views"} 2`: 1,
		`kafka_consumergroup_members{`: 1, `firn_tier_bytes{tier="bucket"}`: 1, "firn_partitions_led ": 2,
	} {
		if got := strings.Count(both, "\n"+series); got != want {
			t.Errorf("%s: %d times, want %d", series, got, want)
		}
	}
}

// A partition that its owner cannot lead has no leader, and shows so once.
func TestAPartitionThatCannotBeLedShows(t *testing.T) {
	s := newSource(t)
	s.hurt = record.Partition{Topic: views}
	other := *s
	other.self, other.groups = 2, nil
	var both string
	for _, src := range []*source{s, &other} {
		_, body, _ := get(t, NewServer(ServerOptions{Metrics: NewMetrics(MetricsOptions{Source: src})}), "/metrics")
		both += body
	}
	for _, series := range []string{
		`kafka_topic_partition_leader{partition="0",topic="views"} -1`, `kafka_topic_partition_under_replicated_partition{partition="0",topic="views"} 1`,
	} {
		if got := strings.Count(both, "\n"+series); got != 1 {
			t.Errorf("%s: %d times", series, got)
		}
	}
}

func TestManyGroupsDoNotMakeTheScrapeExpensive(t *testing.T) {
	s := newSource(t)
	s.groups = []Group{{ID: "wide"}}
	for p := range int32(maxLagSeries + 1) {
		s.groups[0].Offsets = append(s.groups[0].Offsets, Committed{"orders", p, 1, 3})
	}
	h := NewServer(ServerOptions{Metrics: NewMetrics(MetricsOptions{Source: s})})
	_, cheap, _ := get(t, h, "/metrics")
	_, all, _ := get(t, h, "/metrics/lag")
	if strings.Contains(cheap, "kafka_consumergroup_lag{") || !strings.Contains(cheap, "firn_metrics_lag_omitted_series 5001") || !strings.Contains(cheap, `kafka_consumergroup_lag_sum{consumergroup="wide",topic="orders"} 10002`) {
		t.Error("5001 series are in the page, or the sums or the count of what is omitted are not")
	}
	if n := strings.Count(all, "\nkafka_consumergroup_lag{"); n != maxLagSeries+1 {
		t.Errorf("/metrics/lag has %d of them", n)
	}
}

func TestTheAgeOfWhatWaitsGrowsWhileNobodyReports(t *testing.T) {
	now := time.Unix(1000, 0)
	u := NewMetrics(MetricsOptions{Now: func() time.Time { return now }}).Uploads
	u.Pending(1, time.Second)
	now = now.Add(10 * time.Second)
	if u.age() != 11 {
		t.Errorf("%v, want 11", u.age())
	}
	u.Pending(0, 0)
	now = now.Add(time.Second)
	if u.age() != 0 {
		t.Errorf("%v with nothing waiting", u.age())
	}
}

func TestObserversDoNotAllocate(t *testing.T) {
	m := eventful(t, newSource(t))
	for name, f := range map[string]func(){
		"answered":  func() { m.Wire.Answered("Produce", 11, 1, 1, time.Millisecond) },
		"put":       func() { m.Uploads.Put(ingest.Mine, 1, time.Millisecond) },
		"committed": func() { m.Uploads.Committed(1, 1, 1, time.Millisecond) },
		"produced":  func() { m.Traffic.Produced(orders, 1, 1) },
		"ended":     func() { m.Store.Began(trace.Get); m.Store.Ended(trace.Event{Op: trace.Get}) },
	} {
		if n := testing.AllocsPerRun(100, f); n > 1 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}

func TestProbes(t *testing.T) {
	var r Readiness
	s := NewServer(ServerOptions{Metrics: NewMetrics(MetricsOptions{}), Ready: &r})
	expect := func(path string, code int, text string) {
		t.Helper()
		if c, body, _ := get(t, s, path); c != code || !strings.Contains(body, text) {
			t.Errorf("%s: %d %q, want %d %q", path, c, body, code, text)
		}
	}
	expect("/livez", 200, "ok") // M4: also while it starts
	expect("/readyz", 503, "starting")
	r.Ready()
	expect("/readyz", 200, "ok")
	expect("/healthz", 200, "ok")
	r.Not("draining")
	expect("/readyz", 503, "draining")
	expect("/healthz", 503, "draining")
	expect("/livez", 200, "ok")
	expect("/", 200, "not ready: draining")
	expect("/nothing", 404, "")
	expect("/debug/pprof/", 404, "")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/metrics", nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", w.Code)
	}
}

func TestProfilesAreServedWhenAskedForOnly(t *testing.T) {
	s := NewServer(ServerOptions{Metrics: NewMetrics(MetricsOptions{}), Pprof: true})
	if c, body, _ := get(t, s, "/debug/pprof/"); c != 200 || !strings.Contains(body, "goroutine") {
		t.Error(c, body)
	}
	if _, body, _ := get(t, s, "/"); !strings.Contains(body, "/debug/pprof/") {
		t.Error("the start page does not list it")
	}
}

func TestTheStartPageEscapesWhatItShows(t *testing.T) {
	s := NewServer(ServerOptions{Metrics: NewMetrics(MetricsOptions{})})
	s.Tell([][2]string{{"Bucket", "s3://b/<script>"}})
	_, body, h := get(t, s, "/")
	if strings.Contains(body, "<script>") || !strings.Contains(body, "&lt;script&gt;") || h.Get("Content-Security-Policy") == "" {
		t.Error(body)
	}
	for _, path := range []string{"/metrics", "/metrics/lag", "/livez", "/readyz"} {
		if !strings.Contains(body, `href="`+path+`"`) {
			t.Errorf("%s is not listed", path)
		}
	}
}

func TestServeEndsWithItsContext(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	m := NewMetrics(MetricsOptions{Process: true})
	go func() { done <- NewServer(ServerOptions{Metrics: m}).Serve(ctx, ln) }()
	c := http.Client{Transport: &http.Transport{}}
	defer c.CloseIdleConnections()
	resp, err := c.Get("http://" + ln.Addr().String() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if !bytes.Contains(body, []byte("go_goroutines")) {
		t.Error("the process is not measured")
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", ln.Addr().String()); err == nil {
		t.Error("the listener is open")
	}
}
