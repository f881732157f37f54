package broker

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/firnlog/firn/broker/settings"
	"github.com/firnlog/firn/gossip"
	"github.com/firnlog/firn/kafka"
)

// listeners are a broker's Kafka listeners and the addresses that others have for
// them.
type listeners struct {
	network gossip.Network
	open    []named
	// advertised has the listener first by which brokers reach each other.
	advertised settings.Endpoints
}

// named is a listener and its name.
type named struct {
	net.Listener
	name  string
	quiet bool // closed until wake: its port was not left to the system
	// release gives the port back that is reserved meanwhile; nil: none is.
	release func()
}

// listen opens every listener, or none, so that what is wrong with one is found before anything
// is changed, and closes those again whose ports are known, until wake: who comes while the
// broker starts is refused and asks another one. The system would take his connection for a
// listener that nobody serves, and he would wait for as long as he has patience.
func listen(ctx context.Context, n gossip.Network, v *settings.Values) (_ *listeners, err error) {
	bind, err := settings.ParseEndpoints(v.Get("listeners"))
	if err != nil {
		return nil, fmt.Errorf("listeners: %w", err)
	}
	var given settings.Endpoints
	if text := v.Get("advertised.listeners"); text != "" {
		if given, err = settings.ParseEndpoints(text); err != nil {
			return nil, fmt.Errorf("advertised.listeners: %w", err)
		}
	}
	ls := &listeners{network: n}
	defer func() {
		if err != nil {
			ls.close()
		}
	}()
	for _, e := range bind {
		ln, err := n.Listen(ctx, e.Address())
		if err != nil {
			return nil, unbound("listeners", err)
		}
		ls.open = append(ls.open, named{Listener: ln, name: e.Listener, quiet: e.Port != 0})
		a, ok := given.Of(e.Listener)
		switch {
		case !ok:
			a = reachedAt(e, ln.Addr())
		case a.Host == "": // as in Kafka
			if a.Host, err = os.Hostname(); err != nil {
				return nil, fmt.Errorf("advertised.listeners: %w", err)
			}
		}
		ls.advertised = append(ls.advertised, a)
	}
	if between := strings.ToUpper(v.Get("inter.broker.listener.name")); between != "" {
		slices.SortStableFunc(ls.advertised, func(a, b settings.Endpoint) int {
			return cmp.Compare(btoi(a.Listener != between), btoi(b.Listener != between))
		})
	}
	for i := range ls.open { // when all are open: none of them is another's
		if l := &ls.open[i]; l.quiet {
			l.release = reserve(l.Listener)
			l.Close()
		}
	}
	return ls, nil
}

// wake opens what listen has closed, at the same addresses.
func (ls *listeners) wake(ctx context.Context) error {
	for i := range ls.open {
		l := &ls.open[i]
		if !l.quiet {
			continue
		}
		ln, err := ls.network.Listen(ctx, l.Addr().String())
		if err != nil {
			return unbound("listeners", err)
		}
		l.Listener, l.quiet = ln, false
		l.release()
		l.release = nil
	}
	return nil
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// reachedAt is how others reach a listener that was asked for as e and listens at
// an address: by the name that was given, as in Kafka; every address of this machine
// means the machine's name.
func reachedAt(e settings.Endpoint, at net.Addr) settings.Endpoint {
	ap := place(at)
	e.Port = int(ap.Port())
	if ap.Addr().IsUnspecified() {
		e.Host = ap.Addr().String()
		if host, err := os.Hostname(); err == nil {
			e.Host = host
		}
	}
	return e
}

// place is a listener's address: an IP address and a port.
func place(a net.Addr) netip.AddrPort {
	ap, _ := netip.ParseAddrPort(a.String())
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// close closes what is open.
func (ls *listeners) close() {
	for _, l := range ls.open {
		l.Close()
		if l.release != nil {
			l.release()
		}
	}
}

// String is where the listeners listen.
func (ls *listeners) String() string {
	var out settings.Endpoints
	for _, l := range ls.open {
		at := place(l.Addr())
		out = append(out, settings.Endpoint{Listener: l.name, Host: at.Addr().String(), Port: int(at.Port())})
	}
	return out.String()
}

// serve serves all listeners until ctx ends; one that fails ends the others.
func (ls *listeners) serve(ctx context.Context, server *kafka.Server) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, l := range ls.open {
		g.Go(func() error {
			if err := server.Serve(ctx, l.Listener, l.name); err != nil {
				return fmt.Errorf("listener %s: %w", l.name, err)
			}
			return nil
		})
	}
	return g.Wait()
}
