//go:build !linux

package localstack

// hasAttributes reports whether files of the folder can bear extended attributes.
func hasAttributes(string) bool { return false }
