package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/lmittmann/tint"
	"github.com/spf13/cobra"

	"github.com/firnlog/firn/broker"
	"github.com/firnlog/firn/broker/settings"
)

// settingFlags gives a command every setting as a flag, and -X.
type settingFlags struct {
	cmd    *cobra.Command
	extra  []string
	config string
}

func addSettings(cmd *cobra.Command) *settingFlags {
	s := &settingFlags{cmd: cmd}
	f := cmd.Flags()
	for _, spec := range settings.All() {
		f.String(spec.FlagName(), "", spec.Doc+defaultText(spec))
		if spec.Alias != "" {
			f.String(spec.Alias, "", "the same as --"+spec.FlagName())
		}
	}
	f.StringArrayVarP(&s.extra, "set", "X", nil, "a setting by its dotted name: -X num.partitions=3")
	f.StringVar(&s.config, "config", "", "a YAML file of settings")
	return s
}

func defaultText(s settings.Spec) string {
	if s.Default == "" {
		return ""
	}
	return " (default " + s.Default + ")"
}

// values merges flags, -X, environment and file; under is what the command sets
// where nobody else does.
func (s *settingFlags) values(under map[string]string) (*settings.Values, error) {
	flags := settings.Source{Name: "flag", Values: map[string]string{}}
	for _, spec := range settings.All() {
		for flag, name := range map[string]string{spec.FlagName(): spec.Name, spec.Alias: spec.Alias} {
			if f := s.cmd.Flags().Lookup(flag); f != nil && f.Changed {
				flags.Values[name] = f.Value.String()
			}
		}
	}
	xs := settings.Source{Name: "-X", Values: map[string]string{}}
	for _, kv := range s.extra {
		k, v, ok := strings.Cut(kv, "=")
		if !ok {
			return nil, usage("-X %q: want name=value", kv)
		}
		xs.Values[k] = v
	}
	sources := []settings.Source{flags, xs, settings.Environment(os.Environ(), "FIRN_BROKERS")}
	if s.config != "" {
		f, err := settings.File(s.config)
		if err != nil {
			return nil, &exit{exitUsage, err}
		}
		sources = append(sources, f)
	}
	v, err := settings.New(append(sources, settings.Source{Name: "default", Values: under})...)
	if err != nil {
		return nil, &exit{exitUsage, err}
	}
	return v, nil
}

func logger(v *settings.Values, w io.Writer) *slog.Logger {
	if v.Get("log.format") == "text" {
		return slog.New(tint.NewHandler(w, &tint.Options{NoColor: !isTerminal(w)}))
	}
	return slog.New(slog.NewJSONHandler(w, nil))
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func newBroker(_ *globals) *cobra.Command {
	var s *settingFlags
	cmd := &cobra.Command{
		Use:   "broker --store URL",
		Short: "Run one of N identical brokers",
		Long: `Run a broker. Brokers are identical and keep nothing that the bucket does not have:
any of them may be killed at any time.

Every setting is a flag, a FIRN_… environment variable and a YAML key; the first
of these wins, in that order. When the broker serves, it prints one line:

  ready kafka=HOST:PORT http=HOST:PORT gossip=HOST:PORT node=N`,
		Example: "  firn broker --store 's3://bucket/prefix?region=eu-central-1' --data-dir /var/lib/firn --listeners 0.0.0.0:9092",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v, err := s.values(nil)
			if err != nil {
				return err
			}
			if v.Get("store") == "" {
				return usage("--store is not set: want s3://bucket/prefix, minio://host:port/bucket/prefix, file:///dir or mem://")
			}
			return serve(cmd.Context(), v, logger(v, cmd.ErrOrStderr()), func(a broker.Addresses) {
				fmt.Fprintln(cmd.OutOrStdout(), "ready "+a.String())
			})
		},
	}
	s = addSettings(cmd)
	return cmd
}

// serve opens the store and runs a broker on it.
func serve(ctx context.Context, v *settings.Values, log *slog.Logger, ready func(broker.Addresses)) error {
	store, place, err := broker.OpenStore(ctx, v.Get("store"), log)
	if err != nil {
		return err
	}
	return broker.Run(ctx, broker.Options{Settings: v, Store: store, Place: place, Logger: log}, ready)
}
