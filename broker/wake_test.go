package broker

import (
	"errors"
	"net"
	"runtime"
	"strconv"
	"syscall"
	"testing"
)

// On a real machine, too, who comes while a broker starts is refused, and finds it at its
// address afterwards, also where it listens at all addresses; a port that somebody has taken
// meanwhile is told of by name.
func TestListenersRefuseUntilTheyWake(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := strconv.Itoa(free.Addr().(*net.TCPAddr).Port)
	free.Close()
	at := net.JoinHostPort("127.0.0.1", port)
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	for _, host := range []string{"127.0.0.1", "0.0.0.0", ""} {
		ls := listening(t, map[string]string{"listeners": host + ":" + port})
		if _, err := net.Dial("tcp", at); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("%q: before it serves: %v", host, err)
		}
		// The broker itself asks its bucket meanwhile, from whatever port the system likes.
		if runtime.GOOS == "linux" {
			from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: free.Addr().(*net.TCPAddr).Port}}
			if _, err := from.Dial("tcp", other.Addr().String()); !errors.Is(err, syscall.EADDRINUSE) {
				t.Errorf("%q: a connection may leave from its port: %v", host, err)
			}
		}
		told := ls.String()
		if err := ls.wake(t.Context()); err != nil {
			t.Fatalf("%q: %v", host, err)
		}
		c, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatalf("%q: when it serves: %v", host, err)
		}
		c.Close()
		if ls.String() != told {
			t.Errorf("it listens at %s, and was at %s", ls, told)
		}
		ls.close()
	}
	ls := listening(t, map[string]string{"listeners": at})
	taken, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if err := ls.wake(t.Context()); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a port that was taken meanwhile: %v", err)
	}
}
