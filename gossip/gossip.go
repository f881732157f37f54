package gossip

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/bits"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
)

// Options of a Gossip.
type Options struct {
	// Bind is HOST:PORT; port 0 takes a free one.
	Bind string
	// Advertise is the host at which others reach Bind's port; one that cannot be
	// resolved here is replaced by an address of this machine. Empty: Bind's host,
	// which then must not be a wildcard.
	Advertise string
	// Name is unique for each life of a process.
	Name string
	// Cluster is the cluster's id: members of others are not heard.
	Cluster string
	// Self is what this broker says of itself at first.
	Self Member
	// Seeds are where others may be, and Live where those are that are said to live:
	// gossip finds out. Both are asked again and again and must not block; nil: none.
	Seeds, Live func() []string
	// KeyFile holds the keys that gossip is sealed with, one in base64 on each line:
	// the first seals, all open. It is read again every ten seconds. Empty: gossip is
	// neither secret nor protected from forgery.
	KeyFile string
	// Network is where it listens and reaches others; nil: this machine's.
	Network Network
	Logger  *slog.Logger
}

// interval is the time between probes. All other times follow from it; a dead
// member is found in five to six of them, and a broker that is silent for a second
// by mistake is forgiven at once when it speaks again.
const interval = 200 * time.Millisecond

// rejoin is how often those are looked for that should be members, and missed how often
// those that live and are none. Who was cut off for a moment takes the others for dead and
// is dead for them, and as long as that lasts nobody would notice its death.
const rejoin, missed = 10 * time.Second, 5 * interval

// Gossip is this broker's end. All methods may be called from many goroutines.
type Gossip struct {
	opts Options
	list *memberlist.Memberlist
	addr string
	log  *slog.Logger
	keys *keys // nil: not sealed

	mu      sync.Mutex
	self    Member                     // guarded by mu
	others  map[string]Member          // by name; guarded by mu
	reached map[string]string          // HOST:PORT of the others' gossip, by name; guarded by mu
	rumours map[string]*rumour         // those that have not answered yet, by name; guarded by mu
	asking  map[[16]byte]chan struct{} // closed by the answer, by the question's nonce; guarded by mu
	loads   map[string]uint64          // of the others, by name; guarded by mu
	load    uint64                     // this broker's, as it is told; guarded by mu
	changed chan struct{}              // closed at the next change of others; guarded by mu

	sought []chan struct{} // closed when a round of seeking that has not begun is over; guarded by mu

	questions chan question // that were put to us

	told   chan struct{} // cap 1: there is a new rumour
	wanted chan struct{} // cap 1: sought is not empty
	say    chan struct{} // cap 1: self is to be told
	grew   chan struct{} // cap 1: the journal grew by us
	hints  chan struct{} // cap 1: the journal grew by others
	wrote  atomic.Uint64 // the newest entry of ours that is to be told
	newest atomic.Uint64 // the newest entry that others have told of
	gone   chan Member
	asked  chan struct{} // closed when all that are known at the start have been asked once
}

// Open binds the address and listens. Others are looked for when it runs.
func Open(ctx context.Context, o Options) (*Gossip, error) {
	host, port, err := split(o.Bind)
	if err != nil {
		return nil, err
	}
	bind, err := resolve(ctx, host)
	if err != nil {
		return nil, fmt.Errorf("gossip: %w", err)
	}
	advertise := bind
	if o.Advertise != "" {
		if advertise, err = resolve(ctx, o.Advertise); err != nil {
			// Names that only clients can resolve are no reason not to start.
			advertise = own()
			o.Logger.Warn("gossip: others are told an address of this machine instead of its name", "address", advertise, "err", err)
		}
	}
	if advertise.IsUnspecified() {
		return nil, fmt.Errorf("gossip: others cannot reach %s; name this machine's address, as in gossip=HOST:PORT or in advertised.listeners", advertise)
	}
	if _, err := o.Self.encode(0); err != nil {
		return nil, fmt.Errorf("gossip: %w", err)
	}
	sealed, err := openKeys(o.KeyFile)
	if err != nil {
		return nil, err
	}
	if o.Network == nil {
		o.Network = Machine{}
	}
	g := &Gossip{
		opts: o, log: o.Logger, keys: sealed, self: o.Self, others: map[string]Member{}, reached: map[string]string{}, rumours: map[string]*rumour{}, loads: map[string]uint64{}, asking: map[[16]byte]chan struct{}{}, questions: make(chan question, 64), changed: make(chan struct{}),
		told: make(chan struct{}, 1), wanted: make(chan struct{}, 1), say: make(chan struct{}, 1), grew: make(chan struct{}, 1), hints: make(chan struct{}, 1), gone: make(chan Member, 64),
		asked: make(chan struct{}),
	}
	c := memberlist.DefaultLANConfig()
	c.Name, c.Label = o.Name, o.Cluster
	c.ProbeInterval, c.ProbeTimeout, c.GossipInterval = interval, interval/2, interval/4
	c.SuspicionMult, c.RetransmitMult = 4, 4
	c.PushPullInterval, c.TCPTimeout = 15*time.Second, 2*time.Second
	c.DeadNodeReclaimTime = 5 * time.Second
	c.Delegate, c.Events = wire{g}, wire{g}
	if sealed != nil {
		c.Keyring = sealed.ring
	}
	c.Logger = slog.NewLogLogger(o.Logger.Handler(), slog.LevelDebug)
	t, err := newTransport(ctx, o.Network, bind, port, advertise)
	if err != nil {
		return nil, fmt.Errorf("gossip: %w (is the port taken? choose one with --gossip HOST:PORT, or 0 for a free one)", err)
	}
	c.Transport = t
	if g.list, err = memberlist.Create(c); err != nil {
		return nil, errors.Join(fmt.Errorf("gossip: %w", err), t.Shutdown())
	}
	g.addr = g.list.LocalNode().Address()
	return g, nil
}

