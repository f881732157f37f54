package web

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"

	"github.com/firnlog/firn/deploy"
)

// metric is one metric that a broker can show.
type metric struct {
	labels    []string
	histogram bool
}

var described = regexp.MustCompile(`fqName: "([^"]+)".*variableLabels: \{([^}]*)\}`)

// shown is every metric that a broker can show, by name, and what Prometheus adds.
func shown(t testing.TB) map[string]metric {
	t.Helper()
	m := NewMetrics(MetricsOptions{Source: newSource(t), Ready: &Readiness{}})
	all := map[string]metric{"up": {}}
	ch := make(chan *prometheus.Desc)
	go func() { m.all.Describe(ch); close(ch) }()
	for d := range ch {
		found := described.FindStringSubmatch(d.String())
		if found == nil {
			t.Fatalf("unreadable: %s", d)
		}
		all[found[1]] = metric{labels: strings.FieldsFunc(found[2], func(r rune) bool { return r == ',' })}
	}
	families, err := eventful(t, newSource(t)).all.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetType().String() == "HISTOGRAM" {
			x := all[f.GetName()]
			x.histogram = true
			all[f.GetName()] = x
		}
	}
	return all
}

// find is the metric that a series of this name belongs to.
func find(all map[string]metric, series string) (metric, bool) {
	if m, ok := all[series]; ok {
		return m, !m.histogram
	}
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		if name, ok := strings.CutSuffix(series, suffix); ok {
			if m, ok := all[name]; ok && m.histogram {
				if suffix == "_bucket" {
					m.labels = append(slices.Clone(m.labels), "le")
				}
				return m, true
			}
		}
	}
	return metric{}, false
}

// checkQuery holds an expression to Prometheus's grammar and to what brokers show:
// names of metrics, and labels that each has, in matchers and in groupings.
func checkQuery(t *testing.T, all map[string]metric, where, query string) {
	t.Helper()
	// Grafana's variables, as it would replace them.
	query = strings.NewReplacer("$__rate_interval", "1m", "$instance", ".*", "$topic", ".*").Replace(query)
	e, err := parser.ParseExpr(query)
	if err != nil {
		t.Errorf("%s: %s: %v", where, query, err)
		return
	}
	added := []string{"instance", "job"}
	of := func(node parser.Node) []string { // labels that all series below have
		out := slices.Clone(added)
		parser.Inspect(node, func(n parser.Node, _ []parser.Node) error {
			if v, ok := n.(*parser.VectorSelector); ok {
				m, _ := find(all, v.Name)
				out = append(out, m.labels...)
			}
			return nil
		})
		return out
	}
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		switch n := n.(type) {
		case *parser.VectorSelector:
			m, ok := find(all, n.Name)
			if !ok {
				t.Errorf("%s: no broker shows %s", where, n.Name)
				return nil
			}
			for _, l := range n.LabelMatchers {
				if l.Name != model.MetricNameLabel && !slices.Contains(append(m.labels, added...), l.Name) {
					t.Errorf("%s: %s has no label %s, only %v", where, n.Name, l.Name, m.labels)
				}
			}
		case *parser.AggregateExpr:
			for _, l := range n.Grouping {
				if !slices.Contains(of(n.Expr), l) {
					t.Errorf("%s: grouped by %s, which nothing in %s has", where, l, n.Expr)
				}
			}
		}
		return nil
	})
}

func TestTheAlertsAreAboutWhatBrokersShow(t *testing.T) {
	all := shown(t)
	var file struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	dec := yaml.NewDecoder(strings.NewReader(string(deploy.File(deploy.Alerts))))
	dec.KnownFields(true)
	if err := dec.Decode(&file); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, r := range file.Groups[0].Rules {
		if !strings.HasPrefix(r.Alert, "Firn") || seen[r.Alert] {
			t.Errorf("%s: a name of its own that begins with Firn", r.Alert)
		}
		seen[r.Alert] = true
		checkQuery(t, all, r.Alert, r.Expr)
		if r.For != "" {
			if _, err := model.ParseDuration(r.For); err != nil {
				t.Errorf("%s: for: %v", r.Alert, err)
			}
		}
		if s := r.Labels["severity"]; s != "critical" && s != "warning" {
			t.Errorf("%s: severity %q", r.Alert, s)
		}
		if len(r.Annotations["summary"]) < 20 || len(r.Annotations["description"]) < 60 {
			t.Errorf("%s does not say what to do: %v", r.Alert, r.Annotations)
		}
	}
	if len(seen) < 12 {
		t.Errorf("%d alerts", len(seen))
	}
}

