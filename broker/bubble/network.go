package bubble

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// Network connects hosts. It belongs to the bubble in which it was made. All methods
// of it and of what it makes may be called from many goroutines.
type Network struct {
	latency time.Duration

	mu      sync.Mutex
	places  map[place]any      // *listener or *packets, guarded by mu
	cut     map[[2]string]bool // from host, to host; guarded by mu
	lost    func([]byte) bool  // which packets are lost besides; guarded by mu
	changed chan struct{}      // closed when cut, or what a process is, changes; guarded by mu
	dialled uint16             // the last port that somebody dialled from; guarded by mu
}

// place is where one listens.
type place struct {
	proto string
	at    netip.AddrPort
}

// NewNetwork makes a network in which everything takes latency from one host to
// another.
func NewNetwork(latency time.Duration) *Network {
	return &Network{latency: latency, places: map[place]any{}, cut: map[[2]string]bool{}, changed: make(chan struct{})}
}

// Cut loses what is sent from one host to another, until Mend.
func (n *Network) Cut(from, to string) {
	n.change(func() { n.cut[[2]string{from, to}] = true })
}

// Part cuts every link between two groups of hosts, in both directions.
func (n *Network) Part(some, others []string) {
	n.change(func() {
		for _, a := range some {
			for _, b := range others {
				n.cut[[2]string{a, b}], n.cut[[2]string{b, a}] = true, true
			}
		}
	})
}

// Lose loses the packets that are chosen, until Mend.
func (n *Network) Lose(chosen func(packet []byte) bool) { n.change(func() { n.lost = chosen }) }

// Mend makes all links whole. What waited in connections goes on.
func (n *Network) Mend() {
	n.change(func() {
		clear(n.cut)
		n.lost = nil
	})
}

// change does something to what processes wait for.
func (n *Network) change(do func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	do()
	close(n.changed)
	n.changed = make(chan struct{})
}

// flows reports whether what one host sends reaches another, and the channel that is
// closed when that may have changed.
func (n *Network) flows(from, to string) (bool, <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return !n.cut[[2]string{from, to}], n.changed
}

// loses reports whether a packet is lost on a whole link.
func (n *Network) loses(packet []byte) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.lost != nil && n.lost(packet)
}

// look is what holds between two processes at one moment.
type look struct {
	from, to    state
	there, back bool
	changed     <-chan struct{} // closed when that may have changed
}

func (n *Network) look(from, to *Process) look {
	n.mu.Lock()
	defer n.mu.Unlock()
	return look{from.state, to.state, !n.cut[[2]string{from.host, to.host}], !n.cut[[2]string{to.host, from.host}], n.changed}
}

// state is what becomes of a process.
type state uint8

const (
	running state = iota
	paused
	killed
)

// Process is what runs on a host and listens and dials there. It is gossip.Network.
type Process struct {
	net  *Network
	host string

	// Guarded by net.mu.
	state state
	open  map[interface{ abort() }]bool // listeners, packets and ends of connections
}

// Boot starts a process on the host with an IP address.
func (n *Network) Boot(host string) *Process {
	return &Process{net: n, host: host, open: map[interface{ abort() }]bool{}}
}

// Host is the address of its host.
func (p *Process) Host() string { return p.host }

// Kill ends the process: its listeners and connections are closed by the kernel, and
// whoever is at the other end of one is told if the link is whole.
func (p *Process) Kill() {
	var open []interface{ abort() }
	p.net.change(func() {
		p.state = killed
		for x := range p.open {
			open = append(open, x)
		}
		clear(p.open)
	})
	for _, x := range open {
		x.abort()
	}
}

// Pause stops the process: its host takes connections and data, and it serves none.
func (p *Process) Pause() { p.be(paused) }

// Resume lets a paused process go on.
func (p *Process) Resume() { p.be(running) }

func (p *Process) be(s state) {
	p.net.change(func() {
		if p.state != killed {
			p.state = s
		}
	})
}

// Await returns when the process runs: nil, or ErrKilled when it never will.
func (p *Process) Await() error {
	for {
		p.net.mu.Lock()
		s, changed := p.state, p.net.changed
		p.net.mu.Unlock()
		switch s {
		case running:
			return nil
		case killed:
			return ErrKilled
		}
		<-changed
	}
}

// ErrKilled is what a process sees that was killed.
var ErrKilled = errors.New("this process was killed")

func (p *Process) forget(x interface{ abort() }) {
	p.net.mu.Lock()
	defer p.net.mu.Unlock()
	delete(p.open, x)
}

