package broker

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/firnlog/firn/broker/settings"
	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/catalog/journal"
	"github.com/firnlog/firn/coord"
	"github.com/firnlog/firn/gossip"
	"github.com/firnlog/firn/ingest"
	"github.com/firnlog/firn/ingest/pump"
	"github.com/firnlog/firn/kafka"
	"github.com/firnlog/firn/tier"
	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/cold/open"
	"github.com/firnlog/firn/tier/cold/trace"
	"github.com/firnlog/firn/tier/hot"
	"github.com/firnlog/firn/web"
)

// Options are a broker's parts and settings.
type Options struct {
	Settings *settings.Values
	Store    cold.Store
	// Place is where the store is.
	Place  open.Location
	Logger *slog.Logger
	// Network is where the broker listens and reaches others; nil: this machine's.
	Network gossip.Network
	// Wall is this machine's clock by the calendar. Default time.Now.
	Wall func() time.Time
	// Version of the program, for metrics.
	Version string
	// Left, when not nil, is told how many bytes were accepted and are not in the bucket when
	// this broker has left: none, unless the bucket did not take them in drain.timeout.ms.
	Left func(pending int64)
}

// Broker is one running broker.
type Broker struct {
	opts   Options
	values *settings.Values
	log    *slog.Logger
	node   int32
	kafka  *listeners
	httpLn net.Listener
	addr   string // advertised, of every listener

	journal *journal.Journal
	settler *cold.Settler
	hot     *hot.Tier
	pump    *pump.Pump
	tail    *tier.Tail
	tiers   *tier.Reader
	session *session
	config  *config
	topics  *topics
	groups  *groups
	server  *kafka.Server
	gossip  *gossip.Gossip
	metrics *web.Metrics
	web     *web.Server
	ready   web.Readiness
	lease   lease
	clock   *clock
	load    load
	bearing bearing
	roster  atomic.Pointer[roster]

	follower follower
	settling *settling
	leaving  atomic.Bool   // somebody lets it leave
	left     chan struct{} // closed when it has left
}

// Addresses are where a broker is reached.
type Addresses struct {
	Kafka, HTTP, Gossip string
	Node                int32
}

// String is the line that scripts read.
func (a Addresses) String() string {
	return fmt.Sprintf("kafka=%s http=%s gossip=%s node=%d", a.Kafka, a.HTTP, a.Gossip, a.Node)
}

// Run runs a broker until ctx ends, then drains it. ready is called once, when it
// serves. What Run returns is nil after a clean stop.
func Run(ctx context.Context, o Options, ready func(Addresses)) error {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Network == nil {
		o.Network = gossip.Machine{}
	}
	if o.Wall == nil {
		o.Wall = time.Now
	}
	b := &Broker{opts: o, values: o.Settings, log: o.Logger, clock: &clock{wall: o.Wall, log: o.Logger}, follower: follower{turn: make(chan struct{}, 1)}, left: make(chan struct{})}
	b.ready.Not("starting")
	b.metrics = web.NewMetrics(web.MetricsOptions{Version: o.Version, Ready: &b.ready, Process: true})
	b.opts.Store = trace.Wrap(o.Store, b.metrics.Store)
	if err := b.listen(ctx); err != nil {
		return unlessStopped(ctx, err)
	}
	defer b.kafka.close()
	b.web = web.NewServer(web.ServerOptions{Metrics: b.metrics, Ready: &b.ready, Logger: b.log, Pprof: b.values.Bool("http.pprof")})
	return b.probed(ctx, func(ctx context.Context) error { return unlessStopped(ctx, b.open(ctx, ready)) })
}

// unlessStopped is an error, but for that of a broker that was stopped while it started:
// what did not come to its end is no news.
func unlessStopped(ctx context.Context, err error) error {
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return nil
	}
	return err
}

// probed answers probes and scrapes for as long as f runs, from the broker's first moment
// to its last: a start waits for the bucket for as long as that is away, and an
// orchestrator that hears nothing would kill it meanwhile, again and again. When the
// listener fails, f's context ends.
func (b *Broker) probed(ctx context.Context, f func(context.Context) error) error {
	hctx, done := context.WithCancel(context.WithoutCancel(ctx))
	defer done()
	fctx, end := context.WithCancel(ctx)
	defer end()
	served := make(chan error, 1)
	go func() {
		defer end()
		served <- b.web.Serve(hctx, b.httpLn)
	}()
	err := f(fctx)
	done()
	return errors.Join(err, <-served)
}

