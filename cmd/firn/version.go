package main

import (
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

// version is set by the linker; otherwise the module's version counts.
var version = ""

func programVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return strings.Trim(info.Main.Version, "()")
	}
	return "devel"
}

// newVersion prints which program this is.
func newVersion(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the program's version",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a := struct {
				Version string `json:"version"`
				Go      string `json:"go"`
			}{Version: programVersion()}
			if info, ok := debug.ReadBuildInfo(); ok {
				a.Go = info.GoVersion
			}
			return g.print(cmd, a, func(t *table) { t.row("firn " + a.Version + " (" + a.Go + ")") })
		},
	}
}
