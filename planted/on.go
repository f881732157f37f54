//go:build planted

package planted

var bug string // set by the linker

// Is reports whether this build has the bug.
func Is(b Bug) bool { return bug == string(b) }
