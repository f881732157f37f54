package broker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/firnlog/firn/broker/settings"
	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/gossip"
	"github.com/firnlog/firn/tier/cold/mem"
	"github.com/firnlog/firn/tier/cold/open"
)

// A client gets the addresses of the listener by which it came, in every answer
// that has addresses.
func TestAClientIsToldTheAddressesOfItsListener(t *testing.T) {
	values, err := settings.New(settings.Source{Name: "test", Values: map[string]string{
		"store": "mem://", "listeners": "OUTSIDE://127.0.0.1:0,INSIDE://127.0.0.1:0", "inter.broker.listener.name": "inside",
		"advertised.listeners": "INSIDE://broker-1:29092,OUTSIDE://localhost:9092", "http": "127.0.0.1:0", "gossip": "127.0.0.1:0",
		"offsets.topic.num.partitions": "1",
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ready, ended := make(chan Addresses, 1), make(chan error, 1)
	place, err := open.Parse("mem://")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		ended <- Run(ctx, Options{Settings: values, Store: mem.New(), Place: place}, func(a Addresses) { ready <- a })
	}()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	var at settings.Endpoints
	select {
	case a := <-ready:
		if at, err = settings.ParseEndpoints(a.Kafka); err != nil || len(at) != 2 {
			t.Fatalf("ready line: kafka=%s: %v", a.Kafka, err)
		}
	case err := <-ended:
		ended <- nil
		t.Fatal(err)
	case <-time.After(20 * time.Second):
		t.Fatal("not ready")
	}
	for listener, want := range map[string]string{"INSIDE": "broker-1:29092", "OUTSIDE": "localhost:9092"} {
		e, ok := at.Of(listener)
		if !ok {
			t.Fatalf("no listener %s in %v", listener, at)
		}
		// Whatever address is named, this client arrives where it started.
		dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, e.Address())
		}
		cl, err := kgo.NewClient(kgo.SeedBrokers(e.Address()), kgo.Dialer(dial))
		if err != nil {
			t.Fatal(err)
		}
		defer cl.Close()
		m, err := kmsg.NewPtrMetadataRequest().RequestWith(ctx, cl)
		if err != nil || len(m.Brokers) != 1 || fmt.Sprintf("%s:%d", m.Brokers[0].Host, m.Brokers[0].Port) != want {
			t.Errorf("%s: metadata %+v, %v, want %s", listener, m, err, want)
		}
		d, err := kmsg.NewPtrDescribeClusterRequest().RequestWith(ctx, cl)
		if err != nil || len(d.Brokers) != 1 || fmt.Sprintf("%s:%d", d.Brokers[0].Host, d.Brokers[0].Port) != want {
			t.Errorf("%s: cluster %+v, %v, want %s", listener, d, err, want)
		}
		q := kmsg.NewPtrFindCoordinatorRequest()
		q.CoordinatorKey, q.CoordinatorKeys = "g", []string{"g"}
		f, err := q.RequestWith(ctx, cl)
		if err != nil || len(f.Coordinators) != 1 || fmt.Sprintf("%s:%d", f.Coordinators[0].Host, f.Coordinators[0].Port) != want {
			t.Errorf("%s: coordinator %+v, %v, want %s", listener, f, err, want)
		}
	}
}

// listening are the listeners of settings, for as long as the test runs.
func listening(t *testing.T, set map[string]string) *listeners {
	t.Helper()
	values, err := settings.New(settings.Source{Name: "test", Values: set})
	if err != nil {
		t.Fatal(err)
	}
	ls, err := listen(t.Context(), gossip.Machine{}, values)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ls.close)
	return ls
}

