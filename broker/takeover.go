package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/ingest"
	"github.com/firnlog/firn/ingest/pump"
	"github.com/firnlog/firn/planted"
	"github.com/firnlog/firn/record"
	"github.com/firnlog/firn/tier/cold"
)

// session is how this broker becomes an owner: it seals dead sessions, registers
// its own, takes what nobody owns, and gives the pump what it needs to go on.
type session struct {
	store   cold.Store
	settler *cold.Settler
	journal pump.Catalog
	pump    *pump.Pump
	hot     leftovers // nil without a hot tier
	log     *slog.Logger
	me      catalog.RegisterSession
	// heirs are the sessions that may be given partitions, own among them.
	heirs func(state *catalog.State, own uint64) []uint64
	// reach reports whether a broker answers at what it has advertised.
	reach func(ctx context.Context, advertised string) bool
	// stands is what is known of the broker of a session, however it is reached; nil:
	// nothing.
	stands func(*catalog.Session) standing
	// registers is told of each session as soon as it is registered; nil: nobody is.
	registers func(id uint64)
	// asked waits until stands has heard of all that live; nil: at once.
	asked func(ctx context.Context)
	// producers are pump.LoadProducers.
	producers  func(ctx context.Context, store cold.Store, state *catalog.State, ps ...record.Partition) (map[record.Partition][]ingest.Producer, error)
	registered bool // it had a session before: one goroutine at a time asks
	// replaces reports whether the broker of a session of this node lives; nil: never.
	replaces func(ctx context.Context, v *catalog.Session) bool

	clock *clock // nil: the stage's time is right

	hurt  hurt  // partitions that cannot be led
	given given // what the pump was given

	// In simulations: where it runs, and what gives a registration its nonce.
	stage pump.Stage
	renew func(*catalog.RegisterSession)
}

