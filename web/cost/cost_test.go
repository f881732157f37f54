package cost

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
)

// page is a broker's metrics after uptime seconds.
func page(uptime float64, lines string) string {
	return "# TYPE firn_build_info gauge\nfirn_build_info{go=\"go1\",version=\"v1\"} 1\n# TYPE firn_uptime_seconds gauge\n" +
		fmt.Sprintf("firn_uptime_seconds %v\n", uptime) + lines
}

func sample(t *testing.T, text string) *Sample {
	t.Helper()
	s, err := Read(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func prices(t *testing.T) *Prices {
	t.Helper()
	p, err := ParsePrices(nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-9*max(math.Abs(a), math.Abs(b), 1) }

// A month at 4 puts a second is what the documentation of S3 says it is: by hand.
func TestABillIsWhatOneWouldReckonByHand(t *testing.T) {
	var m Measurement
	m.Add(nil, sample(t, page(1000, `
firn_object_requests_total{op="put",outcome="ok",reason="ok"} 5000
firn_object_requests_total{op="put",outcome="answered",reason="exists"} 100
firn_object_requests_total{op="put",outcome="failed",reason="unknown"} 700
firn_object_requests_total{op="get",outcome="ok",reason="ok"} 3000
firn_object_requests_total{op="list",outcome="ok",reason="ok"} 10
firn_object_requests_total{op="delete",outcome="ok",reason="ok"} 999
firn_catalog_cas_attempts_total 1100
firn_read_gets_total 2000
firn_kafka_produced_bytes_total{topic="orders"} 300
firn_kafka_produced_bytes_total{topic="views"} 100
firn_kafka_fetched_bucket_bytes_total{topic="views"} 5
firn_topic_bytes{topic="orders"} 1.073741824e+11
firn_topic_bytes{topic="old"} 1.073741824e+10
firn_cache_hits_total{tier="tail"} 50
kafka_brokers 3
`)))
	b := m.Price(prices(t))
	const months = 730 * 3600 / 1000.0 // what was measured fits so often into a month
	want := map[string][4]float64{     // puts, gets, storage, other
		"orders": {3000, 0, 100 * 0.023, 0}, "views": {1000, 2000, 0, 0}, "old": {0, 0, 10 * 0.023, 0},
	}
	for _, l := range b.Topics {
		w := want[l.Topic]
		put, get := w[0]*months/1000*0.005, w[1]*months/1000*0.0004
		if !near(l.Puts, w[0]*months) || !near(l.Gets, w[1]*months) || !near(l.StoredCost, w[2]) || !near(l.PutCost, put) || !near(l.GetCost, get) || !near(l.Cost, put+get+w[2]) {
			t.Errorf("%+v", l)
		}
	}
	if b.Topics[0].Topic != "orders" || b.Topics[2].Topic != "old" || len(b.Topics) != 3 {
		t.Errorf("not the dearest first: %+v", b.Topics)
	}
	if c := b.Cluster; !near(c.Puts, 1100*months) || !near(c.Gets, 1000*months) || !near(c.OtherCost, 10*months/1000*0.005) {
		t.Errorf("cluster: %+v", c)
	}
	if !near(b.Total.Puts, 5100*months) || !near(b.Total.Gets, 3000*months) || !near(b.Total.StoredGiB, 110) {
		t.Errorf("total: %+v", b.Total)
	}
	if !near(b.SavedGets, 50*months) || b.Brokers != 1 || b.Live != 3 || b.Seconds != 1000 || b.Currency != "USD" {
		t.Errorf("%+v", b)
	}
}

// Whatever the table and the traffic, the lines are the total and nothing is billed
// twice.
func TestTheLinesAddUp(t *testing.T) {
	p, err := ParsePrices([]byte("{name: x, currency: EUR, per_1000_requests: {put: 1, get: 2, list: 3, stat: 4, delete: 5}, per_gib_month: [{gib: 1, price: 9}, {price: 1}], per_gib_moved: {put: 7, get: 11}}"))
	if err != nil {
		t.Fatal(err)
	}
	requests := `
firn_object_requests_total{op="put",outcome="ok",reason="ok"} 60
firn_object_requests_total{op="get",outcome="ok",reason="ok"} 30
firn_object_requests_total{op="stat",outcome="answered",reason="not_found"} 8
firn_object_bytes_total{op="put"} 2.147483648e+09
firn_object_bytes_total{op="get"} 1.073741824e+09
`
	for what, lines := range map[string]string{
		"nobody there": requests,
		"two topics":   requests + "firn_kafka_produced_bytes_total{topic=\"a\"} 1\nfirn_kafka_produced_bytes_total{topic=\"b\"} 2\nfirn_kafka_fetched_bucket_bytes_total{topic=\"b\"} 2\nfirn_read_gets_total 9\nfirn_topic_bytes{topic=\"a\"} 3221225472\n",
	} {
		var m Measurement
		m.Add(nil, sample(t, page(10, lines)))
		m.Add(nil, sample(t, page(20, strings.Split(lines, "firn_topic_bytes")[0]))) // which one broker tells
		b := m.Price(p)
		sum := b.Cluster
		for _, l := range b.Topics {
			sum.add(l)
			if !near(l.Cost, l.PutCost+l.GetCost+l.OtherCost+l.StoredCost) {
				t.Errorf("%s: %+v", what, l)
			}
		}
		if fmt.Sprintf("%.6f", sum.Cost) != fmt.Sprintf("%.6f", b.Total.Cost) || !near(sum.Puts, b.Total.Puts) {
			t.Errorf("%s: the lines are %+v, the total %+v", what, sum, b.Total)
		}
		perSecond := 1/10.0 + 1/20.0
		wantPuts := 60 * perSecond * month
		if !near(b.Total.Puts, wantPuts) || !near(b.Total.PutCost, wantPuts/1000) {
			t.Errorf("%s: %v puts, want %v", what, b.Total.Puts, wantPuts)
		}
	}
}

func TestAWindowCountsWhatHappenedInIt(t *testing.T) {
	put := `firn_object_requests_total{op="put",outcome="ok",reason="ok"} %d` + "\n"
	first, second := sample(t, page(100, fmt.Sprintf(put, 1000))), sample(t, page(110, fmt.Sprintf(put, 1020)))
	var m Measurement
	m.Add(first, second)
	if b := m.Price(prices(t)); !near(b.Total.Puts, 2*month) || b.Seconds != 10 {
		t.Errorf("%v puts in a month, %v s", b.Total.Puts, b.Seconds)
	}
	// Started again in between: only what came after is known.
	var again Measurement
	again.Add(second, sample(t, page(4, fmt.Sprintf(put, 12))))
	if b := again.Price(prices(t)); !near(b.Total.Puts, 3*month) || b.Seconds != 4 {
		t.Errorf("%v puts in a month, %v s", b.Total.Puts, b.Seconds)
	}
}

func TestStorageHasSteps(t *testing.T) {
	p := prices(t)
	for gib, want := range map[float64]float64{0: 0, 1: 0.023, 51200: 1177.6, 51201: 1177.6 + 0.022, 51200 + 460800 + 10: 1177.6 + 10137.6 + 0.21} {
		if got := p.storage(gib); !near(got, want) {
			t.Errorf("%v GiB cost %v, want %v", gib, got, want)
		}
	}
}

func TestBadTablesAndPagesAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		"name: x":                         "neither may be empty",
		"{name: x, currency: E, puts: 1}": "field puts not found",
		"{name: x, currency: E, per_1000_requests: {putt: 1}}":            `unknown operation "putt"`,
		"{name: x, currency: E, per_1000_requests: {put: -1}}":            "want 0 or more",
		"{name: x, currency: E, per_gib_moved: {list: 1}}":                `unknown operation "list"`,
		"{name: x, currency: E, per_gib_month: [{price: 1}, {price: 2}]}": "entry 1",
		"": "EOF",
	} {
		if _, err := ParsePrices([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	for _, text := range []string{"", "<html>", "node_load1 3\n", "firn_build_info{version=\"v1\"} 1\n"} {
		if _, err := Read(strings.NewReader(text)); !errors.Is(err, ErrForeign) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
