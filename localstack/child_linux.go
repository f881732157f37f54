package localstack

import "syscall"

// childOf is a child that dies with its parent, in a process group of its own: a
// Ctrl-C is for the parent, which still has something to put into the store.
func childOf() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
