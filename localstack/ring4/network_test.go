//go:build ring4

package ring4

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// network is a bridge with a network namespace for each broker, so that a broker's
// link can be cut while it runs. This machine has the bridge's first address.
type network struct {
	id     int
	spaces int
}

// newNetwork makes the bridge. It returns nil where this process may not: it needs
// root and ip (iproute2).
func newNetwork(t *testing.T) *network {
	t.Helper()
	if _, err := exec.LookPath("ip"); err != nil || os.Geteuid() != 0 {
		t.Log("no network namespaces here: links are not cut")
		return nil
	}
	sweepNetworks(t)
	n := &network{id: os.Getpid()}
	t.Cleanup(func() { n.remove() })
	for _, args := range [][]string{
		{"link", "add", n.bridge(), "type", "bridge", "forward_delay", "0"},
		{"addr", "add", n.addr(0) + "/24", "dev", n.bridge()},
		{"link", "set", n.bridge(), "up"},
	} {
		if err := ip(args...); err != nil {
			t.Logf("no network namespaces here: links are not cut: %v", err)
			return nil
		}
	}
	return n
}

func ip(args ...string) error {
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

func (n *network) bridge() string     { return fmt.Sprintf("firnb%d", n.id) }
func (n *network) space(i int) string { return fmt.Sprintf("firn-%d-%d", n.id, i) }
func (n *network) link(i int) string  { return fmt.Sprintf("fv%dx%d", n.id, i) }
func (n *network) addr(i int) string  { return fmt.Sprintf("10.213.%d.%d", n.id%250, i+1) }

// join gives a broker a namespace of its own, with an address.
func (n *network) join(t *testing.T, s *stack) {
	t.Helper()
	n.spaces++
	i := n.spaces
	for _, args := range [][]string{
		{"netns", "add", n.space(i)},
		{"link", "add", n.link(i), "type", "veth", "peer", "name", "eth0", "netns", n.space(i)},
		{"link", "set", n.link(i), "master", n.bridge(), "up"},
		{"-n", n.space(i), "addr", "add", n.addr(i) + "/24", "dev", "eth0"},
		{"-n", n.space(i), "link", "set", "eth0", "up"},
		{"-n", n.space(i), "link", "set", "lo", "up"},
	} {
		if err := ip(args...); err != nil {
			t.Fatal(err)
		}
	}
	s.host, s.space, s.link = n.addr(i), n.space(i), n.link(i)
	s.addr = s.host + ":0"
}

func (n *network) remove() {
	for i := 1; i <= n.spaces; i++ {
		_ = ip("netns", "del", n.space(i)) // its end of the pair takes the other with it
	}
	_ = ip("link", "del", n.bridge())
}

// sweepNetworks removes what runs that were killed have left.
func sweepNetworks(t *testing.T) {
	left := map[int]*network{}
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
			left[id] = &network{id: id}
		}
		left[id].spaces = max(left[id].spaces, space)
	}
	for _, n := range left {
		t.Logf("removing the network of a run that was killed: %s", n.bridge())
		n.remove()
	}
}

// cut takes a broker's link down, or up again.
func (s *stack) cut(t *testing.T, down bool) {
	t.Helper()
	state := "up"
	if down {
		state = "down"
	}
	if err := ip("link", "set", s.link, state); err != nil {
		t.Error(err)
	}
}