func refused(op, proto, at string, err error) error {
	return &net.OpError{Op: op, Net: proto, Addr: address(at), Err: os.NewSyscallError(op, err)}
}

// address is a net.Addr.
type address string

// Network implements net.Addr.
func (address) Network() string { return "bubble" }

// String implements net.Addr.
func (a address) String() string { return string(a) }

// firstPort is the first that is taken for port 0.
const firstPort = 30000

// take puts what make makes at an address of this process's host.
func (p *Process) take(proto, at string, make func(netip.AddrPort) interface{ abort() }) error {
	ap, err := netip.ParseAddrPort(at)
	if err != nil {
		return fmt.Errorf("listen %s: %w", at, err)
	}
	p.net.mu.Lock()
	defer p.net.mu.Unlock()
	switch {
	case p.state == killed:
		return ErrKilled
	case ap.Addr().String() != p.host:
		return refused("bind", proto, at, syscall.EADDRNOTAVAIL)
	}
	for port := uint16(firstPort); ap.Port() == 0; port++ {
		free := netip.AddrPortFrom(ap.Addr(), port)
		if p.net.places[place{"tcp", free}] == nil && p.net.places[place{"udp", free}] == nil {
			ap = free
		}
	}
	if p.net.places[place{proto, ap}] != nil {
		return refused("bind", proto, at, syscall.EADDRINUSE)
	}
	x := make(ap)
	p.net.places[place{proto, ap}] = x
	p.open[x] = true
	return nil
}

// give frees an address.
func (p *Process) give(proto string, at netip.AddrPort) {
	p.net.mu.Lock()
	defer p.net.mu.Unlock()
	delete(p.net.places, place{proto, at})
}

// at finds who listens.
func (n *Network) at(proto, at string) any {
	ap, err := netip.ParseAddrPort(at)
	if err != nil {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.places[place{proto, ap}]
}

// Listen implements gossip.Network.
func (p *Process) Listen(_ context.Context, at string) (net.Listener, error) {
	var l *listener
	err := p.take("tcp", at, func(ap netip.AddrPort) interface{ abort() } {
		l = &listener{p: p, at: ap, backlog: make(chan *end, backlog), done: make(chan struct{})}
		return l
	})
	if err != nil {
		return nil, err
	}
	return l, nil
}

// Dial implements gossip.Network.
func (p *Process) Dial(ctx context.Context, at string) (net.Conn, error) {
	to, err := netip.ParseAddrPort(at)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", at, err)
	}
	if err := p.Await(); err != nil {
		return nil, err
	}
	// There and back: a link that is cut either way lets nobody connect.
	for _, way := range [][2]string{{p.host, to.Addr().String()}, {to.Addr().String(), p.host}} {
		if err := p.net.travel(ctx, way[0], way[1]); err != nil {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: address(at), Err: err}
		}
	}
	l, ok := p.net.at("tcp", at).(*listener)
	if !ok {
		return nil, refused("connect", "tcp", at, syscall.ECONNREFUSED)
	}
	mine, theirs := connect(p, l.p, address(at))
	if mine == nil || !l.offer(theirs) {
		return nil, refused("connect", "tcp", at, syscall.ECONNREFUSED)
	}
	return mine, nil
}

// travel takes as long as a packet from one host to another.
func (n *Network) travel(ctx context.Context, from, to string) error {
	t := time.NewTimer(n.latency)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	for {
		ok, changed := n.flows(from, to)
		if ok {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// backlog is how many connections wait to be accepted.
const backlog = 128

// listener is a net.Listener.
type listener struct {
	p       *Process
	at      netip.AddrPort
	backlog chan *end
	once    sync.Once
	done    chan struct{}
}

// offer puts a connection into the backlog.
func (l *listener) offer(c *end) bool {
	select {
	case <-l.done:
		return false
	default:
	}
	select {
	case l.backlog <- c:
		return true
	default:
		return false
	}
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	for {
		select {
		case <-l.done:
			return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.Addr(), Err: net.ErrClosed}
		case c := <-l.backlog:
			if l.p.Await() != nil {
				c.abort()
				continue
			}
			return c, nil
		}
	}
}

// Close implements net.Listener. Who waits in the backlog is sent away.
func (l *listener) Close() error {
	l.p.forget(l)
	l.abort()
	return nil
}

func (l *listener) abort() {
	l.once.Do(func() {
		l.p.give("tcp", l.at)
		close(l.done)
		for {
			select {
			case c := <-l.backlog:
				c.abort()
			default:
				return
			}
		}
	})
}

// Addr implements net.Listener.
func (l *listener) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.at) }
