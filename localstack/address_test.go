package localstack

import (
	"net"
	"testing"
)

// TestAddressStaysFreeForAServerThatComesBack: no outgoing connection gets its port.
func TestAddressStaysFreeForAServerThatComesBack(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	addr, err := Address("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(addr)
	low, high := steady()
	for range 200 {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, got, _ := net.SplitHostPort(c.LocalAddr().String())
		if got == port {
			t.Fatalf("a connection got port %s", port)
		}
		if p := c.LocalAddr().(*net.TCPAddr).Port; p >= low && p < high {
			t.Fatalf("port %d of a connection lies in [%d, %d)", p, low, high)
		}
	}
	again, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	// What the port of a connection costs a server that wants it back.
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if l, err := net.Listen("tcp", c.LocalAddr().String()); err == nil {
		l.Close()
		t.Error("a server may listen where a connection is: Address has no point")
	}
}
