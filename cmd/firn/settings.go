package main

import (
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/lmittmann/tint"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/firnlog/firn/broker/settings"
)

// settingFlags gives a command every setting of a broker as a flag.
type settingFlags struct {
	g      *globals
	cmd    *cobra.Command
	config string
}

// addSettings adds the flags. The help lists the common ones.
func addSettings(g *globals, cmd *cobra.Command) *settingFlags {
	s := &settingFlags{g: g, cmd: cmd}
	if cmd.Annotations == nil {
		cmd.Annotations = map[string]string{}
	}
	cmd.Annotations[isBroker] = "true"
	f := cmd.Flags()
	for _, spec := range settings.All() {
		names := []string{spec.FlagName()}
		if spec.Alias != "" {
			names = []string{spec.Alias, spec.FlagName()}
		}
		for i, name := range names {
			text := spec.Doc
			if spec.Default != "" {
				text += " Default " + spec.Default + "."
			}
			f.Var(&settingValue{def: spec.Default}, name, text)
			if !spec.Common || i > 0 {
				_ = f.MarkHidden(name)
			}
			if len(spec.Values) > 0 {
				_ = cmd.RegisterFlagCompletionFunc(name, words(spec.Values...))
			}
		}
	}
	f.StringVar(&s.config, "config", "", "a YAML file of settings")
	_ = cmd.MarkFlagFilename("config", "yaml", "yml")
	return s
}

// settingValue is a flag that is checked with all other sources, later.
type settingValue struct{ text, def string }

func (v *settingValue) String() string     { return v.text }
func (v *settingValue) Set(s string) error { v.text = s; return nil }
func (v *settingValue) Type() string       { return "value" }

// sources are where settings come from, the first winning.
func (s *settingFlags) sources() ([]settings.Source, error) {
	flags := settings.Source{Name: "flag", Values: map[string]string{}, At: map[string]string{}}
	s.cmd.Flags().Visit(func(f *pflag.Flag) {
		if _, ok := f.Value.(*settingValue); ok {
			name := strings.ReplaceAll(f.Name, "-", ".")
			flags.Values[name], flags.At[name] = f.Value.String(), "flag --"+f.Name
		}
	})
	pairs := settings.Source{Name: "-X", Values: map[string]string{}}
	for _, kv := range s.g.pairs {
		k, v, ok := strings.Cut(kv, "=")
		if !ok {
			return nil, usage("-X %q: want NAME=VALUE", strings.TrimSpace(kv))
		}
		pairs.Values[k] = v
	}
	all := []settings.Source{flags, pairs, settings.Environment(os.Environ(), clientVariable("brokers"), clientVariable("format"), clientVariable("profile"), clientVariable("timeout"))}
	if s.config != "" {
		f, err := settings.File(s.config)
		if err != nil {
			return nil, &exit{exitUsage, err}
		}
		all = append(all, f)
	}
	return all, nil
}

// values merges what was given; over wins over it, under holds where nothing was
// given. Both may be nil.
func (s *settingFlags) values(over, under map[string]string) (*settings.Values, error) {
	given, err := s.sources()
	if err != nil {
		return nil, err
	}
	all := append([]settings.Source{{Name: s.cmd.CommandPath(), Values: over}}, given...)
	v, err := settings.New(append(all, settings.Source{Name: s.cmd.CommandPath(), Values: under})...)
	if err != nil {
		return nil, &exit{exitUsage, err}
	}
	return v, nil
}

// logger logs as log.format and log.level say.
func logger(v *settings.Values, w io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(v.Get("log.level"))) // one of its names, the table says
	if v.Get("log.format") == "text" {
		return slog.New(tint.NewTextHandler(w, &tint.Options{NoColor: !isColorful(w), Level: level}))
	}
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: readable}))
}

// readable writes durations as people do: slog writes nanoseconds.
func readable(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.StringValue(a.Value.Duration().Round(time.Millisecond).String())
	}
	return a
}

// newSettingsHelp is `firn help settings`: a page, not a command.
func newSettingsHelp() *cobra.Command {
	return &cobra.Command{Use: "settings", Short: "Every setting of a broker", Long: settings.Help()}
}

// flagSets are the names of the flags that a command takes.
func flagSets(cmd *cobra.Command) [][]string {
	var own, all []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { own = append(own, f.Name) })
	cmd.InheritedFlags().VisitAll(func(f *pflag.Flag) { all = append(all, f.Name) })
	return [][]string{own, all}
}
