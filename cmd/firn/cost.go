package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/firnlog/firn/web/cost"
)

// costs is one run of firn cost.
type costs struct {
	http, files []string
	window      time.Duration
	prices      string
	example     bool
}

// newCost prices what brokers have measured.
func newCost(g *globals) *cobra.Command {
	c := &costs{}
	cmd := &cobra.Command{
		Use:   "cost",
		Short: "What the bucket costs in a month, by topic",
		Long: `Read what brokers have measured and price it: puts, gets and what is stored, by topic,
for a month that goes on like the time since the brokers were started, or like the
next --window. A put is shared by the topics whose bytes are in it; what no topic
causes, such as the journal, is the cluster's own line.

--http names all brokers of the cluster: each knows only its own part. --metrics reads
what was saved from their /metrics instead.

The default prices are Amazon's list prices; --print-prices prints that table, to begin
one of your own with for --prices.`,
		Example: `  firn cost --http broker-1:8080,broker-2:8080,broker-3:8080
  firn cost --window 1m --prices our-store.yaml --json
  firn cost --print-prices > our-store.yaml`,
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if c.example {
				_, err := cmd.OutOrStdout().Write(cost.Builtin())
				return err
			}
			return c.run(g, cmd)
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&c.http, "http", []string{"localhost:8080"}, "`HOST:PORT,…` of the brokers' HTTP listeners")
	f.StringSliceVar(&c.files, "metrics", nil, "`FILE,…` with pages of /metrics, one of each broker, instead of asking brokers")
	f.DurationVar(&c.window, "window", 0, "measure for so long from now on, instead of since the brokers were started")
	f.StringVar(&c.prices, "prices", "", "a YAML `FILE` of prices")
	f.BoolVar(&c.example, "print-prices", false, "print the default prices as such a file")
	_ = cmd.MarkFlagFilename("prices", "yaml", "yml")
	return cmd
}

func (c *costs) run(g *globals, cmd *cobra.Command) error {
	var text []byte
	if c.prices != "" {
		b, err := os.ReadFile(c.prices)
		if err != nil {
			return usage("--prices: %w", err)
		}
		text = b
	}
	prices, err := cost.ParsePrices(text)
	if err != nil {
		return usage("--prices %s: %w", c.prices, err)
	}
	var m cost.Measurement
	switch {
	case c.window < 0:
		return usage("--window %v: want a duration such as 1m", c.window)
	case len(c.files) > 0 && (c.window > 0 || cmd.Flags().Changed("http")):
		return usage("--metrics says what was measured: it goes with neither --window nor --http")
	case len(c.files) > 0:
		for _, name := range c.files {
			s, err := readSample(name)
			if err != nil {
				return err
			}
			m.Add(nil, s)
		}
	default:
		if err := c.measure(g, cmd, &m); err != nil {
			return err
		}
	}
	b := m.Price(prices)
	switch {
	case b.Live > b.Brokers:
		g.note(cmd, "the cluster has %s and %d told what they did: name all of them, or the sums are too small", counted(int64(b.Live), "broker"), b.Brokers)
	case b.Live == 0:
		g.note(cmd, "none of these brokers is the one that tells of the whole cluster: without the live broker with the lowest id, storage is missing")
	}
	return g.print(cmd, b, func(t *table) { printBill(t, b) })
}

// measure asks all brokers, twice when there is a window.
func (c *costs) measure(g *globals, cmd *cobra.Command, m *cost.Measurement) error {
	before := make([]*cost.Sample, len(c.http))
	if c.window > 0 {
		var err error
		if before, err = scrapeAll(cmd.Context(), c.http, g.timeout); err != nil {
			return err
		}
		g.note(cmd, "measuring for %v", c.window)
		select {
		case <-time.After(c.window):
		case <-cmd.Context().Done():
			return cmd.Context().Err()
		}
	}
	after, err := scrapeAll(cmd.Context(), c.http, g.timeout)
	if err != nil {
		return err
	}
	for i := range after {
		m.Add(before[i], after[i])
	}
	return nil
}

func readSample(name string) (*cost.Sample, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, usage("--metrics: %w", err)
	}
	defer f.Close()
	s, err := cost.Read(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return s, nil
}

// scrapeAll reads the metrics of all brokers at once. One that does not answer is an
// error: without it the sums would be too small.
func scrapeAll(ctx context.Context, addrs []string, timeout time.Duration) ([]*cost.Sample, error) {
	out := make([]*cost.Sample, len(addrs))
	each, ctx := errgroup.WithContext(ctx)
	each.SetLimit(32)
	for i, addr := range addrs {
		each.Go(func() error {
			body, err := get(ctx, addr, "/metrics", timeout)
			if err != nil {
				return err
			}
			defer body.Close()
			if out[i], err = cost.Read(body); err != nil {
				return fmt.Errorf("%s: %w", addr, err)
			}
			return nil
		})
	}
	return out, each.Wait()
}

// get asks a broker's HTTP listener for a page. The caller closes it.
func get(ctx context.Context, addr, path string, timeout time.Duration) (io.ReadCloser, error) {
	url := strings.TrimSuffix(addr, "/") + path
	if !strings.Contains(addr, "://") {
		url = "http://" + url
	}
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, usage("--http %s: want HOST:PORT", addr)
	}
	r, err := (&http.Client{Timeout: timeout}).Do(q)
	if err != nil {
		return nil, fmt.Errorf("%s does not answer: is it the address of a broker's --http? (%w)", addr, err)
	}
	if r.StatusCode != http.StatusOK {
		r.Body.Close()
		return nil, &statusError{addr + path, r.StatusCode}
	}
	return r.Body, nil
}

// statusError is an HTTP answer that is not 200.
type statusError struct {
	page string
	code int
}

func (e *statusError) Error() string { return fmt.Sprintf("%s answers HTTP %d", e.page, e.code) }

// printBill prints a bill as a table; wide has the parts of each sum.
func printBill(t *table, b cost.Bill) {
	row := func(name string, l cost.Line) {
		cells := []any{name, short(l.Puts), short(l.Gets), fmt.Sprintf("%.2f", l.StoredGiB)}
		if t.Wide {
			cells = append(cells, money(l.PutCost), money(l.GetCost), money(l.StoredCost), money(l.OtherCost))
		}
		t.row(append(cells, money(l.Cost))...)
	}
	head := []any{"TOPIC", "PUTS", "GETS", "GIB"}
	if t.Wide {
		head = append(head, "PUT-COST", "GET-COST", "STORAGE", "OTHER")
	}
	t.row(append(head, b.Currency)...)
	for _, l := range b.Topics {
		row(l.Topic, l)
	}
	row("(cluster)", b.Cluster)
	row("total", b.Total)
	t.row()
	t.row(fmt.Sprintf("A month like the last %v of %s, at the prices of %s (%s).",
		time.Duration(b.Seconds*float64(time.Second)).Round(time.Second), counted(int64(b.Brokers), "broker"), b.Prices, b.AsOf))
	t.row(fmt.Sprintf("The tiers before the bucket answer %s reads; as GETs they would cost %s %s.", short(b.SavedGets), money(b.SavedCost), b.Currency))
}

func money(v float64) string { return fmt.Sprintf("%.2f", v) }

// short is a count for eyes: 21.0M.
func short(n float64) string {
	for _, u := range []struct {
		of   float64
		name string
	}{{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if n >= u.of {
			return fmt.Sprintf("%.1f%s", n/u.of, u.name)
		}
	}
	return fmt.Sprintf("%.0f", n)
}
