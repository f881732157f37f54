package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
)

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

// orDash is a dash for nothing, so that columns can be counted.
func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// print prints a command's answer: as text by the function, or the value as JSON
// or YAML, with the names of its json tags in both.
func (g *globals) print(cmd *cobra.Command, v any, text func(*table)) error {
	out := cmd.OutOrStdout()
	switch g.format {
	case "json":
		e := json.NewEncoder(out)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		return e.Encode(v)
	case "yaml":
		return printYAML(out, v)
	}
	t := &table{w: tabwriter.NewWriter(out, 0, 8, 2, ' ', 0), Wide: g.format == "wide"}
	text(t)
	return t.w.Flush()
}

// printYAML prints by way of JSON, which is YAML, so that one set of tags does.
func printYAML(out io.Writer, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	var n yaml.Node
	if err := yaml.Unmarshal(b, &n); err != nil {
		return err
	}
	var plain func(*yaml.Node)
	plain = func(n *yaml.Node) {
		n.Style = 0
		for _, c := range n.Content {
			plain(c)
		}
	}
	plain(&n)
	e := yaml.NewEncoder(out)
	e.SetIndent(2)
	if err := e.Encode(&n); err != nil {
		return err
	}
	return e.Close()
}

// outcome is what became of one item of a command.
type outcome struct {
	Name   string `json:"name"`
	Status string `json:"status"`
	Error  string `json:"error,omitempty"`
}

// outcomes prints what became of each item, and fails if one failed (H1).
func (g *globals) outcomes(cmd *cobra.Command, done string, names []string, errs map[string]error) error {
	out := []outcome{}
	failed := 0
	for _, n := range names {
		o := outcome{Name: n, Status: done}
		if err := errs[n]; err != nil {
			o.Status, o.Error = "failed", err.Error()
			failed++
		}
		out = append(out, o)
	}
	err := g.print(cmd, out, func(t *table) {
		t.row("NAME", "STATUS")
		for _, o := range out {
			if o.Error != "" {
				t.row(o.Name, o.Status+": "+o.Error)
			} else {
				t.row(o.Name, o.Status)
			}
		}
	})
	if err == nil && failed > 0 {
		err = &exit{code: exitError}
	}
	return err
}

// note says something on standard error that is no result.
func (g *globals) note(cmd *cobra.Command, format string, args ...any) {
	if !g.quiet {
		fmt.Fprintf(cmd.ErrOrStderr(), format+"\n", args...)
	}
}

// confirm asks before something is destroyed (H3). Without a terminal it wants --yes.
func (g *globals) confirm(cmd *cobra.Command, question string) error {
	if g.yes {
		return nil
	}
	question += g.from
	in := cmd.InOrStdin()
	if !isTerminal(in) || !isTerminal(cmd.ErrOrStderr()) {
		return usage("%s There is nobody to ask: --yes says so beforehand", question)
	}
	fmt.Fprint(cmd.ErrOrStderr(), question+" [y/N] ")
	line, err := bufio.NewReader(&heeding{cmd.Context(), in}).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("nothing was changed: %w", err)
	}
	if a := strings.ToLower(strings.TrimSpace(line)); a != "y" && a != "yes" {
		return errors.New("nothing was changed")
	}
	return nil
}

// isTerminal reports whether a reader or writer is somebody's terminal.
func isTerminal(x any) bool {
	f, ok := x.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && info.Name() != "null"
}

// isColorful reports whether escape codes are welcome (no-color.org).
func isColorful(w io.Writer) bool {
	return isTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}
