// Command firn is a Kafka-compatible log on object storage: broker, development
// stack and tools in one program.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// version is set by the linker; otherwise the module's version counts.
var version = ""

// Exit codes.
const (
	exitOK      = 0
	exitError   = 1 // an error, or any item failed
	exitUsage   = 2
	exitProblem = 3 // verify, doctor or health found a problem
)

// exitError carries an exit code; quiet ones have said all that there is.
type exit struct {
	code int
	err  error
}

func (e *exit) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exit) Unwrap() error { return e.err }

func usage(format string, args ...any) error {
	return &exit{exitUsage, fmt.Errorf(format, args...)}
}

func main() {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		<-signals
		cancel()
		<-signals // the second one ends at once
		os.Exit(130)
	}()
	os.Exit(run(ctx, os.Args[1:]))
}

// run is the program: its exit code.
func run(ctx context.Context, args []string) int {
	root := newRoot()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	code := exitError
	var e *exit
	if errors.As(err, &e) {
		code = e.code
	}
	if text := err.Error(); text != "" {
		fmt.Fprintln(root.ErrOrStderr(), "firn: "+text)
	}
	return code
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "firn",
		Short:         "A Kafka-compatible log on object storage",
		Long:          "Firn is a Kafka-compatible log whose records live in object storage: a bucket and any number of identical brokers.",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage("unknown command %q; firn --help lists them", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage("%w; %s --help lists the flags", err, cmd.CommandPath())
	})
	g := &globals{}
	f := root.PersistentFlags()
	f.StringVar(&g.brokers, "brokers", envOr("FIRN_BROKERS", "localhost:9092"), "HOST:PORT,… of brokers, for client commands")
	f.StringVar(&g.format, "format", "text", "how to print: text, wide, json or yaml")
	f.BoolVar(&g.json, "json", false, "the same as --format json")
	f.DurationVar(&g.timeout, "timeout", defaultTimeout, "how long a client command may take")
	f.BoolVarP(&g.yes, "yes", "y", false, "do not ask before something is destroyed")
	f.BoolVarP(&g.quiet, "quiet", "q", false, "print results only")
	root.AddCommand(newDev(g), newBroker(g), newTopic(g), newProduce(g), newConsume(g), newObject(g), newVersion(g))
	return root
}

func envOr(name, def string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return def
}

func programVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return strings.Trim(info.Main.Version, "()")
	}
	return "devel"
}

func newVersion(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the program's version",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			type answer struct {
				Version string `json:"version" yaml:"version"`
				Go      string `json:"go" yaml:"go"`
			}
			a := answer{Version: programVersion()}
			if info, ok := debug.ReadBuildInfo(); ok {
				a.Go = info.GoVersion
			}
			return g.print(cmd, a, func(t *table) { t.row("firn " + a.Version + " (" + a.Go + ")") })
		},
	}
}

func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage("%s takes no arguments, got %q", cmd.CommandPath(), args)
	}
	return nil
}

func exactArgs(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return usage("%s wants %s; see %s --help", cmd.CommandPath(), what, cmd.CommandPath())
		}
		return nil
	}
}

func someArgs(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usage("%s wants %s; see %s --help", cmd.CommandPath(), what, cmd.CommandPath())
		}
		return nil
	}
}
