package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/firnlog/firn/broker"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/cold/doctor"
)

// examination is what doctor storage answers.
type examination struct {
	Store string `json:"store"`
	doctor.Report
}

// doctorStorage examines a bucket as a broker does before its first use, more
// thoroughly.
func doctorStorage(g *globals) *cobra.Command {
	var quick, create bool
	var connections int
	cmd := &cobra.Command{
		Use:   "storage [URL]",
		Short: "Try what Firn expects of a bucket",
		Long: `Try everything that Firn expects of a bucket, and say of each what was seen, what a
log needs it for, and what to do when it fails: permissions, the bucket's own rules,
atomic put-if-absent under writers that race over several connections, reads and
lists right after writes, ranged reads, deletes, the clock, and the latency of the
objects that Firn writes. About 3,600 small puts under doctor/, deleted at the end.

The bucket is the argument, --store or $FIRN_STORE. Brokers run the quick form of this before
they use a bucket for the first time.

Exit codes: 0 the bucket is fit, with warnings perhaps; 3 it is not; 1 it gave no
definite answer.`,
		Example: `  firn doctor storage 's3://bucket/prefix?region=eu-central-1'
  firn doctor storage minio://localhost:9000/firn --create --quick
  firn doctor storage file:///var/lib/firn --json`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			url, _ := cmd.Flags().GetString("store")
			if len(args) == 1 {
				url = args[0]
			}
			if url == "" {
				return usage("which bucket? Want s3://bucket/prefix, minio://host:port/bucket/prefix, file:///dir or mem://")
			}
			if connections < 1 || connections > 64 {
				return usage("--connections %d: want a number from 1 to 64", connections)
			}
			return g.examine(cmd, url, create, doctor.Options{Quick: quick}, connections)
		},
	}
	f := cmd.Flags()
	f.String("store", "", storeUsage)
	f.BoolVar(&quick, "quick", false, "the same checks with fewer repetitions: about 250 puts")
	f.BoolVar(&create, "create", false, "create the bucket if it is not there")
	f.IntVar(&connections, "connections", 4, "clients with connections of their own that race")
	return cmd
}

// examine opens the bucket as often as asked and prints what the doctor says.
func (g *globals) examine(cmd *cobra.Command, url string, create bool, o doctor.Options, connections int) error {
	var stores []cold.Store
	defer func() {
		for _, s := range stores {
			cold.Close(s)
		}
	}()
	x := examination{}
	if strings.HasPrefix(url, "mem:") {
		connections = 1 // each client of memory would have a bucket of its own
	}
	for range connections {
		s, place, err := broker.OpenStore(cmd.Context(), url)
		if errors.Is(err, cold.ErrDenied) {
			return &exit{exitProblem, err}
		}
		if err != nil {
			return &exit{exitUsage, err}
		}
		x.Store = place.String()
		stores = append(stores, s)
	}
	if create {
		if err := createBucket(cmd.Context(), stores[0], g.timeout); err != nil {
			return err
		}
	}
	o.Others = stores[1:]
	if isTerminal(cmd.ErrOrStderr()) {
		o.Progress = func(c doctor.Check) { g.note(cmd, "tried: %s", c.Name) }
	}
	x.Report = doctor.Examine(cmd.Context(), stores[0], o)
	err := g.print(cmd, x, func(t *table) { fmt.Fprint(t.w, x.text(t.Wide)) })
	switch {
	case err != nil || x.Verdict == doctor.Approved:
		return err
	case x.Verdict == doctor.Refused:
		return &exit{code: exitProblem}
	}
	return &exit{code: exitError}
}

// createBucket creates the bucket of a store that has one, and waits for a store
// that is only just starting.
func createBucket(ctx context.Context, s cold.Store, patience time.Duration) error {
	b, ok := s.(cold.Bucket)
	if !ok {
		return nil // a folder is there once it is opened
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		err := b.CreateBucket(ctx)
		if err == nil {
			return nil
		}
		if errors.Is(err, cold.ErrDenied) {
			return fmt.Errorf("%w: allow s3:CreateBucket to these credentials, or create the bucket by hand", err)
		}
		if cold.Definite(err) {
			return err
		}
		select {
		case <-time.After(500 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("the store does not answer; --timeout waits longer: %w", err)
		}
	}
}

// marks say how a check went, for eyes.
var marks = map[doctor.Severity]string{doctor.Info: "ok", doctor.Warning: "warn", doctor.Unreached: "?", doctor.Fatal: "FAIL"}

// text is the report for a terminal; wide also says what each check is for.
func (x examination) text(wide bool) string {
	var b strings.Builder
	fmt.Fprintln(&b, x.Store)
	for _, c := range x.Checks {
		fmt.Fprintf(&b, "%-5s %-24s %s\n", marks[c.Severity], c.Name, c.Detail)
		if wide || !c.OK {
			fmt.Fprintf(&b, "      %s\n", c.Promise)
		}
		if c.Advice != "" {
			fmt.Fprintf(&b, "      %s\n", c.Advice)
		}
		if c.Name == doctor.Latency {
			b.WriteString(latencies(c.Figures))
		} else if wide {
			for _, f := range c.Figures {
				fmt.Fprintf(&b, "      %-24s %.2f %s\n", f.Name, f.Value, f.Unit)
			}
		}
	}
	verdict := map[doctor.Verdict]string{
		doctor.Approved: "approved: Firn can keep a log here", doctor.Refused: "refused: Firn would lose data here, or cannot work",
		doctor.Undecided: "undecided: the store did not answer; nothing is known yet",
	}[x.Verdict]
	if n := len(x.Warnings()); n > 0 && x.Verdict == doctor.Approved {
		verdict += fmt.Sprintf(", with %s", counted(int64(n), "warning"))
	}
	fmt.Fprintf(&b, "%s (%v)\n", verdict, x.Took.Round(time.Millisecond))
	return b.String()
}

// latencies are the figures as a table: one line for each operation and size.
func latencies(figures []doctor.Figure) string {
	var b strings.Builder
	fmt.Fprintf(&b, "      %-12s %9s %9s\n", "", "p50 ms", "p99 ms")
	for i := 0; i+1 < len(figures); i += 2 {
		what := strings.TrimSuffix(figures[i].Name, " p50")
		fmt.Fprintf(&b, "      %-12s %9.2f %9.2f\n", what, figures[i].Value, figures[i+1].Value)
	}
	return b.String()
}
