package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// A broker's own page is what cost reads.
func TestCostPricesWhatABrokerMeasured(t *testing.T) {
	clearEnvironment(t)
	c := cli{t: t}
	r := c.start("Ctrl-C", append([]string{"dev", "--memory"}, strings.Fields(anywhere)...)...)
	defer r.stop()
	kafka, web := addresses(t, r.shown)
	c.in("one\ntwo\n").ok("produce", "orders", "--brokers", kafka)
	c.ok("consume", "orders", "-n", "2", "-o", "start", "--brokers", kafka)

	var b struct {
		Brokers int
		Topics  []struct {
			Topic string
			Puts  float64
		}
		Total struct{ Puts, Cost float64 }
	}
	if err := json.Unmarshal([]byte(c.ok("cost", "--http", web, "--json")), &b); err != nil {
		t.Fatal(err)
	}
	if b.Brokers != 1 || len(b.Topics) == 0 || b.Topics[0].Topic != "orders" || b.Topics[0].Puts <= 0 || b.Total.Puts <= b.Topics[0].Puts || b.Total.Cost <= 0 {
		t.Errorf("%+v", b)
	}
	a := c.run("cost", "--http", web, "--window", "10ms")
	for _, want := range []string{"TOPIC", "USD", "(cluster)", "total", "Amazon S3 Standard, us-east-1 (2026-11)"} {
		if a.code != exitOK || !strings.Contains(a.out, want) {
			t.Errorf("no %q in\n%s%s", want, a.out, a.err)
		}
	}

	file, table := filepath.Join(t.TempDir(), "metrics"), filepath.Join(t.TempDir(), "prices.yaml")
	body, err := get(t.Context(), web, "/metrics", time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.ReadFrom(body); err != nil || f.Close() != nil {
		t.Fatal(err)
	}
	own := strings.Replace(c.ok("cost", "--print-prices"), "name: Amazon S3 Standard, us-east-1", "name: ours", 1)
	if err := os.WriteFile(table, []byte(own), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := c.ok("cost", "--metrics", file, "--prices", table, "--format", "wide"); !strings.Contains(out, "at the prices of ours") || !strings.Contains(out, "PUT-COST") {
		t.Error(out)
	}
	two := filepath.Join(t.TempDir(), "two")
	if err := os.WriteFile(two, []byte("firn_build_info 1\nfirn_uptime_seconds 1\nkafka_brokers 2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if a := c.run("cost", "--metrics", two); !strings.Contains(a.err, "the cluster has 2 brokers and 1 told what they did") {
		t.Error(a.err)
	}
	c.fails(exitUsage, "neither --window nor --http", "cost", "--metrics", file, "--window", "1s")
}

func TestCostSaysWhatItCannotRead(t *testing.T) {
	clearEnvironment(t)
	c := cli{t: t}
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/metrics" {
			w.WriteHeader(http.StatusTeapot)
		}
	}))
	defer other.Close()
	c.fails(exitError, "not the metrics of a Firn broker", "cost", "--http", other.URL)
	c.fails(exitError, "HTTP 418", "cost", "--http", other.URL+"/x")
	c.fails(exitError, "is it the address of a broker's --http?", "cost", "--http", "127.0.0.1:1")
	c.fails(exitUsage, "no such file", "cost", "--prices", "/nonexistent/prices.yaml")
	c.fails(exitUsage, "no such file", "cost", "--metrics", "/nonexistent/page")
}

// addresses are those that the banner of dev names, for Kafka clients and for HTTP.
func addresses(t *testing.T, banner string) (kafka, web string) {
	t.Helper()
	m := regexp.MustCompile(`(?s)Kafka +(\S+).*HTTP +http://(\S+)`).FindStringSubmatch(banner)
	if m == nil {
		t.Fatalf("no addresses in\n%s", banner)
	}
	return m[1], m[2]
}
