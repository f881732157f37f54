package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/firnlog/firn/kafka/reach"
)

// doctorConnect goes the way of a client to every broker.
func doctorConnect(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "connect",
		Short: "Find out why a client does not get through to the brokers",
		Long: `Go the way of a Kafka client from here: resolve and connect to each address of --brokers,
ask there where the brokers are, and go to every address that they tell. A client uses
what it was given only once; from then on it uses what it was told, and hangs when that
means something else where it is: a container's name, localhost, 0.0.0.0.

Works with any Kafka. Exit codes: 0 every address works; 3 one does not.`,
		Example: `  firn doctor connect --brokers localhost:9092
  firn doctor connect --brokers broker-1:29092,broker-2:29092 --timeout 2s --json`,
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			seeds, err := g.seeds()
			if err != nil {
				return err
			}
			r := reach.Examine(cmd.Context(), reach.Options{Bootstrap: seeds, ClientID: g.clientID, Timeout: min(g.timeout, defaultTimeout)})
			err = g.print(cmd, r, func(t *table) { fmt.Fprint(t.w, reached(r, t.Wide)) })
			if err == nil && !r.OK() {
				err = &exit{code: exitProblem}
			}
			return err
		},
	}
}

// reached is the report for a terminal: what works in a line for each address, or
// for each step when it is wide.
func reached(r reach.Report, wide bool) string {
	var b []byte
	for i, c := range r.Checks {
		last := i+1 == len(r.Checks) || r.Checks[i+1].Address != c.Address || r.Checks[i+1].Of != c.Of
		switch {
		case !c.OK:
			b = fmt.Appendf(b, "FAIL  %-10s %s: %s: %s\n      %s\n", c.Of, c.Address, c.Step, c.Detail, c.Advice)
		case wide:
			b = fmt.Appendf(b, "ok    %-10s %s: %s: %s\n", c.Of, c.Address, c.Step, c.Detail)
		case last:
			b = fmt.Appendf(b, "ok    %-10s %s\n", c.Of, c.Address)
		}
	}
	verdict := "every address works from here"
	if !r.OK() {
		verdict = "not every address works from here"
	}
	if r.Cluster == "" {
		return string(fmt.Appendf(b, "%s; no cluster was found\n", verdict))
	}
	return string(fmt.Appendf(b, "%s: cluster %s, %s\n", verdict, r.Cluster, counted(int64(r.Brokers), "broker")))
}