func TestBrokersReachEachOtherByTheListenerForIt(t *testing.T) {
	ls := listening(t, map[string]string{"listeners": "OUT://127.0.0.1:0,IN://127.0.0.1:0", "inter.broker.listener.name": "IN"})
	if !strings.HasPrefix(ls.advertised.String(), "IN://127.0.0.1:") {
		t.Errorf("advertised as %s", ls.advertised)
	}
	out, in := ls.open[0], ls.open[1]
	out.Close()
	b := &Broker{opts: Options{Network: gossip.Machine{}}}
	if b.reach(t.Context(), ls.advertised.String()) {
		t.Error("reached though nobody answers, as when the process is stopped")
	}
	go func() {
		for {
			c, err := in.Accept()
			if err != nil {
				return
			}
			// Whatever it answers: this one takes no unencrypted requests, say.
			c.Close()
		}
	}()
	if !b.reach(t.Context(), ls.advertised.String()) {
		t.Error("not reached by IN")
	}
	in.Close()
	if b.reach(t.Context(), ls.advertised.String()) {
		t.Error("reached though nobody listens")
	}
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	go func() {
		if c, err := other.Accept(); err == nil {
			_, _ = c.Write([]byte("220 mail.example.com ESMTP\r\n"))
			_, _ = io.Copy(io.Discard, c)
			c.Close()
		}
	}()
	if b.reach(t.Context(), other.Addr().String()) {
		t.Error("reached though somebody else has the address of a broker that is gone")
	}
}

// A broker that has no listener of a client's name cannot be named to that client;
// the others can.
func TestABrokerWithoutTheListenerIsLeftOut(t *testing.T) {
	m := catalog.NewState()
	m.Apply(1, []catalog.Command{&catalog.CreateCluster{ID: "cluster"}})
	for i, advertised := range []string{"a:1", "PLAINTEXT://b:1,OUT://bb:2", "nonsense"} {
		c := &catalog.RegisterSession{Node: int32(i + 2), Advertised: advertised}
		c.Nonce[0] = byte(i + 1)
		if r := m.Apply(uint64(i+2), []catalog.Command{c}); r[0].Err != nil {
			t.Fatal(r[0].Err)
		}
	}
	self := catalog.Session{Node: 1, Advertised: "OUT://s:9,PLAINTEXT://ss:9"}
	for listener, want := range map[string]string{"": "1=s:9 2=a:1 3=b:1 ", "PLAINTEXT": "1=ss:9 2=a:1 3=b:1 ", "OUT": "1=s:9 3=bb:2 "} {
		got := ""
		for _, b := range liveBrokers(m, listener, self) {
			got += fmt.Sprintf("%d=%s:%d ", b.Node, b.Host, b.Port)
		}
		if got != want {
			t.Errorf("%q: %s, want %s", listener, got, want)
		}
	}
}

func TestATakenPortClosesTheOthers(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := free.Addr().String()
	free.Close()
	values, err := settings.New(settings.Source{Name: "test", Values: map[string]string{"listeners": "A://" + addr + ",B://" + taken.Addr().String()}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := listen(t.Context(), gossip.Machine{}, values); err == nil || !strings.Contains(err.Error(), "another process has the port") {
		t.Fatalf("%v", err)
	}
	again, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatalf("the first listener is still open: %v", err)
	}
	again.Close()
}

// An image names no host to containers that it does not know: the machine's name is told.
func TestAnAddressWithoutAHostIsTheMachines(t *testing.T) {
	ls := listening(t, map[string]string{
		"listeners": "HOST://127.0.0.1:0,INTERNAL://127.0.0.1:0", "advertised.listeners": "HOST://localhost:9092,INTERNAL://:29092",
	})
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := ls.advertised.String(), "HOST://localhost:9092,INTERNAL://"+name+":29092"; got != want {
		t.Errorf("advertised as %s, want %s", got, want)
	}
}

// What to do depends on why: a free port is no help to who names another machine's address.
func TestAListenerThatDoesNotOpenSaysWhatToDo(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.1:9092":    "this machine has no such address: --listeners 0.0.0.0:PORT", // of documentation: nobody has it
		"nowhere.invalid:0": "this machine has no such address",
	} {
		values, err := settings.New(settings.Source{Name: "test", Values: map[string]string{"listeners": addr}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := listen(t.Context(), unnamed{}, values); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", addr, err)
		}
	}
	if err := unbound("http", syscall.EACCES); !strings.Contains(err.Error(), "higher one with --http") || !errors.Is(err, syscall.EACCES) {
		t.Error(err)
	}
}

// unnamed is this machine without a name service.
type unnamed struct{ gossip.Machine }

func (u unnamed) Listen(ctx context.Context, address string) (net.Listener, error) {
	if host, _, _ := net.SplitHostPort(address); strings.HasSuffix(host, ".invalid") {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return u.Machine.Listen(ctx, address)
}
