package main

import "github.com/spf13/cobra"

// profileLine is one profile in a list.
type profileLine struct {
	Name   string  `json:"name"`
	InUse  bool    `json:"in_use"`
	Values profile `json:"values"`
}

// profileList lists the profiles.
func profileList(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:               "list",
		Aliases:           []string{"ls"},
		Short:             "List profiles",
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f, err := readProfiles()
			if err != nil {
				return err
			}
			used := g.profileIn(f)
			lines := []profileLine{{noProfile, used == noProfile, profile{}}}
			for _, n := range f.names() {
				lines = append(lines, profileLine{n, used == n, f.Profiles[n]})
			}
			return g.print(cmd, lines, func(t *table) {
				t.row("NAME", "IN-USE", "BROKERS", "STORE")
				for _, l := range lines {
					use := "-"
					if l.InUse {
						use = "yes"
					}
					t.row(l.Name, use, orDash(l.Values["brokers"]), orDash(l.Values["store"]))
				}
			})
		},
	}
}