// start takes over for the first time. A session that somebody else seals before it serves,
// as brokers do that do not see each other, is followed by another one.
func (s *session) start(ctx context.Context) error {
	for {
		err := s.takeOver(ctx)
		if err == nil || !errors.Is(err, pump.ErrSession) || ctx.Err() != nil {
			return err
		}
		s.log.Warn("the session has ended before it served; beginning again", "err", err)
		select {
		case <-s.pump.Over(): // of that session, for whoever takes over again later
		default:
		}
		if err := s.pause(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
}

// takeOver makes this broker the owner of everything that nobody alive owns, and
// the pump ready to append. It goes on until ctx ends, whatever the bucket does. An error
// that wraps pump.ErrSession says that the session was sealed before all of that was done:
// pump.Pump.Over says so, too.
func (s *session) takeOver(ctx context.Context) error {
	mine, err := s.sealDead(ctx, !s.registered)
	if err != nil {
		return err
	}
	me, asked := s.next(), s.now()
	res, err := s.journal.Commit(ctx, &me)
	if err == nil {
		err = res[0].Err
	}
	if err != nil {
		return fmt.Errorf("register session: %w", err)
	}
	s.registered = true
	id := res[0].ID
	if v, ok := s.journal.State().Session(id); ok && s.me.Node < 0 {
		s.me.Node = v.Node // given by the catalog, once: others read it from then on
	}
	if s.registers != nil {
		s.registers(id)
	}
	if s.clock != nil {
		if err := s.clock.first(ctx, s.store, id, asked); err != nil {
			return err
		}
	}
	// Before anything is served: what the hot tier holds beyond the fences may be
	// somebody else's by now, at the same offsets.
	ended := s.settleHot(id)
	// Before the take, and before succeed and patrol may take for this session: what did our
	// own former lives own last? Only that may be appended again from the hot tier
	// (protocol.md 3.6). A life that died while it did so left the rest to us, so all of them count together.
	former := map[record.Partition]bool{}
	for _, v := range mine {
		for _, p := range s.journal.State().Owned(v.ID) {
			former[p] = true
		}
	}
	if err := s.pump.Begin(ctx, pump.Session{ID: id, Nonce: me.Nonce}, s.leftIn(ended)...); err != nil {
		return err
	}
	if err := s.settleIn(ctx, id, former, ended); err != nil {
		if v, ok := s.journal.State().Session(id); !ok || v.Sealed { // the pump may not have heard of it
			fence := uint64(0)
			if ok {
				fence = v.Fence
			}
			return errors.Join(fmt.Errorf("%w: session %d was sealed before it served: %w", pump.ErrSession, id, err), s.pump.Sealed(ctx, id, fence))
		}
		return err
	}
	return nil
}

// settleIn takes what is to be had for a session that has begun, and appends what former
// ones have left.
func (s *session) settleIn(ctx context.Context, id uint64, former map[record.Partition]bool, ended []*catalog.Session) error {
	// Whatever becomes of the rest, no partition takes nothing for ever. A broker that is
	// stopped leaves to its next life what is not restored.
	defer func() {
		if ctx.Err() == nil {
			_ = s.pump.Admit(context.WithoutCancel(ctx), id)
		}
	}()
	if err := s.take(ctx, id, former); err != nil {
		return err
	}
	state := s.journal.State()
	take, _, _ := shifts(state, nil, id, s.led)
	if err := s.own(ctx, id, state, take); err != nil {
		return err
	}
	s.restoreAll(ctx, id, ended, former)
	return nil
}

// sealDead fences and seals the sessions of this node's former lives and those
// whose broker does not answer. Fencing somebody who lives does no harm (protocol.md 5), but
// brokers whose clients come over addresses that the brokers do not reach themselves
// would do nothing else: who lives as gossip says is left alone. It returns the
// sessions of former lives of this node. Whoever goes on after a fence leaves all others
// alone: two that reach the bucket and not each other would fence each other at the pace
// of the bucket, instead of that of adopt. One of another node that cannot be fenced, because
// it is damaged, is left to adopt. ErrNode says that somebody else lives as this node.
func (s *session) sealDead(ctx context.Context, others bool) (mine []*catalog.Session, err error) {
	left := map[uint64]bool{}
	for {
		var dead, strange []*catalog.Session
		mine = mine[:0]
		for _, v := range s.journal.State().Sessions() {
			own := s.former(v)
			if own {
				mine = append(mine, v)
			}
			switch {
			case v.Sealed, left[v.ID]:
			case own && s.another(ctx, v):
				return nil, twice(v)
			case own:
				dead = append(dead, v)
			case others:
				strange = append(strange, v)
			}
		}
		dead = append(dead, s.deadOf(ctx, strange)...)
		if len(dead) == 0 {
			return mine, nil
		}
		for _, v := range dead {
			err := s.seal(ctx, v, 0)
			switch {
			case err == nil:
			case errors.Is(err, errLives):
				left[v.ID] = true
			case ctx.Err() == nil && !slices.Contains(mine, v):
				s.log.Error("the session of a broker that is gone cannot be sealed; nobody leads what it had; if slots cannot be read, firn object give-up goes on without them", "session", v.ID, "node", v.Node, "err", err)
				left[v.ID] = true
			case errors.Is(err, ingest.ErrForeign):
				return nil, fmt.Errorf("%w; firn object verify says which slots cannot be read, firn object give-up goes on without them", err)
			default:
				return nil, err
			}
		}
	}
}

// former reports whether a session is one of a former life of this node.
func (s *session) former(v *catalog.Session) bool {
	return s.me.Node >= 0 && v.Node == s.me.Node || v.Advertised == s.me.Advertised
}

// standing is what is known of a session's broker without asking it.
func (s *session) standing(v *catalog.Session) standing {
	if s.stands == nil {
		return unheard
	}
	return s.stands(v)
}

// heard reports whether a broker is heard of or answers, and may be able to serve.
func (s *session) heard(ctx context.Context, v *catalog.Session) bool {
	switch s.standing(v) {
	case serves:
		return true
	case adrift: // it may answer all the same
		return false
	}
	return s.reach(ctx, v.Advertised)
}

// silent is nil when a broker is not heard of though it is asked several times: a link that
// is back carries some things a second before it carries others. errLives says that it is,
// any other error is ctx's.
func (s *session) silent(ctx context.Context, v *catalog.Session) error {
	for range misses {
		if s.heard(ctx, v) {
			return errLives
		}
		if err := s.pause(ctx, heirWait); err != nil {
			return err
		}
	}
	return nil
}

// deadOf are those of some sessions whose brokers are dead. They are asked together, since
// each takes its time to say nothing.
func (s *session) deadOf(ctx context.Context, vs []*catalog.Session) []*catalog.Session {
	dead := make([]bool, len(vs))
	var asks sync.WaitGroup
	for i, v := range vs {
		if s.stage != nil {
			dead[i] = s.dead(ctx, v)
			continue
		}
		asks.Go(func() { dead[i] = s.dead(ctx, v) })
	}
	asks.Wait()
	var out []*catalog.Session
	for i, v := range vs {
		if dead[i] {
			out = append(out, v)
		}
	}
	return out
}

// dead reports whether a broker neither answers nor is heard of.
func (s *session) dead(ctx context.Context, v *catalog.Session) bool {
	if s.reach(ctx, v.Advertised) {
		return false
	}
	if s.stands == nil {
		return true
	}
	if s.asked != nil {
		s.asked(ctx)
	}
	switch s.stands(v) {
	case unheard:
		return true
	case serves:
		s.log.Warn("a broker lives and does not answer at the address that it advertises to clients", "node", v.Node, "advertised", v.Advertised)
	}
	return false
}

// ErrNode says that another process lives under this broker's node id.
var ErrNode = errors.New("two brokers with one node id")

// twice is the ErrNode of whoever finds that a session's broker lives and has its node id.
func twice(v *catalog.Session) error {
	return fmt.Errorf("%w: node id %d is that of the broker at %s, which is running (session %d): is node.id set twice, or was a data folder copied?", ErrNode, v.Node, v.Advertised, v.ID)
}

// farewell is how long a broker that starts waits for one to go whose node id it has.
const farewell = 5 * time.Second

// another reports whether the session of this node is that of another process, at another
// address, which lives: not of a former life. The one that comes later has to yield, and
// the one that was taken for dead and replaced.
func (s *session) another(ctx context.Context, v *catalog.Session) bool {
	if v.Advertised == s.me.Advertised || s.replaces == nil {
		return false
	}
	for began := s.now(); s.replaces(ctx, v); {
		if s.registered || s.now().Sub(began) >= farewell {
			return true
		}
		if s.pause(ctx, farewell/10) != nil {
			return false
		}
		if now, ok := s.journal.State().Session(v.ID); !ok || now.Sealed {
			return false // it has left
		}
	}
	return false
}

// errLives says that a session was not fenced, because its broker answers.
var errLives = errors.New("the broker answers")

// seal fences one session and records it (S6, S7). In the same entry of the journal its
// partitions, and all that have no living owner, get new ones, unless id, this broker's
// session, is 0: whoever waits for them waits for one round trip less.
//
// Where the bucket is slow to show what there is, our link may have been down, and with it
// what we took for a death: the other broker is asked again before the fence is put, and
// errLives says that it lives.
func (s *session) seal(ctx context.Context, v *catalog.Session, id uint64) error {
	began := s.now()
	f, err := pump.Fence(ctx, pump.FenceOptions{
		Store:   s.store,
		Session: pump.Session{ID: v.ID, Nonce: v.Nonce}, From: v.Covered, Nonce: s.me.Nonce, Stage: s.stage,
		Gone: func(ctx context.Context) error {
			if s.now().Sub(began) <= heirWait || s.former(v) {
				return nil
			}
			return s.silent(ctx, v)
		},
	})
	if err != nil {
		return err
	}
	if planted.Is(planted.SealNothing) {
		f.Runs = nil
	}
	cmds := []catalog.Command{&catalog.SealSession{Session: v.ID, Covered: v.Covered, Fence: f.Slot, Extents: f.Extents(v.ID)}}
	if id != 0 {
		after := s.journal.State().Fork()
		after.Apply(after.Number()+1, cmds)
		cmds = append(cmds, s.takes(after, id, nil)...)
	}
	res, err := s.journal.Commit(ctx, cmds...)
	if err != nil {
		return fmt.Errorf("seal session %d: %w", v.ID, err)
	}
	switch err := res[0].Err; {
	case errors.Is(err, catalog.ErrStale), errors.Is(err, catalog.ErrSealed), errors.Is(err, catalog.ErrNoSession):
		return nil // somebody was quicker, or its mark moved: the caller looks again
	case err != nil:
		return fmt.Errorf("seal session %d: %w", v.ID, err)
	}
	s.log.Info("sealed the session of a broker that is gone", "session", v.ID, "node", v.Node, "fence", f.Slot, "slots", len(f.Runs), "took", s.now().Sub(began).Round(time.Millisecond).String())
	return nil
}

// take gives every partition that has no living owner a new one (S8).
func (s *session) take(ctx context.Context, id uint64, former map[record.Partition]bool) error {
	state := s.journal.State()
	if v, ok := state.Session(id); !ok || v.Sealed { // it is nobody's heir, and has nothing to take
		return fmt.Errorf("take partitions for session %d: %w", id, catalog.ErrSealed)
	}
	cmds := s.takes(state, id, former)
	if len(cmds) == 0 {
		return nil
	}
	results, err := s.journal.Commit(ctx, cmds...)
	if err != nil {
		return fmt.Errorf("take partitions: %w", err)
	}
	for i, r := range results {
		if r.Err != nil && cmds[i].(*catalog.Take).Session == id {
			return fmt.Errorf("take partitions: %w", r.Err)
		}
	}
	return nil // what an heir could not be given, because it ended, is looked at again
}

// takeBatch is how many partitions one command takes.
const takeBatch = 10000

// takes are the commands that give every partition without a living owner a new one:
// those that were this broker's to itself, the others to the least loaded heirs. They go
// into the journal together.
func (s *session) takes(state *catalog.State, id uint64, former map[record.Partition]bool) []catalog.Command {
	if !state.Orphaned() {
		return nil
	}
	var mine, others []catalog.TakeItem // others by topic, as want
	var want []wanted
	for _, t := range state.Topics() {
		before := len(others)
		for _, p := range t.Partitions {
			if v, ok := state.Session(p.Owner); ok && !v.Sealed {
				continue
			}
			item := catalog.TakeItem{Partition: p.ID, Epoch: p.Epoch + 1, Start: p.Next}
			if former[p.ID] {
				mine = append(mine, item)
			} else {
				others = append(others, item)
			}
		}
		if n := len(others) - before; n > 0 {
			want = append(want, wanted{t.ID, n})
		}
	}
	items := map[uint64][]catalog.TakeItem{id: mine}
	heirs := s.heirs(state, id)
	for _, owners := range share(state, heirs, want, false) {
		for i, owner := range owners {
			items[owner] = append(items[owner], others[i])
		}
		others = others[len(owners):]
	}
	var cmds []catalog.Command
	for _, owner := range heirs {
		for batch := range slices.Chunk(items[owner], takeBatch) {
			cmds = append(cmds, &catalog.Take{Session: owner, Items: batch})
		}
	}
	return cmds
}

// hurt remembers of which partitions it was told that they cannot be led: clients that wait
// for one ask many times a second.
type hurt struct {
	mu   sync.Mutex
	told map[record.Partition]time.Time
}

// news reports whether a partition was not told of for a while.
func (h *hurt) news(p record.Partition, now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if at, ok := h.told[p]; ok && now.Sub(at) < lookAround {
		return false
	}
	if h.told == nil {
		h.told = map[record.Partition]time.Time{}
	}
	h.told[p] = now
	return true
}

// over reports whether it was told of a partition, which can be led now.
func (h *hurt) over(p record.Partition) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, told := h.told[p]
	delete(h.told, p)
	return told
}

// own gives the pump partitions that the state says are the session's, in the order of
// claims. One whose producers cannot be known, because an object is gone or damaged, is not
// led until they can: it would take again what was sent again. It is looked at once a
// minute, and ends nobody.
func (s *session) own(ctx context.Context, id uint64, state *catalog.State, ps []*catalog.Partition) error {
	for _, some := range claims(ps) {
		if err := s.ownSome(ctx, id, state, some); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) ownSome(ctx context.Context, id uint64, state *catalog.State, ps []*catalog.Partition) error {
	if len(ps) == 0 {
		return nil
	}
	ids := make([]record.Partition, len(ps))
	for i, p := range ps {
		ids[i] = p.ID
	}
	producers, err := s.producers(ctx, s.store, state, ids...)
	var unknown pump.Unknown
	if err != nil && !errors.As(err, &unknown) {
		return fmt.Errorf("rebuild producer state: %w", err)
	}
	for p, err := range unknown {
		if s.hurt.news(p, s.now()) {
			s.log.Error("a partition has no leader: what its log tells of producers is lost or damaged; firn object verify says what, firn object give-up goes on without it", "partition", p.String(), "err", err)
		}
	}
	if planted.Is(planted.ForgetProducers) {
		producers = nil
	}
	owned := make([]pump.Owned, 0, len(ps))
	for _, p := range ps {
		if unknown[p.ID] == nil {
			if s.hurt.over(p.ID) {
				s.log.Warn("a partition has a leader again: what its log tells of producers is whole, or was given up", "partition", p.ID.String(), "epoch", p.Epoch, "next", p.Next)
			}
			owned = append(owned, pump.Owned{Partition: p.ID, Start: ingest.Start{
				Epoch: p.Epoch, Next: p.Next, LogStart: p.LogStart, Producers: producers[p.ID],
			}})
		}
	}
	if err := s.pump.Own(ctx, id, owned...); err != nil {
		return err
	}
	return s.retract(ctx, id, owned)
}

func (s *session) now() time.Time {
	if s.stage != nil {
		return s.stage.Now()
	}
	return time.Now()
}

func (s *session) pause(ctx context.Context, d time.Duration) error {
	if s.stage != nil {
		return s.stage.Sleep(ctx, d)
	}
	return sleep(ctx, d)
}
