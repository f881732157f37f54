package reach

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// told is what a fake broker answers to Metadata.
type told struct {
	cluster string
	brokers map[int32]string // HOST:PORT by node
	keys    []int16          // of ApiVersions; nil for what is needed
}

// fake is a broker that answers ApiVersions and Metadata.
func fake(t *testing.T, m *told) string {
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
			go m.serve(c)
		}
	}()
	return ln.Addr().String()
}

func (m *told) serve(c net.Conn) {
	defer c.Close()
	for {
		var size [4]byte
		if _, err := io.ReadFull(c, size[:]); err != nil {
			return
		}
		n := binary.BigEndian.Uint32(size[:])
		if n > 1<<20 {
			return // TLS, for one
		}
		frame := make([]byte, n)
		if _, err := io.ReadFull(c, frame); err != nil {
			return
		}
		key, version := int16(binary.BigEndian.Uint16(frame)), int16(binary.BigEndian.Uint16(frame[2:]))
		r := kmsg.ResponseForKey(key)
		r.SetVersion(version)
		switch r := r.(type) {
		case *kmsg.ApiVersionsResponse:
			keys := m.keys
			if keys == nil {
				keys = []int16{0, 1, 2, 3, 18}
			}
			for _, k := range keys {
				r.ApiKeys = append(r.ApiKeys, kmsg.ApiVersionsResponseApiKey{ApiKey: k, MaxVersion: 9})
			}
		case *kmsg.MetadataResponse:
			r.ClusterID = &m.cluster
			for node, addr := range m.brokers {
				host, port, _ := net.SplitHostPort(addr)
				b := kmsg.NewMetadataResponseBroker()
				b.NodeID, b.Host = node, host
				fmt.Sscan(port, &b.Port)
				r.Brokers = append(r.Brokers, b)
			}
		}
		out := append([]byte{0, 0, 0, 0}, frame[4:8]...)
		if r.IsFlexible() && key != apiVersions {
			out = append(out, 0)
		}
		out = r.AppendTo(out)
		binary.BigEndian.PutUint32(out, uint32(len(out)-4))
		if _, err := c.Write(out); err != nil {
			return
		}
	}
}

// net is the network of a test: names, and where they lead.
type network struct {
	names  map[string]string // HOST:PORT to where it leads
	remote bool              // connections look as if they left the machine
}

func (n network) options(bootstrap ...string) Options {
	return Options{
		Bootstrap: bootstrap, Timeout: 2 * time.Second,
		Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if to, ok := n.names[addr]; ok {
				addr = to
			}
			if addr == "lost" {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			var d net.Dialer
			c, err := d.DialContext(ctx, network, addr)
			if err == nil && n.remote {
				c = far{c}
			}
			return c, err
		},
		Lookup: func(_ context.Context, host string) ([]string, error) {
			for addr := range n.names {
				if h, _, _ := net.SplitHostPort(addr); h == host {
					return []string{"192.0.2.1"}, nil
				}
			}
			if host == "localhost" {
				return []string{"127.0.0.1"}, nil
			}
			return nil, errors.New("no such host")
		},
	}
}

type far struct{ net.Conn }

func (far) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 9092} }

// expect wants one failed step, and what is said about it; "" that there is none.
func expect(t *testing.T, r Report, of, step string, says ...string) {
	t.Helper()
	var bad []Check
	for _, c := range r.Checks {
		if !c.OK {
			bad = append(bad, c)
		} else if c.Advice != "" {
			t.Errorf("advice though all is well: %+v", c)
		}
	}
	if step == "" {
		if len(bad) > 0 || !r.OK() {
			t.Errorf("%+v", bad)
		}
		return
	}
	if len(bad) != 1 || bad[0].Of != of || bad[0].Step != step || r.OK() {
		t.Fatalf("want %s of %s to fail: %+v", step, of, r.Checks)
	}
	for _, s := range append(says, ".") {
		if !strings.Contains(bad[0].Detail+"\n"+bad[0].Advice, s) {
			t.Errorf("no %q in %q, %q", s, bad[0].Detail, bad[0].Advice)
		}
	}
}

func TestAClusterThatIsReachedIsWell(t *testing.T) {
	m := &told{cluster: "c", brokers: map[int32]string{}}
	n := network{names: map[string]string{"one:9092": fake(t, m), "two:9092": fake(t, m)}, remote: true}
	m.brokers[1], m.brokers[2] = "one:9092", "two:9092"
	r := Examine(t.Context(), n.options("one:9092", "two:9092"))
	expect(t, r, "", "")
	if r.Cluster != "c" || r.Brokers != 2 || !slices.ContainsFunc(r.Checks, func(c Check) bool { return c.Of == "node 2" && c.Step == "versions" }) {
		t.Errorf("%+v", r)
	}
	// All on this machine: localhost is right.
	here := &told{cluster: "c", brokers: map[int32]string{}}
	addr := fake(t, here)
	_, port, _ := net.SplitHostPort(addr)
	here.brokers[1] = "localhost:" + port
	expect(t, Examine(t.Context(), network{}.options(addr)), "", "")
}

