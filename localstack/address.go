package localstack

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
)

// Address is a free HOST:PORT of this machine that stays free while nobody serves there.
// A port that the kernel chooses does not: it is one of those that outgoing connections
// get, so that a server that is killed may find a connection of anybody's there when it
// comes back; even of one who waits for it, and connected to himself.
func Address(host string) (string, error) {
	low, high := steady()
	for range 1000 {
		addr := net.JoinHostPort(host, strconv.Itoa(low+rand.IntN(high-low)))
		ln, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		return addr, ln.Close()
	}
	return "", errors.New("find a free port: a thousand were taken")
}

// steady are the ports that are neither privileged nor given to outgoing connections.
func steady() (low, high int) {
	low, high = 15000, 32000 // below what all systems give
	b, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return low, high
	}
	var first, last int
	if _, err := fmt.Sscan(strings.TrimSpace(string(b)), &first, &last); err != nil {
		return low, high
	}
	switch {
	case first > 10000:
		return first / 2, first
	case last < 60000:
		return last + 1, 65000
	}
	return low, high
}
