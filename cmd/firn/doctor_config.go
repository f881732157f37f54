package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/firnlog/firn/broker"
	"github.com/firnlog/firn/broker/settings"
	"github.com/firnlog/firn/tier/cold/open"
)

// configLine is one setting that somebody has given.
type configLine struct {
	Name    string `json:"name"`
	Value   string `json:"value"`
	Default string `json:"default"`
}

// doctorConfig checks what a broker would be started with.
func doctorConfig(g *globals) *cobra.Command {
	var s *settingFlags
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Check a broker's settings without starting it",
		Long: `Read settings as firn broker would, from flags, -X, FIRN_… variables and the file that
--config names, and show those that differ from their defaults (with --format wide all
of them). Exit code 2 when a name or value is not legal, and which. The bucket is not
asked: see firn doctor storage.`,
		Example:           "  firn doctor config --config /etc/firn.yaml",
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v, err := s.values(nil, nil)
			if err != nil {
				return err
			}
			if url := v.Get("store"); url != "" {
				if _, err := open.Parse(url); err != nil {
					return usage("store: %w", err)
				}
			}
			lines := []configLine{}
			for _, spec := range settings.All() {
				value := v.Get(spec.Name)
				if value == spec.Default && g.format != "wide" {
					continue
				}
				if spec.Secret && value != "" {
					value = broker.RedactURL(value) // H4
				}
				lines = append(lines, configLine{spec.Name, value, spec.Default})
			}
			return g.print(cmd, lines, func(t *table) {
				t.row("SETTING", "VALUE", "DEFAULT")
				for _, l := range lines {
					t.row(l.Name, l.Value, l.Default)
				}
				if v.Get("store") == "" {
					fmt.Fprintln(t.w, "store is not set: firn broker wants it")
				}
			})
		},
	}
	s = addSettings(g, cmd)
	return cmd
}