func split(address string) (host string, port int, err error) {
	host, p, err := net.SplitHostPort(address)
	if err == nil {
		port, err = strconv.Atoi(p)
	}
	if err != nil {
		return "", 0, fmt.Errorf("gossip: %q is not HOST:PORT", address)
	}
	return host, port, nil
}

// own is an address by which other machines may reach this one, or the loopback.
func own() net.IP {
	addrs, _ := net.InterfaceAddrs()
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && n.IP.IsGlobalUnicast() {
			return n.IP
		}
	}
	return net.IPv4(127, 0, 0, 1)
}

// resolve finds a host's address; IPv4 first, since it is what most networks route.
func resolve(ctx context.Context, host string) (net.IP, error) {
	if host == "" {
		return net.IPv4zero, nil
	}
	if ip := net.ParseIP(host); ip != nil {
		return ip, nil
	}
	ips, err := net.DefaultResolver.LookupIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(ips, func(a, b net.IP) int { return cmp.Compare(len(b.To4()), len(a.To4())) })
	return ips[0], nil
}

// Addr is HOST:PORT where others reach this broker's gossip.
func (g *Gossip) Addr() string { return g.addr }

// Set changes what this broker says of itself. It does not block.
func (g *Gossip) Set(m Member) {
	g.mu.Lock()
	same := g.self == m
	g.self = m
	g.mu.Unlock()
	if !same {
		poke(g.say)
	}
}

// SetLoad says how many bytes per second clients write and read at this broker. It does
// not block. The others are told when it has changed by an eighth or more, and not of what
// is next to nothing: nobody's membership changes with it.
func (g *Gossip) SetLoad(perSecond uint64) {
	told := coarse(perSecond)
	g.mu.Lock()
	same := g.load == told
	g.load = told
	g.mu.Unlock()
	if !same {
		poke(g.say)
	}
}

// coarse keeps the three highest bits of a load.
func coarse(n uint64) uint64 {
	if n < 1<<10 {
		return 0
	}
	low := bits.Len64(n) - 3
	return n >> low << low
}

// Loads are what the members have told of their load, in bytes per second, by node id.
func (g *Gossip) Loads() map[int32]uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := map[int32]uint64{g.self.Node: g.load}
	for name, m := range g.others {
		out[m.Node] = max(out[m.Node], g.loads[name])
	}
	return out
}

// Grew tells the others that the journal grew up to an entry. It does not block.
func (g *Gossip) Grew(entry uint64) {
	raise(&g.wrote, entry)
	poke(g.grew)
}

// Hints receives when another broker says that the journal grew. Up to which entry,
// Newest tells.
func (g *Gossip) Hints() <-chan struct{} { return g.hints }

// Newest is the newest entry of the journal that another broker has told of. A member
// that lies about it costs a look at the journal for each message, no more.
func (g *Gossip) Newest() uint64 { return g.newest.Load() }

func raise(a *atomic.Uint64, to uint64) {
	for {
		was := a.Load()
		if was >= to || a.CompareAndSwap(was, to) {
			return
		}
	}
}

// Gone receives members that died without leaving.
func (g *Gossip) Gone() <-chan Member { return g.gone }

// Asked is closed when everybody that is known at the start has been asked once: then
// Members are those that answered.
func (g *Gossip) Asked() <-chan struct{} { return g.asked }

// Changed is closed at the next change of Members. Take it before Members.
func (g *Gossip) Changed() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.changed
}

// Members are this broker and all others that are thought alive, by node id and
// session.
func (g *Gossip) Members() []Member {
	g.mu.Lock()
	out := make([]Member, 0, len(g.others)+1)
	out = append(out, g.self)
	for _, m := range g.others {
		out = append(out, m)
	}
	g.mu.Unlock()
	slices.SortFunc(out, func(a, b Member) int {
		return cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(a.Session, b.Session))
	})
	return out
}

