package cluster

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// ErrNetwork says that network namespaces cannot be had here.
var ErrNetwork = errors.New("no network namespaces here")

// Network is a bridge with a network namespace for each broker, so that a broker's
// link can be cut while it runs. This machine has the bridge's first address. It is
// for one goroutine.
type Network struct {
	id     int
	spaces int
}

// Space is a network namespace: a machine of its own, as far as a broker can tell.
type Space struct {
	Host string // its address
	name string
	link string // this machine's end of its link
}

// NewNetwork makes a bridge. It needs root, and ip of iproute2; an ErrNetwork says
// what is missing. Networks that killed processes have left are removed.
func NewNetwork() (*Network, error) {
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("%w: only root may make them", ErrNetwork)
	}
	sweep()
	n := &Network{id: os.Getpid()}
	for _, args := range [][]string{
		{"link", "add", n.bridge(), "type", "bridge", "forward_delay", "0"},
		{"addr", "add", n.addr(0) + "/24", "dev", n.bridge()},
		{"link", "set", n.bridge(), "up"},
	} {
		if err := ip(args...); err != nil {
			return nil, errors.Join(fmt.Errorf("%w: %w", ErrNetwork, err), n.Close())
		}
	}
	return n, nil
}

func ip(args ...string) error {
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

func (n *Network) bridge() string    { return fmt.Sprintf("firnb%d", n.id) }
func (n *Network) name(i int) string { return fmt.Sprintf("firn-%d-%d", n.id, i) }
func (n *Network) addr(i int) string { return fmt.Sprintf("10.213.%d.%d", n.id%250, i+1) }
func (n *Network) space(i int) *Space {
	return &Space{n.addr(i), n.name(i), fmt.Sprintf("fv%dx%d", n.id, i)}
}

// Host is this machine's address, as the namespaces see it.
func (n *Network) Host() string { return n.addr(0) }

// Add makes one more namespace, with an address and a link to the bridge.
func (n *Network) Add() (*Space, error) {
	n.spaces++
	s := n.space(n.spaces)
	for _, args := range [][]string{
		{"netns", "add", s.name},
		{"link", "add", s.link, "type", "veth", "peer", "name", "eth0", "netns", s.name},
		{"link", "set", s.link, "master", n.bridge(), "up"},
		{"-n", s.name, "addr", "add", s.Host + "/24", "dev", "eth0"},
		{"-n", s.name, "link", "set", "eth0", "up"},
		{"-n", s.name, "link", "set", "lo", "up"},
	} {
		if err := ip(args...); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Command is the command line that runs another one in the namespace: the process
// becomes it.
func (s *Space) Command(bin string, args ...string) (string, []string) {
	return "ip", append([]string{"netns", "exec", s.name, bin}, args...)
}

// Cut takes the link down: nothing gets in or out until Mend.
func (s *Space) Cut() error { return ip("link", "set", s.link, "down") }

// Mend takes the link up again.
func (s *Space) Mend() error { return ip("link", "set", s.link, "up") }

// Close removes all of it. Processes in the namespaces are to have ended.
func (n *Network) Close() error {
	var errs []error
	for i := 1; i <= n.spaces; i++ {
		errs = append(errs, ip("netns", "del", n.name(i))) // its end of the link takes the other with it
	}
	return errors.Join(append(errs, ip("link", "del", n.bridge()))...)
}

// sweep removes what processes that were killed have left.
func sweep() {
	left := map[int]*Network{}
	names, _ := filepath.Glob("/run/netns/firn-*")
	for _, name := range names {
		f := strings.Split(filepath.Base(name), "-")
		if len(f) != 3 {
			continue
		}
		id, _ := strconv.Atoi(f[1])
		space, _ := strconv.Atoi(f[2])
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", id)); err == nil {
			continue
		}
		if left[id] == nil {
			left[id] = &Network{id: id}
		}
		left[id].spaces = max(left[id].spaces, space)
	}
	for _, n := range left {
		_ = n.Close() // some of it may be gone already
	}
}
