package main

import "github.com/spf13/cobra"

// newDoctor groups what finds out why something does not work.
func newDoctor(g *globals) *cobra.Command {
	return newGroup("doctor", "Examine a bucket, the way to the brokers, settings, or a process",
		doctorStorage(g), doctorConnect(g), doctorConfig(g), doctorProfile(g))
}
