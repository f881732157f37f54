package broker

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/ingest"
	"github.com/firnlog/firn/ingest/pump"
	"github.com/firnlog/firn/planted"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier/cold"
)

// Tenure is how a broker comes to own partitions and gives them up, without the rest of
// a broker: what package broker/sim runs on virtual time. A Broker does the same with
// a journal, a gossip and a hot tier of its own.
type Tenure struct {
	session  session
	follower follower
	even     balance
	silent   map[uint64]int
	alive    func() map[int32]bool
	lease    lease
}

// TenureOptions are its parts. All down to Producers are needed.
type TenureOptions struct {
	Store     cold.Store
	Journal   pump.Catalog
	Pump      *pump.Pump
	Stage     pump.Stage
	Me        catalog.RegisterSession
	Renew     func(*catalog.RegisterSession) // gives a registration its nonce
	Reach     func(ctx context.Context, advertised string) bool
	Alive     func() map[int32]bool // nodes that may be given partitions, as gossip says
	Producers func(ctx context.Context, store cold.Store, state *catalog.State, ps ...record.Partition) (map[record.Partition][]ingest.Producer, error)
	Logger    *slog.Logger
	Hot       Leftovers        // nil without a hot tier
	Wall      func() time.Time // the machine's calendar; nil: the stage's time
	// Lease and Contact are broker.session.timeout.ms and how long ago the journal was
	// known to be current; without Contact the lease is always held.
	Lease   time.Duration
	Contact func() time.Duration
	// Replaces reports whether the broker of a session of the same node lives; nil: never.
	Replaces func(ctx context.Context, v *catalog.Session) bool
}

// Leftovers is what a hot tier has of former sessions.
type Leftovers = leftovers

// NewTenure returns one that owns nothing yet.
func NewTenure(o TenureOptions) *Tenure {
	t := &Tenure{alive: o.Alive, silent: map[uint64]int{}, follower: follower{turn: make(chan struct{}, 1)}}
	t.session = session{
		store: o.Store, journal: o.Journal, pump: o.Pump, log: o.Logger, me: o.Me,
		reach: o.Reach, producers: o.Producers, stage: o.Stage, renew: o.Renew, heirs: t.heirs, hot: o.Hot, replaces: o.Replaces,
	}
	t.lease = lease{o.Lease, o.Contact}
	if o.Wall != nil {
		t.session.clock = &clock{wall: o.Wall, log: slog.New(slog.DiscardHandler), stage: o.Stage}
	}
	if o.Logger == nil {
		t.session.log = slog.New(slog.DiscardHandler)
	}
	return t
}

func (t *Tenure) heirs(state *catalog.State, own uint64) []uint64 {
	return heirs(state, own, t.session.me.Node, t.alive(), false)
}

// Held reports whether what is known may be served as a leader (S13).
func (t *Tenure) Held() bool { return t.lease.contact == nil || t.lease.held() }

// Calendar is the time that all brokers agree on.
func (t *Tenure) Calendar() time.Time {
	if t.session.clock == nil {
		return t.session.stage.Now()
	}
	return t.session.clock.now()
}

// Date is what is done each second: it reads the bucket's calendar when that is due.
func (t *Tenure) Date(ctx context.Context) error {
	id, slots := t.session.pump.Committed()
	if t.session.clock == nil {
		return nil
	}
	return t.session.clock.keep(ctx, t.session.store, id, slots, t.session.stage.Now())
}

// Start takes over for the first time, as often as it takes.
func (t *Tenure) Start(ctx context.Context) error { return t.session.start(ctx) }

// TakeOver seals dead sessions, registers one and takes what nobody owns: at the start
// and after a fence.
func (t *Tenure) TakeOver(ctx context.Context) error { return t.session.takeOver(ctx) }

// Follow makes the pump serve what the catalog gives its session.
func (t *Tenure) Follow(ctx context.Context) error {
	if err := t.session.stage.Wait(ctx, func() bool { return len(t.follower.turn) == 0 }); err != nil {
		return err
	}
	return t.follower.follow(ctx, &t.session, t.session.stage.Now(), func() {})
}

// Bury fences and seals a session, and finds owners for what it had.
func (t *Tenure) Bury(ctx context.Context, v *catalog.Session) error {
	own, _ := t.session.pump.Session()
	if err := t.session.seal(ctx, v, own.ID); !errors.Is(err, errLives) {
		return err
	}
	return nil
}

// Bequeath says who owns next what is given up: it is pump.Heirs.
func (t *Tenure) Bequeath(after *catalog.State) []catalog.Command {
	own, _ := t.session.pump.Session()
	return t.session.takes(after, own.ID, nil)
}

// Adopt is what is done each second: sessions whose brokers do not answer are fenced,
// and what nobody alive owns is taken.
func (t *Tenure) Adopt(ctx context.Context) error {
	if s, ok := t.session.pump.Session(); ok {
		return t.session.adopt(ctx, s.ID, t.silent)
	}
	return nil
}

// Take finds owners for what nobody alive owns.
func (t *Tenure) Take(ctx context.Context) error {
	if s, ok := t.session.pump.Session(); ok {
		return t.session.take(ctx, s.ID, nil)
	}
	return nil
}

// Excess is what is to be released now.
func (t *Tenure) Excess() []record.Partition {
	s, ok := t.session.pump.Session()
	if !ok {
		return nil
	}
	state := t.session.journal.State()
	return t.even.excess(state, t.heirs(state, s.ID), s.ID, t.session.stage.Now())
}

// Rotate ends the session and goes on with another one when it is due.
func (t *Tenure) Rotate(ctx context.Context, age time.Duration, maxSlots uint64, maxAge time.Duration) (rotated bool, err error) {
	old, _ := t.session.pump.Session()
	if _, slots := t.session.pump.Committed(); !due(slots, age, maxSlots, maxAge) {
		return false, nil
	}
	err = t.session.pump.Rotate(ctx, t.session.next())
	if err == nil || planted.Is(planted.ForgetLeftovers) {
		t.session.movedFrom(old.ID)
	}
	return true, err
}