// open opens the parts, runs them until ctx ends, and closes them.
func (b *Broker) open(ctx context.Context, ready func(Addresses)) (err error) {
	if dir := b.values.Get("data.dir"); dir != "" {
		b.hot, err = hot.Open(ctx, filepath.Join(dir, "hot"), hot.Options{
			Logger: b.log, MaxBytes: b.values.Int("hot.max.bytes"), GenerationBytes: b.values.Int("seal.bytes"),
		})
		if err != nil {
			return fmt.Errorf("open hot tier in %s: %w", dir, err)
		}
		defer func() {
			cctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			err = errors.Join(err, b.hot.Close(cctx))
		}()
	}
	if err := examine(ctx, b.opts.Store, b.opts.Place, b.log); err != nil {
		return err
	}
	b.lease.limit = b.values.Duration("broker.session.timeout.ms")
	if b.journal, err = journal.Open(ctx, b.opts.Store, journal.Options{Logger: b.log, Observe: b.committed, Poll: b.lease.renewal()}); err != nil {
		return err
	}
	b.lease.contact = b.journal.Contact
	if err := b.identify(); err != nil {
		return err
	}
	if err := b.openGossip(ctx); err != nil {
		return err
	}
	b.assemble()
	return b.run(ctx, ready)
}

// listen looks at the listeners first: a port that is taken is found before anything
// is changed.
func (b *Broker) listen(ctx context.Context) (err error) {
	if b.kafka, err = listen(ctx, b.opts.Network, b.values); err != nil {
		return err
	}
	if b.httpLn, err = b.opts.Network.Listen(ctx, b.values.Get("http")); err != nil {
		b.kafka.close()
		return unbound("http", err)
	}
	b.addr = b.kafka.advertised.String()
	return nil
}

// identify finds the node id: as set, else that of the former life in this data
// folder or at this address, else none yet: the catalog gives the lowest that no
// session has. The folder also remembers the cluster and how far its journal was,
// so that a bucket is noticed that is the wrong one or was rolled back: slots and
// offsets that this broker has filled would be given away a second time (P3).
func (b *Broker) identify() error {
	state := b.journal.State()
	b.node = int32(b.values.Int("node.id"))
	file := ""
	if dir := b.values.Get("data.dir"); dir != "" {
		file = filepath.Join(dir, "meta.properties")
	}
	former := nothing
	if raw, err := os.ReadFile(file); err == nil {
		ok := false
		if former, ok = recall(string(raw)); !ok {
			b.log.Warn("what the data folder remembers is damaged, and is not believed; it is written anew", "file", file)
		}
	}
	if former.cluster != "" && former.cluster != state.ClusterID() {
		return fmt.Errorf("data.dir %s belongs to cluster %s, but the bucket holds cluster %s: it was wiped, rolled back, or is the wrong one; use another folder or empty this one", b.values.Get("data.dir"), former.cluster, state.ClusterID())
	}
	if former.entry > state.Number() {
		return fmt.Errorf("data.dir %s has seen journal entry %d, but the journal in the bucket ends at entry %d: the bucket was rolled back; put its newer objects back, or accept that what came later is lost by using another folder or emptying this one", b.values.Get("data.dir"), former.entry, state.Number())
	}
	if b.node < 0 {
		b.node = former.node
	}
	if b.node < 0 {
		b.node = nodeAt(state, b.addr)
	}
	return nil
}

// nodeAt is the node id of the newest session at an address, unless somebody else has it by
// now; else -1.
func nodeAt(state *catalog.State, addr string) int32 {
	node := int32(-1)
	for _, s := range slices.Backward(state.Sessions()) {
		if node < 0 && s.Advertised == addr {
			node = s.Node
		}
	}
	for _, s := range state.Sessions() {
		if s.Node == node && !s.Sealed && s.Advertised != addr {
			return -1
		}
	}
	return node
}

// settleNode takes the node id that the session was registered with. A folder that cannot
// be written to, because its disk is full, say, remembers less and keeps nobody from anything.
func (b *Broker) settleNode() {
	b.node = b.session.me.Node
	b.config.node = b.node
	if err := b.remember(); err != nil {
		b.log.Warn("the data folder does not remember this node; without node.id its next life goes by the address", "err", err)
	}
}

