package localstack

import "syscall"

// hasAttributes reports whether files of the folder can bear extended attributes.
func hasAttributes(dir string) bool {
	const name = "user.firn.try"
	if err := syscall.Setxattr(dir, name, []byte{1}, 0); err != nil {
		return false
	}
	return syscall.Removexattr(dir, name) == nil
}