// Run gossips until ctx ends, then says farewell, for a second at most.
//
// What may wait for somebody else has a goroutine of its own: a seed that does not
// answer must not keep a hint back.
func (g *Gossip) Run(ctx context.Context) error {
	var all sync.WaitGroup
	for _, do := range []func(context.Context){g.observe, g.seek, g.miss, g.verify, g.attest, g.speak, g.spread} {
		all.Go(func() { do(ctx) })
	}
	all.Wait()
	return g.leave()
}

// observe holds connections to some of those that are members.
func (g *Gossip) observe(ctx context.Context) {
	watching := newWatch(g)
	defer watching.end()
	for {
		changed := g.Changed()
		watching.keep(ctx)
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}

// seek looks for those that should be members.
func (g *Gossip) seek(ctx context.Context) {
	again := time.NewTicker(rejoin)
	defer again.Stop()
	g.join(g.opts.Seeds, g.opts.Live)
	g.vouch(ctx)
	close(g.asked)
	for {
		select {
		case <-ctx.Done():
			return
		case <-again.C:
			g.rekey()
			g.join(g.opts.Seeds)
		case <-g.wanted:
			g.mu.Lock()
			done := g.sought
			g.sought = nil
			g.mu.Unlock()
			g.join(g.opts.Seeds, g.opts.Live)
			g.vouch(ctx)
			for _, d := range done {
				close(d)
			}
		}
	}
}

// miss looks for those that live and are no members, while seek may wait for others.
func (g *Gossip) miss(ctx context.Context) {
	again := time.NewTicker(missed)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-again.C:
			g.join(g.opts.Live)
		}
	}
}

// Seek looks for those that should be members now, not in its time, and does not block.
// The channel is closed when all that Seeds and Live name by now have been asked; it may
// never be when Run ends.
func (g *Gossip) Seek() <-chan struct{} {
	done := make(chan struct{})
	g.mu.Lock()
	g.sought = append(g.sought, done)
	g.mu.Unlock()
	poke(g.wanted)
	return done
}

// speak tells what this broker says of itself.
func (g *Gossip) speak(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-g.say:
			if err := g.list.UpdateNode(time.Second); err != nil {
				g.log.Debug("gossip: the others may not know yet what has changed here", "err", err)
			}
		}
	}
}

// retell is after what times a hint is told again: datagrams get lost, and nobody
// answers them.
var retell = []time.Duration{interval / 10, interval / 2, interval}

// spread tells the others of entries, the newest alone.
func (g *Gossip) spread(ctx context.Context) {
	again := time.NewTimer(time.Hour)
	defer again.Stop()
	told := len(retell)
	for {
		select {
		case <-ctx.Done():
			return
		case <-g.grew:
			told = 0
		case <-again.C:
			told++
		}
		g.tell()
		if told < len(retell) {
			again.Reset(retell[told])
		}
	}
}

// leave says farewell: draining first, since memberlist does not tell those who hear
// of a departure whether it was meant.
func (g *Gossip) leave() error {
	g.tell()
	g.mu.Lock()
	g.self.Draining = true
	g.mu.Unlock()
	err := g.list.UpdateNode(time.Second)
	if lerr := g.list.Leave(time.Second); err == nil {
		err = lerr
	}
	if err != nil {
		g.log.Debug("gossip: left without everybody knowing", "err", err)
	}
	return g.list.Shutdown()
}

// addresses are those of the others, by name. memberlist's own list is changed while
// one reads it.
func (g *Gossip) addresses() map[string]string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return maps.Clone(g.reached)
}

// tell sends the hint to everyone.
func (g *Gossip) tell() {
	entry := g.wrote.Load()
	if entry == 0 {
		return
	}
	for name, addr := range g.addresses() {
		_ = g.list.SendToAddress(memberlist.Address{Addr: addr, Name: name}, encodeHint(entry))
	}
}

// rekey takes over what has changed in the file of keys.
func (g *Gossip) rekey() {
	if g.keys == nil {
		return
	}
	switch changed, err := g.keys.reload(); {
	case err != nil:
		g.log.Error("gossip: the keys stay as they are", "err", err)
	case changed:
		g.log.Info("gossip: keys were changed", "file", g.opts.KeyFile)
	}
}

// joins is how many are asked at once: one whose link is down answers after seconds, and
// the others need not wait for it.
const joins = 8

// join looks for those that should be members and are not.
func (g *Gossip) join(where ...func() []string) {
	asked := map[string]bool{"": true, g.addr: true}
	for _, addr := range g.addresses() {
		asked[addr] = true
	}
	var all sync.WaitGroup
	defer all.Wait()
	gate := make(chan struct{}, joins)
	for _, addresses := range where {
		if addresses == nil {
			continue
		}
		for _, s := range addresses() {
			if asked[s] {
				continue
			}
			asked[s] = true
			gate <- struct{}{}
			all.Go(func() {
				defer func() { <-gate }()
				if _, err := g.list.Join([]string{s}); err != nil {
					g.log.Debug("gossip: a broker was not reached; it is tried again", "at", s, "err", err)
				}
			})
		}
	}
}

func poke(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
