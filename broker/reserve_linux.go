package broker

import (
	"net"
	"syscall"
)

// reserve keeps the port of a listener that is about to be closed from being given to
// anybody's outgoing connection, this broker's to its bucket above all, until release is
// called. Nobody listens meanwhile: who comes is refused. It does what it can, and says
// nothing of what it cannot: the port is asked for again anyway.
func reserve(ln net.Listener) (release func()) {
	nothing := func() {}
	tcp, ok := ln.(*net.TCPListener)
	if !ok {
		return nothing // of no system
	}
	at := tcp.Addr().(*net.TCPAddr)
	family, to := syscall.AF_INET6, syscall.Sockaddr(&syscall.SockaddrInet6{Port: at.Port, Addr: [16]byte(at.IP.To16())})
	if v4 := at.IP.To4(); v4 != nil {
		family, to = syscall.AF_INET, &syscall.SockaddrInet4{Port: at.Port, Addr: [4]byte(v4)}
	}
	fd, err := syscall.Socket(family, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nothing
	}
	// A listener has the option as well, and two that have it may be bound to one port as
	// long as one of them does not listen.
	err = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	if err == nil && family == syscall.AF_INET6 {
		_ = syscall.SetsockoptInt(fd, syscall.IPPROTO_IPV6, syscall.IPV6_V6ONLY, 0) // all addresses are those of IPv4, too
	}
	if err == nil {
		tcp.Close()
		err = syscall.Bind(fd, to)
	}
	if err != nil {
		syscall.Close(fd)
		return nothing
	}
	return func() { syscall.Close(fd) }
}
