package s3wire

import (
	"context"
	"syscall"

	"golang.org/x/sys/unix"
)

// bound sets TCP_USER_TIMEOUT on a new socket. One that does not take it, such as
// a Unix socket of a proxy, does without.
func bound(_ context.Context, _, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(silenceLimit.Milliseconds()))
	})
}
