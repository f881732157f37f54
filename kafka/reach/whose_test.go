package reach

import (
	"errors"
	"net"
	"net/http/httptest"
	"os"
	"testing"
	"time"
)

// Who answers at an address that a dead broker had is told apart as far as it can be known.
func TestWhoseIsDefiniteOrUnknown(t *testing.T) {
	ask := func(addr string, patience time.Duration) (string, error) {
		t.Helper()
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return Whose(t.Context(), c, patience)
	}
	if cluster, err := ask(fake(t, &told{cluster: "ours"}), time.Minute); cluster != "ours" || err != nil {
		t.Errorf("a broker: %q, %v", cluster, err)
	}
	if _, err := ask(answering(t, "SSH-2.0-OpenSSH_9.2\r\n"), time.Minute); !errors.Is(err, ErrStranger) {
		t.Errorf("an SSH server: %v", err)
	}
	sealed := httptest.NewTLSServer(nil)
	defer sealed.Close()
	if _, err := ask(sealed.Listener.Addr().String(), time.Minute); err == nil || errors.Is(err, ErrStranger) {
		t.Errorf("who wants encryption: %v", err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if _, err := ask(ln.Addr().String(), time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, ErrStranger) {
		t.Errorf("who says nothing: %v", err)
	}
	if _, err := ask(answering(t, ""), time.Minute); err == nil || errors.Is(err, ErrStranger) || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("who wants no connection: %v", err)
	}
}

// answering is the address of a server that says one thing to everybody, and closes.
func answering(t *testing.T, what string) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(make([]byte, 1<<10)) // what is not read would take the answer with it
			_, _ = c.Write([]byte(what))
			c.Close()
		}
	}()
	return ln.Addr().String()
}