func TestTheDashboardShowsWhatBrokersShow(t *testing.T) {
	all := shown(t)
	var board struct {
		UID, Title string
		Panels     []struct {
			ID      int
			Title   string
			Type    string
			GridPos struct{ X, Y, W, H int }
			Targets []struct{ Expr, LegendFormat string }
		}
		Templating struct {
			List []struct {
				Name  string
				Query any
			}
		}
	}
	if err := json.Unmarshal(deploy.File(deploy.Dashboard), &board); err != nil {
		t.Fatal(err)
	}
	ids, cells := map[int]bool{}, map[[2]int]string{}
	queries := 0
	for _, p := range board.Panels {
		if ids[p.ID] {
			t.Errorf("%s: the id %d is taken", p.Title, p.ID)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := cells[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("%q lies on %q, or outside", p.Title, other)
				}
				cells[[2]int{x, y}] = p.Title
			}
		}
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("%q asks for nothing", p.Title)
		}
		for _, q := range p.Targets {
			queries++
			checkQuery(t, all, "panel "+p.Title, q.Expr)
		}
	}
	for _, v := range board.Templating.List {
		text := fmt.Sprint(v.Query)
		if name, ok := strings.CutPrefix(text, "map[query:label_values("); ok {
			name, _, _ = strings.Cut(name, ",")
			if _, ok := find(all, name); !ok {
				t.Errorf("variable %s: no broker shows %s", v.Name, name)
			}
		}
	}
	if board.UID == "" || queries < 30 {
		t.Errorf("dashboard %q has %d queries", board.UID, queries)
	}
}

// promised are the names that dashboards and alerts of others rely on:
// kafka_exporter's, and those of ours that are documented.
var promised = strings.Fields(`
kafka_brokers kafka_broker_info kafka_topic_partitions
kafka_topic_partition_current_offset kafka_topic_partition_oldest_offset kafka_topic_partition_leader
kafka_topic_partition_leader_is_preferred kafka_topic_partition_replicas kafka_topic_partition_in_sync_replica
kafka_topic_partition_under_replicated_partition
kafka_consumergroup_current_offset kafka_consumergroup_current_offset_sum kafka_consumergroup_lag
kafka_consumergroup_lag_sum kafka_consumergroup_members
firn_kafka_request_duration_seconds firn_kafka_produced_bytes_total firn_kafka_produced_records_total
firn_kafka_fetched_bytes_total firn_kafka_fetched_records_total
firn_object_requests_total firn_object_request_duration_seconds firn_object_bytes_total
firn_upload_pending_bytes firn_upload_oldest_pending_age_seconds
firn_cache_hits_total firn_cache_misses_total firn_tier_bytes
firn_catalog_cas_attempts_total firn_catalog_cas_conflicts_total
firn_gc_orphans firn_gc_deleted_objects_total
firn_uptime_seconds firn_estimated_cost_dollars_total firn_read_gets_total firn_kafka_fetched_bucket_bytes_total firn_topic_bytes
`)

func TestEveryPromisedMetricIsThere(t *testing.T) {
	all := shown(t)
	page := eventful(t, newSource(t))
	_, text, _ := get(t, NewServer(ServerOptions{Metrics: page}), "/metrics")
	for _, name := range promised {
		if _, ok := all[name]; !ok {
			t.Errorf("%s is described nowhere", name)
		}
		if !strings.Contains(text, "# TYPE "+name+" ") {
			t.Errorf("%s is not on the page", name)
		}
	}
	for name, labels := range map[string]string{
		"kafka_topic_partition_current_offset": "topic partition", "kafka_consumergroup_lag": "consumergroup topic partition",
		"kafka_consumergroup_members": "consumergroup", "kafka_topic_partitions": "topic", "kafka_broker_info": "id address",
		"firn_kafka_request_duration_seconds": "api", "firn_object_requests_total": "op outcome reason", "firn_cache_hits_total": "tier",
	} {
		if got := strings.Join(all[name].labels, " "); got != labels {
			t.Errorf("%s has the labels %q, want %q", name, got, labels)
		}
	}
}

// The names in documentation are names of metrics: a help text, a setting or a page
// that sends somebody to a metric must not send him nowhere.
func TestHelpTextsNameMetricsThatExist(t *testing.T) {
	all := shown(t)
	_, text, _ := get(t, NewServer(ServerOptions{Metrics: eventful(t, newSource(t))}), "/metrics")
	name := regexp.MustCompile(`\b(firn|kafka)_[a-z_]+`)
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "# HELP ") {
			continue
		}
		for _, n := range name.FindAllString(line, -1) {
			if _, ok := all[n]; !ok {
				t.Errorf("%s in %s", n, line)
			}
		}
	}
}
