//go:build !planted

package planted

// Is reports whether this build has the bug.
func Is(Bug) bool { return false }
