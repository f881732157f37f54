//go:build unix && !linux

package localstack

import "syscall"

// childOf is a child in a process group of its own: a Ctrl-C is for the parent,
// which still has something to put into the store.
func childOf() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
