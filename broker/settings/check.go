package settings

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// listener accepts the address of a socket to open: HOST:PORT, :PORT, and port 0.
func listener(v string) error {
	_, _, err := address(v)
	return err
}

// reachable accepts an address that others connect to.
func reachable(v string) error {
	host, port, err := address(v)
	switch {
	case err != nil:
		return err
	case host == "":
		return errors.New("want HOST:PORT with a host that others can reach")
	case port == 0:
		return errors.New("want HOST:PORT with a port that others can reach: 0 means any, and nobody can connect to that")
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		return fmt.Errorf("%s means every address of this machine, and nobody can connect to that: want a name or address that others can reach", host)
	}
	return nil
}

// members accepts a list of addresses.
func members(v string) error {
	for m := range strings.SplitSeq(v, ",") {
		if err := reachable(strings.TrimSpace(m)); err != nil {
			return err
		}
	}
	return nil
}

func address(v string) (host string, port int, err error) {
	if _, rest, ok := strings.Cut(v, "://"); ok {
		return "", 0, fmt.Errorf("want HOST:PORT without a protocol: %s", rest)
	}
	if strings.Contains(v, ",") {
		return "", 0, errors.New("want one HOST:PORT")
	}
	host, text, err := net.SplitHostPort(v)
	if err != nil {
		return "", 0, fmt.Errorf("want HOST:PORT, for example 127.0.0.1:9092 or [::1]:9092")
	}
	port, err = strconv.Atoi(text)
	if err != nil || port < 0 || port > 65535 {
		return "", 0, fmt.Errorf("want a port from 0 to 65535, not %q", text)
	}
	return host, port, nil
}
