//go:build !unix

package localstack

import "syscall"

// childOf is never used: tryLock has refused before.
func childOf() *syscall.SysProcAttr { return nil }
