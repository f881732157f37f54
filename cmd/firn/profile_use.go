package main

import "github.com/spf13/cobra"

// profileUse chooses the profile of all commands from then on.
func profileUse(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:               "use NAME",
		Short:             "Use a profile from now on; default is none",
		Args:              exactArgs(1, "the name of a profile; firn profile list shows them"),
		ValidArgsFunction: completeProfiles,
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := readProfiles()
			if err != nil {
				return err
			}
			if _, err := f.get(args[0]); err != nil {
				return err
			}
			f.Current = args[0]
			if err := f.write(); err != nil {
				return err
			}
			return g.outcomes(cmd, "in use", args, nil)
		},
	}
}
