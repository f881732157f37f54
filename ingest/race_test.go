//go:build race

package ingest

// Under the race detector, which has nothing to find in a pure machine, the model
// leaves out its larger scopes.
func init() { underRace = true }
