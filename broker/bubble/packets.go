package bubble

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"
)

// queued is how many packets wait for a process that does not read.
const queued = 256

// packets is a net.PacketConn without deadlines.
type packets struct {
	p    *Process
	at   netip.AddrPort
	come chan packet
	once sync.Once
	done chan struct{}
}

type packet struct {
	b    []byte
	from netip.AddrPort
	at   time.Time // when it arrives
}

// ListenPacket implements gossip.Network.
func (p *Process) ListenPacket(_ context.Context, at string) (net.PacketConn, error) {
	var c *packets
	err := p.take("udp", at, func(ap netip.AddrPort) interface{ abort() } {
		c = &packets{p: p, at: ap, come: make(chan packet, queued), done: make(chan struct{})}
		return c
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// ReadFrom implements net.PacketConn.
func (c *packets) ReadFrom(b []byte) (int, net.Addr, error) {
	closed := &net.OpError{Op: "read", Net: "udp", Addr: c.LocalAddr(), Err: net.ErrClosed}
	select {
	case <-c.done:
		return 0, nil, closed
	case k := <-c.come:
		if wait := time.Until(k.at); wait > 0 {
			t := time.NewTimer(wait)
			defer t.Stop()
			select {
			case <-t.C:
			case <-c.done:
				return 0, nil, closed
			}
		}
		if c.p.Await() != nil {
			return 0, nil, closed
		}
		return copy(b, k.b), net.UDPAddrFromAddrPort(k.from), nil
	}
}

// WriteTo implements net.PacketConn. A packet is lost when the link is cut, when
// it is chosen to be, when nobody listens, and when too many wait already.
func (c *packets) WriteTo(b []byte, to net.Addr) (int, error) {
	if err := c.p.Await(); err != nil {
		return 0, err
	}
	there, ok := c.p.net.at("udp", to.String()).(*packets)
	if !ok {
		return len(b), nil
	}
	if flows, _ := c.p.net.flows(c.p.host, there.p.host); flows && !c.p.net.loses(b) {
		select {
		case there.come <- packet{append([]byte(nil), b...), c.at, time.Now().Add(c.p.net.latency)}:
		default:
		}
	}
	return len(b), nil
}

// Close implements net.PacketConn.
func (c *packets) Close() error {
	c.p.forget(c)
	c.abort()
	return nil
}

func (c *packets) abort() {
	c.once.Do(func() {
		c.p.give("udp", c.at)
		close(c.done)
	})
}

// LocalAddr implements net.PacketConn.
func (c *packets) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(c.at) }

// SetDeadline implements net.PacketConn. It does nothing.
func (*packets) SetDeadline(time.Time) error { return nil }

// SetReadDeadline implements net.PacketConn. It does nothing.
func (*packets) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline implements net.PacketConn. It does nothing.
func (*packets) SetWriteDeadline(time.Time) error { return nil }
