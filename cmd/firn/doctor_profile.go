package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// profiles are what a broker can be asked for, and whether that takes time.
var profiles = map[string]bool{
	"cpu": true, "trace": true,
	"heap": false, "allocs": false, "goroutine": false, "mutex": false, "block": false, "threadcreate": false,
}

// profiling is one run of firn doctor profile.
type profiling struct {
	http, out string
	took      time.Duration
}

// doctorProfile fetches a profile of a broker.
func doctorProfile(g *globals) *cobra.Command {
	p := &profiling{}
	kinds := []string{"cpu", "trace", "heap", "allocs", "goroutine", "mutex", "block", "threadcreate"}
	cmd := &cobra.Command{
		Use:   "profile [" + strings.Join(kinds, "|") + "]",
		Short: "Fetch a profile of a running broker",
		Long: `Fetch a profile of a running broker, for go tool pprof (and trace, for go tool trace), by
default that of its CPU. The broker must serve them: http.pprof=true.`,
		Example: `  firn doctor profile --http broker-1:8080 --for 30s && go tool pprof -http : firn-cpu.pprof
  firn doctor profile heap --out - | go tool pprof -top -`,
		Args:      cobra.MaximumNArgs(1),
		ValidArgs: kinds,
		RunE: func(cmd *cobra.Command, args []string) error {
			kind := "cpu"
			if len(args) == 1 {
				kind = args[0]
			}
			if !slices.Contains(kinds, kind) {
				return usage("unknown profile %q: want one of %s", kind, strings.Join(kinds, ", "))
			}
			if p.took < time.Second && profiles[kind] {
				return usage("--for %v: want a second or more", p.took)
			}
			return p.run(g, cmd, kind)
		},
	}
	f := cmd.Flags()
	f.StringVar(&p.http, "http", "localhost:8080", "`HOST:PORT` of the broker's HTTP listener")
	f.StringVarP(&p.out, "out", "O", "", "the `FILE`; - is standard output (default firn-KIND.pprof)")
	f.DurationVar(&p.took, "for", 10*time.Second, "how long to look, for cpu and trace")
	_ = cmd.RegisterFlagCompletionFunc("http", cobra.NoFileCompletions)
	return cmd
}

func (p *profiling) run(g *globals, cmd *cobra.Command, kind string) error {
	page, patience := "/debug/pprof/"+kind, g.timeout
	if kind == "cpu" {
		page = "/debug/pprof/profile"
	}
	if profiles[kind] {
		page += fmt.Sprintf("?seconds=%d", int(p.took.Round(time.Second)/time.Second))
		patience += p.took
		g.note(cmd, "looking for %v", p.took.Round(time.Second))
	}
	body, err := get(cmd.Context(), p.http, page, patience)
	var status *statusError
	if errors.As(err, &status) && status.code == http.StatusNotFound {
		return fmt.Errorf("%s serves no profiles: start that broker with --http-pprof true, where its HTTP port is not open to everybody", p.http)
	}
	if err != nil {
		return err
	}
	defer body.Close()
	if p.out == "-" {
		_, err = io.Copy(cmd.OutOrStdout(), body)
		return err
	}
	name := p.out
	if name == "" {
		name = "firn-" + kind + ".pprof"
	}
	if err := writeWhole(name, body); err != nil {
		return err
	}
	g.note(cmd, "wrote %s", name)
	return nil
}

// writeWhole writes a file that is there as a whole or not at all. What is there and is no
// file, such as /dev/null, is written to and not replaced.
func writeWhole(name string, from io.Reader) (err error) {
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
		_, err = io.Copy(f, from)
		return errors.Join(err, f.Close())
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".firn-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
			err = fmt.Errorf("write %s: %w", name, err)
		}
	}()
	if _, err = io.Copy(f, from); err != nil {
		f.Close()
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
