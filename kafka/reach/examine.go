package reach

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Options are for Examine.
type Options struct {
	Bootstrap []string // HOST:PORT
	ClientID  string
	// Timeout is for each step. Default 5 s.
	Timeout time.Duration
	// Dial and Lookup are how connections are made and names are resolved; nil for
	// this machine's way.
	Dial   func(ctx context.Context, network, addr string) (net.Conn, error)
	Lookup func(ctx context.Context, host string) ([]string, error)
}

// Examine goes the way of a client, to every bootstrap address and from there to
// every broker. It always returns a report.
func Examine(ctx context.Context, o Options) Report {
	if o.Timeout <= 0 {
		o.Timeout = 5 * time.Second
	}
	if o.Dial == nil {
		o.Dial = (&net.Dialer{}).DialContext
	}
	if o.Lookup == nil {
		o.Lookup = net.DefaultResolver.LookupHost
	}
	e := &examination{o: o}
	brokers := map[int32]broker{}
	for _, addr := range o.Bootstrap {
		m := e.bootstrap(ctx, addr)
		for _, b := range m {
			if _, known := brokers[b.node]; !known {
				brokers[b.node] = b
			}
		}
	}
	e.report.Brokers = len(brokers)
	e.advertised(ctx, brokers)
	return e.report
}

// examination is one run of Examine.
type examination struct {
	o      Options
	report Report
}

// broker is one that the cluster has told of, and by way of whom.
type broker struct {
	node  int32
	host  string
	port  int32
	via   string
	local bool // we reached the bootstrap address without leaving this machine
}

func (b broker) address() string { return net.JoinHostPort(b.host, strconv.Itoa(int(b.port))) }

// probe is the examination of one address.
type probe struct {
	o           Options
	address, of string
	checks      []Check
	loopback    bool // the connection does not leave this machine
	cluster     string
	brokers     []kmsg.MetadataResponseBroker
}

func (p *probe) pass(step, format string, args ...any) {
	p.checks = append(p.checks, Check{Address: p.address, Of: p.of, Step: step, OK: true, Detail: fmt.Sprintf(format, args...)})
}

func (p *probe) fail(step, detail, advice string) {
	p.checks = append(p.checks, Check{Address: p.address, Of: p.of, Step: step, Detail: detail, Advice: advice})
}

// bootstrap examines an address that a client is given, and returns the brokers
// that it is told of.
func (e *examination) bootstrap(ctx context.Context, addr string) []broker {
	p := &probe{o: e.o, address: addr, of: "bootstrap"}
	p.run(ctx)
	e.report.Checks = append(e.report.Checks, p.checks...)
	if e.report.Cluster == "" {
		e.report.Cluster = p.cluster
	}
	var out []broker
	for _, b := range p.brokers {
		out = append(out, broker{b.NodeID, b.Host, b.Port, addr, p.loopback})
	}
	return out
}

// advertised examines every address that brokers tell, all at once.
func (e *examination) advertised(ctx context.Context, brokers map[int32]broker) {
	nodes := make([]int32, 0, len(brokers))
	twice := map[string]int32{}
	for n := range brokers {
		nodes = append(nodes, n)
	}
	slices.Sort(nodes)
	probes := make([]*probe, len(nodes))
	slots := make(chan struct{}, 32)
	var all sync.WaitGroup
	for i, n := range nodes {
		b := brokers[n]
		p := &probe{o: e.o, address: b.address(), of: fmt.Sprintf("node %d", n)}
		probes[i] = p
		if other, taken := twice[p.address]; taken {
			p.fail("address", fmt.Sprintf("node %d tells the same address", other),
				"Clients take one broker for two, and get NOT_LEADER answers for ever. Give each broker its own advertised.listeners.")
			continue
		}
		twice[p.address] = n
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			p.told(ctx, b, e.report.Cluster)
		})
	}
	all.Wait()
	for _, p := range probes {
		e.report.Checks = append(e.report.Checks, p.checks...)
	}
}

