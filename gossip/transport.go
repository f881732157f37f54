package gossip

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/memberlist"
)

// transport is memberlist.Transport on a Network: packets for probes and gossip,
// streams for whole states, both at one port. memberlist's own leaves goroutines
// behind that want to hand over a packet when nobody takes it any more.
type transport struct {
	network   Network
	streams   net.Listener
	packets   net.PacketConn
	advertise net.IP
	port      int

	packetCh chan *memberlist.Packet
	streamCh chan net.Conn
	ctx      context.Context // ends with Shutdown: memberlist has no contexts
	stop     context.CancelFunc
	loops    sync.WaitGroup
}

var _ memberlist.Transport = (*transport)(nil)

// portTries is how many free ports are tried until one is free for streams and for
// packets.
const portTries = 10

// newTransport listens at the address. With port 0 it takes one that is free for
// streams and packets.
func newTransport(ctx context.Context, n Network, bind net.IP, port int, advertise net.IP) (*transport, error) {
	t := &transport{network: n, advertise: advertise, packetCh: make(chan *memberlist.Packet), streamCh: make(chan net.Conn)}
	var err error
	for range portTries {
		if err = t.listen(ctx, bind, port); err == nil || port != 0 || !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	// Bursts wait in the kernel for as long as this process gets no CPU.
	if u, ok := t.packets.(interface{ SetReadBuffer(int) error }); ok {
		for size := 2 << 20; size > 0 && u.SetReadBuffer(size) != nil; size /= 2 {
		}
	}
	t.ctx, t.stop = context.WithCancel(context.WithoutCancel(ctx))
	t.loops.Go(t.accept)
	t.loops.Go(t.receive)
	return t, nil
}

func (t *transport) listen(ctx context.Context, bind net.IP, port int) (err error) {
	if t.streams, err = t.network.Listen(ctx, net.JoinHostPort(bind.String(), strconv.Itoa(port))); err != nil {
		return err
	}
	at, err := netip.ParseAddrPort(t.streams.Addr().String())
	if err == nil {
		t.port = int(at.Port())
		t.packets, err = t.network.ListenPacket(ctx, net.JoinHostPort(bind.String(), strconv.Itoa(t.port)))
	}
	if err != nil {
		t.streams.Close()
	}
	return err
}

// breath is how long a loop waits after an error that may pass.
const breath = 50 * time.Millisecond

func (t *transport) breathe() {
	timer := time.NewTimer(breath)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.ctx.Done():
	}
}

// accept hands streams over until Shutdown.
func (t *transport) accept() {
	for t.ctx.Err() == nil {
		c, err := t.streams.Accept()
		if err != nil {
			t.breathe()
			continue
		}
		select {
		case t.streamCh <- c:
		case <-t.ctx.Done():
			c.Close()
		}
	}
}

// packetMost is the largest packet of UDP.
const packetMost = 64 << 10

// receive hands packets over until Shutdown.
func (t *transport) receive() {
	for t.ctx.Err() == nil {
		buf := make([]byte, packetMost) // memberlist keeps it
		n, from, err := t.packets.ReadFrom(buf)
		now := time.Now()
		if err != nil {
			t.breathe()
			continue
		}
		if n == 0 {
			continue
		}
		select {
		case t.packetCh <- &memberlist.Packet{Buf: buf[:n], From: from, Timestamp: now}:
		case <-t.ctx.Done():
		}
	}
}

// FinalAdvertiseAddr implements memberlist.Transport.
func (t *transport) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	if v4 := t.advertise.To4(); v4 != nil {
		return v4, t.port, nil
	}
	return t.advertise, t.port, nil
}

// WriteTo implements memberlist.Transport.
func (t *transport) WriteTo(b []byte, addr string) (time.Time, error) {
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return time.Time{}, fmt.Errorf("gossip: send to %s: %w", addr, err)
	}
	_, err = t.packets.WriteTo(b, net.UDPAddrFromAddrPort(to))
	return time.Now(), err
}

// PacketCh implements memberlist.Transport.
func (t *transport) PacketCh() <-chan *memberlist.Packet { return t.packetCh }

// DialTimeout implements memberlist.Transport. It ends early with Shutdown.
func (t *transport) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(t.ctx, timeout)
	defer cancel()
	return t.network.Dial(ctx, addr)
}

// StreamCh implements memberlist.Transport.
func (t *transport) StreamCh() <-chan net.Conn { return t.streamCh }

// Shutdown implements memberlist.Transport. Both loops have ended when it returns.
func (t *transport) Shutdown() error {
	t.stop()
	err := errors.Join(t.streams.Close(), t.packets.Close())
	t.loops.Wait()
	return err
}
