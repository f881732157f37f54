package main

import "github.com/spf13/cobra"

// profileShow shows one profile: that in use, if none is named.
func profileShow(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:               "show [NAME]",
		Short:             "Show a profile, or the one in use",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: completeProfiles,
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := readProfiles()
			if err != nil {
				return err
			}
			used := g.profileIn(f)
			l := profileLine{Name: used}
			if len(args) == 1 {
				l.Name = args[0]
			}
			if l.Values, err = f.get(l.Name); err != nil {
				return err
			}
			l.InUse = l.Name == used
			return g.print(cmd, l, func(t *table) {
				t.row("NAME", l.Name)
				for _, n := range profileNames {
					if v := l.Values[n]; v != "" {
						t.row(n, v)
					}
				}
			})
		},
	}
}