const adviceListeners = "Set advertised.listeners of that broker to an address that works from here. Where clients come from two networks (host and containers, inside and outside), give it two listeners: listeners=INTERNAL://…,EXTERNAL://… and an advertised address for each."

// told examines an address that a broker tells.
func (p *probe) told(ctx context.Context, b broker, cluster string) {
	ip, err := netip.ParseAddr(b.host)
	switch {
	case b.port <= 0 || b.port > 65535:
		p.fail("address", fmt.Sprintf("port %d is none that one can connect to", b.port), adviceListeners)
		return
	case err == nil && ip.IsUnspecified():
		p.fail("address", b.host+" means every address of a machine: nobody can connect to it", adviceListeners)
		return
	case (err == nil && ip.IsLoopback() || strings.EqualFold(b.host, "localhost")) && !b.local:
		p.fail("address", fmt.Sprintf("%s is where the client itself is, and the cluster is elsewhere: %s was reached over the network", b.host, b.via), adviceListeners)
		return
	}
	p.pass("address", "told by %s", b.via)
	if !p.run(ctx) {
		return
	}
	if p.cluster != cluster {
		p.fail("cluster", fmt.Sprintf("another cluster answers there: %s instead of %s", p.cluster, cluster),
			"The address means another machine here than at the broker. "+adviceListeners)
	}
}

// run takes the steps of a client, until one fails.
func (p *probe) run(ctx context.Context) bool {
	conn, ok := p.connect(ctx)
	if !ok {
		return false
	}
	defer conn.Close()
	p.loopback = isLoopback(conn.RemoteAddr())
	l := &line{Conn: conn, format: kmsg.NewRequestFormatter(kmsg.FormatterClientID(p.o.ClientID)), timeout: p.o.Timeout}
	metadata, ok := p.versions(ctx, l)
	if !ok {
		return false
	}
	q := kmsg.NewPtrMetadataRequest()
	q.Topics = []kmsg.MetadataRequestTopic{}
	q.SetVersion(metadata)
	r, err := l.ask(ctx, q)
	if err != nil {
		p.fail("metadata", err.Error(), "The broker speaks Kafka and does not tell its cluster: it may be starting, or shutting down. Try again; look at its log.")
		return false
	}
	m := r.(*kmsg.MetadataResponse)
	p.brokers = m.Brokers
	if m.ClusterID != nil {
		p.cluster = *m.ClusterID
	}
	if len(m.Brokers) == 0 {
		p.fail("metadata", "the cluster has no brokers for this listener", "The brokers have no listener of this name, or have just started. Give them the same listeners.")
		return false
	}
	return true
}

// connect resolves the name and opens a connection.
func (p *probe) connect(ctx context.Context) (net.Conn, bool) {
	host, port, err := net.SplitHostPort(p.address)
	if n, perr := strconv.Atoi(port); err != nil || perr != nil || n <= 0 || n > 65535 || host == "" {
		p.fail("name", "it is not HOST:PORT", "Write it as localhost:9092 or [::1]:9092.")
		return nil, false
	}
	ctx, cancel := context.WithTimeout(ctx, p.o.Timeout)
	defer cancel()
	if _, err := netip.ParseAddr(host); err != nil {
		addrs, err := p.o.Lookup(ctx, host)
		if err != nil || len(addrs) == 0 {
			advice := "The name is misspelt, or known only elsewhere: in a network of containers, in a cluster. "
			if p.of == "bootstrap" {
				advice += "Use a name or address that is known here."
			} else {
				advice += adviceListeners
			}
			p.fail("name", fmt.Sprintf("%s cannot be resolved here: %v", host, err), advice)
			return nil, false
		}
		p.pass("name", "%s is %s", host, strings.Join(addrs, ", "))
	}
	conn, err := p.o.Dial(ctx, "tcp", p.address)
	switch {
	case err == nil:
		p.pass("connection", "open")
		return conn, true
	case errors.Is(err, syscall.ECONNREFUSED):
		p.fail("connection", "refused: nothing listens at that port", p.where("The broker is not running, or listens elsewhere: compare its listeners."))
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		p.fail("connection", fmt.Sprintf("no answer within %v: packets are dropped on the way", p.o.Timeout), p.where("A firewall or security group, or an address of another network."))
	default:
		p.fail("connection", err.Error(), p.where("The address is not reachable from here."))
	}
	return nil, false
}