// remember writes to the data folder what identify asks it for.
func (b *Broker) remember() error {
	dir := b.values.Get("data.dir")
	if dir == "" {
		return nil
	}
	state := b.journal.State()
	text := memory{state.ClusterID(), b.node, state.Number()}.String()
	// By rename: after a crash the file is the old one or the new one.
	file := filepath.Join(dir, "meta.properties")
	err := os.WriteFile(file+".new", []byte(text), 0o644)
	if err == nil {
		err = os.Rename(file+".new", file)
	}
	if err != nil {
		return fmt.Errorf("remember the node id: %w", err)
	}
	return nil
}

// assemble connects the parts.
func (b *Broker) assemble() {
	b.settler = cold.NewSettler(b.opts.Store, cold.SettlerOptions{Hedge: b.opts.Place.Remote(), Observe: b.metrics.Store.Attempt})
	po := pump.Options{
		Store: b.opts.Store, Settler: b.settler, Catalog: b.journal, Logger: b.log, Observer: b.metrics.Uploads, Wall: b.clock.now,
		Ingest: ingest.Config{
			Rate:           b.putRate(),
			ProducerExpiry: b.values.Duration("producer.id.expiration.ms"),
		},
	}
	if b.hot != nil {
		po.Hot = b.hot
	}
	b.tail = tier.NewTail(b.values.Int("tail.bytes"))
	po.Tail = &tail{cache: b.tail}
	b.pump = pump.New(po)
	where := locator{b.journal, b.pump}
	b.tiers = tier.NewReader(tier.ReaderOptions{
		Store: b.opts.Store, Locator: where, Epoch: where.epoch, Tail: b.tail, Hot: b.hot,
		Logger: b.log, BlockBytes: b.values.Int("cache.bytes"),
	})
	me := catalog.RegisterSession{
		Node: b.node, Advertised: b.addr, Gossip: b.gossip.Addr(), Rack: b.values.Get("broker.rack"), StartedMs: b.clock.now().UnixMilli(),
	}
	_, _ = rand.Read(me.Nonce[:])
	b.session = &session{
		store: b.opts.Store, settler: b.settler, journal: b.journal, pump: b.pump,
		log: b.log, me: me, reach: b.reach, stands: b.stands, registers: b.registered, asked: b.asked, clock: b.clock, replaces: b.replaces, heirs: b.heirs, producers: pump.LoadProducers,
	}
	if b.hot != nil {
		b.session.hot = b.hot
	}
	b.config = &config{journal: b.journal, values: b.values, node: b.node, load: b.load.second.Load}
	b.topics = &topics{journal: b.journal, owners: b.owners, settle: b.follow}
	b.settling = newSettling(b.journal, b.session)
	b.groups = &groups{b: b, topics: b.topics, coordinator: coord.New(offsetsLog{b}, b.log, b.groupConfig, b.clock.now, b.topicNamed)}
}

// putRate is how many puts per second the bill allows (protocol.md 3.3).
func (b *Broker) putRate() float64 {
	switch n := b.values.Int("put.rate"); {
	case n >= 0:
		return float64(n)
	case b.opts.Place.Amazon():
		return 8
	case b.opts.Place.Remote():
		return 200
	}
	return 0
}

// run performs the life of the broker.
func (b *Broker) run(ctx context.Context, ready func(Addresses)) error {
	// Machinery outlives ctx: it ends when the broker has left.
	mctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	g, mctx := errgroup.WithContext(mctx)
	g.Go(func() error { return b.journal.Run(mctx) })
	g.Go(func() error { return b.pump.Run(mctx) })
	g.Go(func() error { return b.tiers.Run(mctx) })
	g.Go(func() error { return b.gossip.Run(mctx) })
	g.Go(func() error { return b.heed(mctx) })
	sctx, cancel := context.WithCancel(ctx) // serving
	defer cancel()
	unhook := context.AfterFunc(mctx, cancel) // a fault of the machinery ends it
	defer unhook()

	err := b.session.start(sctx)
	if err == nil {
		b.settleNode()
		err = b.kafka.wake(sctx)
	}
	if err == nil {
		b.appear()
		err = b.serve(sctx, g, mctx, ready)
	}
	if ctx.Err() != nil {
		err = nil
	}
	b.leave(mctx)
	stop()
	return errors.Join(err, g.Wait())
}