func TestTheAdvertisedAddressTrap(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := taken.Addr().String()
	taken.Close()
	other := fake(t, &told{cluster: "another", brokers: map[int32]string{1: "broker:9092"}})
	for what, c := range map[string]struct {
		advertised string
		names      map[string]string
		step       string
		says       []string
	}{
		"localhost, from elsewhere":     {"localhost:9092", nil, "address", []string{"where the client itself is", "advertised.listeners"}},
		"loopback, from elsewhere":      {"127.0.0.1:9092", nil, "address", []string{"where the client itself is"}},
		"every address":                 {"0.0.0.0:9092", nil, "address", []string{"nobody can connect to it"}},
		"no port":                       {"one:0", nil, "address", []string{"port 0"}},
		"a container's name":            {"f3a9c1:9092", nil, "name", []string{"cannot be resolved here", "INTERNAL://"}},
		"an address of another network": {"inside:9092", map[string]string{"inside:9092": "lost"}, "connection", []string{"packets are dropped", "two listeners"}},
		"a port that is not published":  {"inside:9092", map[string]string{"inside:9092": closed}, "connection", []string{"refused", "advertised.listeners"}},
		"another cluster":               {"inside:9092", map[string]string{"inside:9092": other}, "cluster", []string{"another instead of ours"}},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			n := network{names: map[string]string{"broker:9092": fake(t, &told{cluster: "ours", brokers: map[int32]string{7: c.advertised}})}, remote: true}
			for k, v := range c.names {
				n.names[k] = v
			}
			o := n.options("broker:9092")
			o.Timeout = 200 * time.Millisecond
			expect(t, Examine(t.Context(), o), "node 7", c.step, c.says...)
		})
	}
}

func TestTwoBrokersWithOneAddressAreNoticed(t *testing.T) {
	m := &told{cluster: "c", brokers: map[int32]string{1: "broker:9092", 2: "broker:9092"}}
	n := network{names: map[string]string{"broker:9092": fake(t, m)}}
	expect(t, Examine(t.Context(), n.options("broker:9092")), "node 2", "address", "node 1 tells the same address", "one broker for two")
}

func TestWhatIsNoBrokerIsRecognised(t *testing.T) {
	web := httptest.NewServer(http.NotFoundHandler())
	defer web.Close()
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = nil
	secure.StartTLS()
	defer secure.Close()
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	go func() {
		for {
			c, err := mute.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	quiet, err := tls.Listen("tcp", "127.0.0.1:0", secure.TLS)
	if err != nil {
		t.Fatal(err)
	}
	defer quiet.Close()
	go func() { // as Kafka does: it closes what is not TLS without a word
		for {
			c, err := quiet.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(io.Discard, c)
			}()
		}
	}()
	for what, c := range map[string]struct {
		addr, step string
		says       []string
	}{
		"HTTP":                   {web.Listener.Addr().String(), "protocol", []string{"an HTTP server", "9092"}},
		"HTTPS":                  {secure.Listener.Addr().String(), "protocol", []string{"security.protocol=SSL"}},
		"TLS":                    {quiet.Addr().String(), "protocol", []string{"security.protocol=SSL"}},
		"a proxy before nothing": {mute.Addr().String(), "protocol", []string{"no answer", "no broker behind it"}},
		"a controller":           {fake(t, &told{keys: []int16{18, 52}}), "versions", []string{"Produce", "address of a broker"}},
		"nobody yet":             {fake(t, &told{cluster: "c"}), "metadata", []string{"no brokers for this listener"}},
		"no port":                {"localhost", "name", []string{"localhost:9092"}},
		"a misspelt name":        {"lcoalhost:9092", "name", []string{"misspelt"}},
	} {
		t.Run(what, func(t *testing.T) {
			o := network{}.options(c.addr)
			expect(t, Examine(t.Context(), o), "bootstrap", c.step, c.says...)
		})
	}
}

func TestOneDeadBootstrapAddressDoesNotHideTheOthers(t *testing.T) {
	m := &told{cluster: "c", brokers: map[int32]string{}}
	addr := fake(t, m)
	m.brokers[1] = addr
	r := Examine(t.Context(), network{}.options("nowhere:9092", addr))
	expect(t, r, "bootstrap", "name", "nowhere")
	if r.Cluster != "c" || r.Brokers != 1 {
		t.Errorf("%+v", r)
	}
}

func TestAnExaminationEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := Examine(ctx, network{}.options(fake(t, &told{})))
	if r.OK() || len(r.Checks) == 0 {
		t.Errorf("%+v", r)
	}
}
