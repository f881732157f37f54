//go:build ring4

package ring4

import (
	"context"
	"os"
	"runtime/debug"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/firnlog/firn/localstack/history"
	"github.com/firnlog/firn/localstack/witness"
)

// historian writes down what clients of the brokers do and see.
type historian struct {
	*witness.Historian
	t *testing.T
}

func newHistorian(t *testing.T, brokers ...string) historian {
	return historian{witness.New(witness.Options{
		Client: func(opts ...kgo.Opt) (*kgo.Client, error) {
			return kgo.NewClient(append(patient(brokers[0]), append([]kgo.Opt{kgo.SeedBrokers(brokers...)}, opts...)...)...)
		},
		Complain: func(what string) { t.Error(what) },
	}), t}
}

// finish sends once more to each key and reads all of them to their ends.
func (h historian) finish() {
	ctx, cancel := context.WithTimeout(h.t.Context(), 2*time.Minute)
	defer cancel()
	if err := h.Finish(ctx); err != nil {
		h.t.Error(err)
	}
}

// judge holds the history to account.
func (h historian) judge() *history.Report {
	t := h.t
	t.Helper()
	// An hour's history is gigabytes; garbage of the same size again does not fit beside it.
	defer debug.SetGCPercent(debug.SetGCPercent(25))
	lines := h.Lines()
	r, err := history.Check(lines)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d operations of %d clients on %d keys: %d values acknowledged, %d uncertain, %d read; longest time without an acknowledgement %v; allowed: %d anomalies",
		len(lines)/2, h.Clients(), h.Keys(), r.Sent, r.Unsure, r.Polled, r.Gap.Round(time.Millisecond), len(r.Allowed))
	for _, what := range r.Complaints() {
		t.Error(what)
	}
	if t.Failed() {
		h.keep()
	}
	return r
}

// keep writes the history to a file.
func (h historian) keep() {
	h.t.Helper()
	file, err := h.Keep()
	if err != nil {
		h.t.Error(err)
		return
	}
	h.t.Logf("the history is in %s", file)
}

// nemesisTime is RING4_NEMESIS, or how long faults rotate in a usual run.
func nemesisTime(t *testing.T) time.Duration {
	t.Helper()
	s := os.Getenv("RING4_NEMESIS")
	if s == "" {
		return 45 * time.Second
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		t.Fatalf("RING4_NEMESIS=%q: want a duration, as in 1h", s)
	}
	return d
}
