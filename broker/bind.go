package broker

import (
	"errors"
	"fmt"
	"net"
	"syscall"
)

// unbound says what to do about a listener that a setting names and that does not open.
func unbound(setting string, err error) error {
	why := "another process has the port: choose one with --%s HOST:PORT, or 0 for a free one"
	var name *net.DNSError
	switch {
	case errors.Is(err, syscall.EADDRNOTAVAIL), errors.As(err, &name):
		why = "this machine has no such address: --%s 0.0.0.0:PORT listens at all that it has"
	case errors.Is(err, syscall.EACCES):
		why = "ports below 1024 are not everybody's: choose a higher one with --%s HOST:PORT"
	}
	return fmt.Errorf("%s: %w ("+why+")", setting, err, setting)
}