// where adds what to do about an address that a broker has told.
func (p *probe) where(advice string) string {
	if p.of == "bootstrap" {
		return advice
	}
	return advice + " " + adviceListeners
}

// needed are the APIs without which no client gets far.
var needed = []int16{0, 1, 2, 3} // Produce, Fetch, ListOffsets, Metadata

// versions asks what the broker speaks, and returns the version of Metadata to ask.
func (p *probe) versions(ctx context.Context, l *line) (int16, bool) {
	q := kmsg.NewPtrApiVersionsRequest() // version 0, which every broker answers
	r, err := l.ask(ctx, q)
	if err != nil {
		p.protocol(ctx, err)
		return 0, false
	}
	p.pass("protocol", "Kafka, plaintext")
	metadata := int16(-1)
	var missing []string
	keys := map[int16]kmsg.ApiVersionsResponseApiKey{}
	for _, k := range r.(*kmsg.ApiVersionsResponse).ApiKeys {
		keys[k.ApiKey] = k
	}
	for _, k := range needed {
		if _, ok := keys[k]; !ok {
			missing = append(missing, kmsg.NameForKey(k))
		}
	}
	if k, ok := keys[metadataKey]; ok {
		metadata = min(k.MaxVersion, 9)
	}
	if len(missing) > 0 || metadata < 0 {
		p.fail("versions", "it does not serve "+strings.Join(missing, ", "), "This is a controller, a proxy, or the listener of another service: use the address of a broker.")
		return 0, false
	}
	p.pass("versions", "%d APIs, Produce to v%d, Fetch to v%d", len(keys), keys[0].MaxVersion, keys[1].MaxVersion)
	return metadata, true
}

// protocol explains an answer that is not Kafka's. A broker that expects TLS often
// just closes the connection: then it is asked whether it does.
func (p *probe) protocol(ctx context.Context, err error) {
	var f *errForeign
	isTLS := errors.As(err, &f) && f.what == "it speaks TLS"
	if errors.Is(err, errSilent) {
		isTLS = p.speaksTLS(ctx)
	}
	const step = "protocol"
	switch {
	case isTLS:
		p.fail(step, "the listener expects TLS, and was spoken to in plaintext", "Configure the client with security.protocol=SSL (or SASL_SSL), or use the address of a plaintext listener.")
	case f != nil && strings.Contains(f.what, "HTTP"):
		p.fail(step, f.Error(), "This is the port of a console or of metrics, or a proxy. Use that of the Kafka listener, 9092 mostly.")
	case f != nil:
		p.fail(step, f.Error(), "Another service has this port. Use that of the Kafka listener.")
	default:
		p.fail(step, err.Error(), "The connection opens and then nobody answers as Kafka: a proxy or port forwarding with no broker behind it, a listener that wants SASL or TLS, or a limit on connections. Look at the broker's log.")
	}
}

// speaksTLS reports whether TLS is what the address expects.
func (p *probe) speaksTLS(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, p.o.Timeout)
	defer cancel()
	conn, err := p.o.Dial(ctx, "tcp", p.address)
	if err != nil {
		return false
	}
	defer conn.Close()
	host, _, _ := net.SplitHostPort(p.address)
	// Whether, not who: no secret is sent.
	err = tls.Client(conn, &tls.Config{ServerName: host, InsecureSkipVerify: true}).HandshakeContext(ctx)
	var record tls.RecordHeaderError
	var alert tls.AlertError
	return err == nil || errors.As(err, &alert) && !errors.As(err, &record)
}

func isLoopback(a net.Addr) bool {
	tcp, ok := a.(*net.TCPAddr)
	return !ok || tcp.IP.IsLoopback()
}
