package gossip

import (
	"context"
	"net"
)

// Network is how brokers listen and reach each other. Addresses are HOST:PORT with an
// IP address for HOST when one listens; port 0 takes a free one. What it returns
// behaves as TCP and UDP do: errors of a Dial that was refused are ECONNREFUSED, of a
// Listen at a port that is taken EADDRINUSE. All methods may be called from many
// goroutines; Dial blocks until it is connected, refused, or ctx ends.
type Network interface {
	Listen(ctx context.Context, address string) (net.Listener, error)
	ListenPacket(ctx context.Context, address string) (net.PacketConn, error)
	Dial(ctx context.Context, address string) (net.Conn, error)
}

// Machine is the network of the machine that the process runs on.
type Machine struct{}

var _ Network = Machine{}

// Listen implements Network with TCP.
func (Machine) Listen(ctx context.Context, address string) (net.Listener, error) {
	return (&net.ListenConfig{}).Listen(ctx, "tcp", address)
}

// ListenPacket implements Network with UDP.
func (Machine) ListenPacket(ctx context.Context, address string) (net.PacketConn, error) {
	return (&net.ListenConfig{}).ListenPacket(ctx, "udp", address)
}

// Dial implements Network with TCP.
func (Machine) Dial(ctx context.Context, address string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "tcp", address)
}