// leave gives everything up, in one entry of the journal: once, and only while the
// machinery runs. Who comes later waits until that is done.
func (b *Broker) leave(mctx context.Context) {
	if !b.leaving.CompareAndSwap(false, true) {
		<-b.left
		return
	}
	defer close(b.left)
	if mctx.Err() != nil {
		return
	}
	lctx, done := context.WithTimeout(mctx, b.values.Duration("drain.timeout.ms"))
	defer done()
	b.meet(lctx)
	if err := b.pump.Leave(lctx, b.bequeath); err != nil {
		b.log.Warn("left without sealing the session; the next broker will", "err", err)
	}
	if b.opts.Left != nil {
		b.opts.Left(b.metrics.Uploads.Waiting())
	}
	b.groups.lead() // nothing any more
	if err := b.remember(); err != nil {
		b.log.Warn("how far the journal is was not remembered", "err", err)
	}
}

// linger stays for a while after this broker has left, when there are others: clients
// that say nothing for some seconds, as members of groups do, are told where to go when
// they come, instead of finding nobody.
func (b *Broker) linger(mctx context.Context) {
	end := time.NewTimer(b.values.Duration("drain.linger.ms"))
	defer end.Stop()
	for {
		changed := b.gossip.Changed()
		if len(b.heirs(b.journal.State(), 0)) == 0 {
			return
		}
		select {
		case <-changed:
		case <-end.C:
			return
		case <-mctx.Done():
			return
		}
	}
}

// serve listens until ctx ends. Then it leaves before it closes: clients are told at
// once to look for the new leaders, instead of finding nobody.
func (b *Broker) serve(ctx context.Context, g *errgroup.Group, mctx context.Context, ready func(Addresses)) error {
	cl := &cluster{journal: b.journal, self: b.node, brokers: b.liveBrokers, hear: b.settling.hear}
	b.server = kafka.New(kafka.Options{
		Logger: b.log, Observer: b.metrics.Wire, Place: b.opts.Place.String(), Wall: b.clock.now,
		Limits: kafka.Limits{
			ProduceFrame: int(b.values.Int("socket.request.max.bytes")), Connections: int(b.values.Int("max.connections")),
			ConnectionsPerIP: int(b.values.Int("max.connections.per.ip")),
			ConnectionRate:   float64(b.values.Int("max.connection.creation.rate")), Idle: b.values.Duration("connections.max.idle.ms"),
		},
		Backend: kafka.Backend{
			Cluster: cl, Settings: b.config, Topics: b.topics, Producers: newProducerIDs(b.journal), Groups: b.groups, Members: b.groups, Offsets: b.groups, GroupAdmin: b.groups,
			Log:     &log{b.pump, reads{b.tiers, locator{b.journal, b.pump}.starts, b.metrics.Traffic.Cold}, b.lease, b.settling.settle, b.settling.leads, b.load.counting(b.metrics.Traffic.Produced), b.load.counting(b.metrics.Traffic.Fetched)},
			History: &history{b.journal, b.pump, b.hot, b.tiers, b.lease},
		},
	})
	g.Go(func() error { return b.groups.Run(mctx) })
	g.Go(func() error { return b.followAll(mctx) })
	g.Go(func() error { return b.forget(mctx) })
	g.Go(func() error { return b.maintain(ctx) })
	g.Go(func() error { return b.succeed(ctx) })
	g.Go(func() error { return b.patrol(ctx) })
	g.Go(func() error { return b.confess(mctx) })
	g.Go(func() error { b.lease.watch(mctx, b.leased); return nil })
	g.Go(func() error { return b.press().Run(ctx) })
	b.web.Tell([][2]string{{"cluster", b.journal.State().ClusterID()}, {"node", strconv.Itoa(int(b.node))}, {"kafka", b.addr}, {"store", b.opts.Place.String()}, {"version", b.opts.Version}})
	b.metrics.Show(source{b})
	b.ready.Unless(b.unready)
	b.ready.Ready()
	unready := context.AfterFunc(ctx, func() {
		b.ready.Not("shutting down")
		b.show(func(x *bearing) { x.leaving = true })
	})
	defer unready()
	ready(Addresses{Kafka: b.kafka.String(), HTTP: b.httpLn.Addr().String(), Gossip: b.gossip.Addr(), Node: b.node})
	kctx, closeListeners := context.WithCancel(mctx)
	defer closeListeners()
	leaving := context.AfterFunc(ctx, func() {
		b.leave(mctx)
		b.linger(mctx)
		closeListeners()
	})
	defer leaving()
	return b.kafka.serve(kctx, b.server)
}

// owners chooses the owners of new partitions, among the live brokers.
func (b *Broker) owners(want []wanted) [][]uint64 {
	s, _ := b.pump.Session()
	state := b.journal.State()
	return share(state, b.heirs(state, s.ID), want, true)
}
