package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.yaml.in/yaml/v3"
)

const defaultTimeout = 10 * time.Second

// globals are the flags that every command has.
type globals struct {
	brokers string
	format  string
	json    bool
	timeout time.Duration
	yes     bool
	quiet   bool
}

// table writes aligned columns, easy to cut and awk.
type table struct {
	w    *tabwriter.Writer
	Wide bool
}

func (t *table) row(cells ...any) {
	for i, c := range cells {
		if i > 0 {
			fmt.Fprint(t.w, "\t")
		}
		fmt.Fprint(t.w, c)
	}
	fmt.Fprintln(t.w)
}

// print prints a command's answer: as text by the function, or the value as JSON
// or YAML.
func (g *globals) print(cmd *cobra.Command, v any, text func(*table)) error {
	format := g.format
	if g.json {
		format = "json"
	}
	out := cmd.OutOrStdout()
	switch format {
	case "text", "wide":
		t := &table{w: tabwriter.NewWriter(out, 0, 8, 2, ' ', 0), Wide: format == "wide"}
		text(t)
		return t.w.Flush()
	case "json":
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		return e.Encode(v)
	case "yaml":
		e := yaml.NewEncoder(out)
		defer e.Close()
		return e.Encode(v)
	}
	return usage("--format %q: want text, wide, json or yaml", format)
}

// client connects to the brokers.
func (g *globals) client(opts ...kgo.Opt) (*kgo.Client, error) {
	opts = append([]kgo.Opt{
		kgo.SeedBrokers(strings.Split(g.brokers, ",")...),
		kgo.ClientID("firn-cli/" + programVersion()),
		kgo.DialTimeout(3 * time.Second),
		kgo.RetryTimeout(g.timeout),
	}, opts...)
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, usage("--brokers %s: %w", g.brokers, err)
	}
	return cl, nil
}

// admin runs fn with an admin client, in the time of --timeout.
func (g *globals) admin(ctx context.Context, fn func(ctx context.Context, adm *kadm.Client) error) error {
	cl, err := g.client()
	if err != nil {
		return err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(ctx, g.timeout)
	defer cancel()
	return g.explain(fn(ctx, kadm.NewClient(cl)))
}

// explain says what to do when no broker answers.
func (g *globals) explain(err error) error {
	var op *net.OpError
	if err != nil && (errors.As(err, &op) && op.Op == "dial" || errors.Is(err, context.DeadlineExceeded)) {
		return fmt.Errorf("cannot reach %s: is a broker running? Start one with `firn dev`, or name another with --brokers (%w)", g.brokers, err)
	}
	return err
}
