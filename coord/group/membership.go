package group

import (
	"bytes"
	"maps"
	"slices"
	"strings"
)

// State is where a group is in a rebalance.
type State uint8

// The states of a classic group.
const (
	Empty      State = iota // no members; perhaps offsets
	Preparing               // waits for members to join again
	Completing              // waits for the leader's assignment
	Stable
	Dead
)

// String is Kafka's name of the state.
func (s State) String() string {
	return [...]string{"Empty", "PreparingRebalance", "CompletingRebalance", "Stable", "Dead"}[s]
}

type group struct {
	id           string
	state        State
	generation   int32
	protocolType string
	protocol     string
	leader       string
	members      map[string]*member
	static       map[string]string // instance id to member id
	pending      map[string]int64  // member ids given out, and when they expire
	deadline     int64             // of Preparing
	delayed      bool              // Preparing is the initial delay: it lasts to its end
	began        int64             // of Preparing
	grew         bool              // somebody new joined in the initial delay
	offsets      map[TopicPartition]commit
	emptyAt      int64 // wall clock
	written      bool  // a metadata record exists
	order        uint64
}

type member struct {
	id                   string
	instance             *string
	clientID, host       string
	session, rebalance   int64 // ms
	protocolType         string
	protocols            []Protocol
	assignment           []byte
	expires              int64
	order                uint64
	join, sync           any // tokens that wait
	joining, syncWaiting bool
	synced               bool
}

// parked says that the member waits for the group: it cannot heartbeat, so its
// session does not run out.
func (x *member) parked() bool { return x.joining || x.syncWaiting }

func (x *member) metadata(protocol string) []byte {
	for _, p := range x.protocols {
		if p.Name == protocol {
			return p.Metadata
		}
	}
	return []byte{}
}

func (x *member) same(ps []Protocol) bool {
	return slices.EqualFunc(x.protocols, ps, func(a, b Protocol) bool { return a.Name == b.Name && bytes.Equal(a.Metadata, b.Metadata) })
}

func (x *member) alive(now int64) { x.expires = now + x.session }

// sorted are the members in the order in which they joined.
func (g *group) sorted() []*member {
	return slices.SortedFunc(maps.Values(g.members), func(a, b *member) int {
		if a.order < b.order {
			return -1
		}
		return 1
	})
}

func (m *Machine) group(id string) *group {
	g := m.groups[id]
	if g == nil {
		g = &group{id: id, members: map[string]*member{}, static: map[string]string{}, pending: map[string]int64{}, offsets: map[TopicPartition]commit{}}
		m.groups[id] = g
	}
	return g
}

// Join takes a JoinGroup request (kafka.md 38-40).
func (m *Machine) Join(now, wall int64, r *JoinRequest, token any) {
	fail := func(err error) { m.answer(token, JoinResponse{Err: err, Generation: -1, MemberID: r.MemberID}) }
	size := 0
	for _, p := range r.Protocols {
		size += len(p.Metadata) + len(p.Name)
	}
	g := m.groups[r.Group]
	switch {
	case m.checkID(r.Group) != nil:
		fail(ErrInvalidGroupID)
		return
	case int64(r.SessionTimeoutMs) < m.cfg.MinSessionMs || int64(r.SessionTimeoutMs) > m.cfg.MaxSessionMs:
		fail(ErrInvalidSessionTimeout)
		return
	case r.ProtocolType == "" || len(r.Protocols) == 0 || size > m.cfg.MaxProtocolBytes:
		fail(ErrInconsistentProtocol)
		return
	case g == nil && r.MemberID != "":
		fail(ErrUnknownMember)
		return
	case g == nil && len(m.groups) >= m.cfg.MaxGroups:
		fail(ErrNotAvailable)
		return
	}
	if g == nil {
		g = m.group(r.Group)
	}
	if !g.supports(r) {
		fail(ErrInconsistentProtocol)
		return
	}
	_, pending := g.pending[r.MemberID]
	x := g.members[r.MemberID]
	if x == nil && !(r.InstanceID != nil && g.static[*r.InstanceID] != "") && len(g.members) >= m.cfg.MaxSize {
		fail(ErrGroupMaxSize)
		return
	}
	switch {
	case r.MemberID == "" && r.InstanceID != nil:
		if old := g.static[*r.InstanceID]; old != "" {
			g.replace(m, now, wall, old, r, token)
			return
		}
		g.add(m, now, wall, m.newID(*r.InstanceID), r, token)
	case r.MemberID == "" && r.NeedMemberID:
		id := m.newID(r.ClientID)
		if len(g.pending) >= m.cfg.MaxSize {
			fail(ErrGroupMaxSize)
			return
		}
		g.pending[id] = now + int64(r.SessionTimeoutMs)
		m.answer(token, JoinResponse{Err: ErrMemberIDRequired, Generation: -1, MemberID: id})
	case r.MemberID == "":
		g.add(m, now, wall, m.newID(r.ClientID), r, token)
	case r.InstanceID != nil && g.static[*r.InstanceID] != "" && g.static[*r.InstanceID] != r.MemberID:
		fail(ErrFencedInstance)
	case x != nil && (r.InstanceID == nil) != (x.instance == nil):
		fail(ErrUnknownMember)
	case pending:
		delete(g.pending, r.MemberID)
		g.add(m, now, wall, r.MemberID, r, token)
	case x == nil:
		fail(ErrUnknownMember)
	default:
		g.again(m, now, wall, x, r, token)
	}
}

// supports says whether a member with these protocols fits the group (G2).
func (g *group) supports(r *JoinRequest) bool {
	if len(g.members) == 0 {
		return true
	}
	if g.protocolType != r.ProtocolType {
		return false
	}
	for _, p := range r.Protocols {
		all := true
		for _, x := range g.members {
			if x.id != r.MemberID && !slices.ContainsFunc(x.protocols, func(q Protocol) bool { return q.Name == p.Name }) {
				all = false
				break
			}
		}
		if all {
			return true
		}
	}
	return false
}

// add adds a new member and rebalances.
func (g *group) add(m *Machine, now, wall int64, id string, r *JoinRequest, token any) {
	x := &member{id: id, instance: r.InstanceID, clientID: r.ClientID, host: r.Host, order: g.order}
	g.order++
	g.members[id] = x
	if r.InstanceID != nil {
		g.static[*r.InstanceID] = id
	}
	if len(g.members) == 1 {
		g.protocolType = r.ProtocolType
		if g.leader == "" {
			g.leader = id
		}
	}
	g.grew = true
	g.update(m, x, now, r, token)
	g.rebalance(m, now, wall)
}

// update makes a member wait for the next generation.
func (g *group) update(m *Machine, x *member, now int64, r *JoinRequest, token any) {
	if x.joining { // an earlier request of the same member: the client gave it up
		m.answer(x.join, JoinResponse{Err: ErrRebalanceInProgress, Generation: -1, MemberID: x.id})
	}
	x.session, x.rebalance = int64(r.SessionTimeoutMs), int64(r.RebalanceTimeoutMs)
	if x.rebalance <= 0 {
		x.rebalance = x.session
	}
	x.protocolType, x.protocols = r.ProtocolType, r.Protocols
	x.clientID, x.host = r.ClientID, r.Host
	x.join, x.joining = token, true
	x.alive(now)
}

// again is a known member that joins again.
func (g *group) again(m *Machine, now, wall int64, x *member, r *JoinRequest, token any) {
	switch {
	case g.state == Completing && x.same(r.Protocols), g.state == Stable && x.same(r.Protocols) && x.id != g.leader:
		// It did not get the answer, or asks without need: nothing has changed.
		x.alive(now)
		m.answer(token, g.joined(x))
	default:
		g.update(m, x, now, r, token)
		g.rebalance(m, now, wall)
	}
}

// replace puts a new process in the place of a static member (KIP-345): with the
// same metadata in a stable group nothing is rebalanced.
func (g *group) replace(m *Machine, now, wall int64, old string, r *JoinRequest, token any) {
	x := g.members[old]
	fenced := func(t any) { m.answer(t, JoinResponse{Err: ErrFencedInstance, Generation: -1, MemberID: old}) }
	if x.joining {
		fenced(x.join)
		x.join, x.joining = nil, false
	}
	if x.syncWaiting {
		m.answer(x.sync, SyncResponse{Err: ErrFencedInstance})
		x.sync, x.syncWaiting = nil, false
	}
	delete(g.members, old)
	x.id = m.newID(*r.InstanceID)
	g.members[x.id] = x
	g.static[*r.InstanceID] = x.id
	leads := g.leader == old
	if leads {
		g.leader = x.id
	}
	if g.state == Stable && x.same(r.Protocols) {
		x.session, x.rebalance = int64(r.SessionTimeoutMs), max(int64(r.RebalanceTimeoutMs), 1)
		x.clientID, x.host = r.ClientID, r.Host
		x.alive(now)
		g.save(m, wall)
		resp := g.joined(x)
		if leads {
			if r.CanSkip {
				resp.SkipAssignment = true
			} else {
				// Before KIP-814 a leader that is told that it leads would assign anew:
				// it is told that somebody else does.
				resp.Leader, resp.Members = old, nil
			}
		}
		m.answer(token, resp)
		return
	}
	g.update(m, x, now, r, token)
	g.rebalance(m, now, wall)
}

// joined is what a member is told of the current generation.
func (g *group) joined(x *member) JoinResponse {
	r := JoinResponse{Generation: g.generation, ProtocolType: g.protocolType, Protocol: g.protocol, Leader: g.leader, MemberID: x.id}
	if x.id == g.leader {
		for _, y := range g.sorted() {
			r.Members = append(r.Members, JoinMember{y.id, y.instance, y.metadata(g.protocol)})
		}
	}
	return r
}

// rebalance begins a rebalance, or completes it when nobody is missing.
func (g *group) rebalance(m *Machine, now, wall int64) {
	if g.state == Completing {
		for _, x := range g.sorted() {
			x.assignment = nil
			if x.syncWaiting {
				m.answer(x.sync, SyncResponse{Err: ErrRebalanceInProgress})
				x.sync, x.syncWaiting = nil, false
				x.alive(now)
			}
		}
	}
	if g.state != Preparing {
		g.delayed = g.state == Empty && m.cfg.InitialDelayMs > 0
		g.state, g.began = Preparing, now
		g.deadline = now + g.longest()
		if g.delayed {
			g.deadline = now + min(m.cfg.InitialDelayMs, g.longest())
			g.grew = false
			return
		}
	}
	g.settle(m, now, wall)
}

func (g *group) longest() int64 {
	d := int64(1)
	for _, x := range g.members {
		d = max(d, x.rebalance)
	}
	return d
}

// settle completes the rebalance if everybody has joined.
func (g *group) settle(m *Machine, now, wall int64) {
	if g.state != Preparing || g.delayed || len(g.pending) > 0 {
		return
	}
	for _, x := range g.members {
		if !x.joining {
			return
		}
	}
	g.complete(m, now, wall)
}

// complete ends the wait for members and begins the next generation.
func (g *group) complete(m *Machine, now, wall int64) {
	for _, x := range g.sorted() { // static members keep their place until their session ends
		if !x.joining && x.instance == nil {
			g.drop(x)
		}
	}
	joined := 0
	for _, x := range g.members {
		if x.joining {
			joined++
		}
	}
	if len(g.members) == 0 {
		g.generation++
		g.empty(m, wall)
		return
	}
	if joined == 0 { // only static members that are away: wait on
		g.deadline = now + g.longest()
		return
	}
	if l := g.members[g.leader]; l == nil || !l.joining {
		for _, x := range g.sorted() {
			if x.joining {
				g.leader = x.id
				break
			}
		}
	}
	g.generation++
	g.protocol = g.vote()
	g.state, g.deadline = Completing, 0
	for _, x := range g.sorted() {
		x.synced = false
		x.alive(now)
		if x.joining {
			t := x.join
			x.join, x.joining = nil, false
			m.answer(t, g.joined(x))
			// Who does not sync within the rebalance timeout is gone.
			x.expires = now + max(x.session, x.rebalance)
		}
	}
}

// vote chooses the protocol that most members prefer among those that all support.
func (g *group) vote() string {
	var candidates []string
	members := g.sorted()
	for _, p := range members[0].protocols {
		if !slices.ContainsFunc(members, func(x *member) bool {
			return !slices.ContainsFunc(x.protocols, func(q Protocol) bool { return q.Name == p.Name })
		}) {
			candidates = append(candidates, p.Name)
		}
	}
	votes := map[string]int{}
	for _, x := range members {
		for _, p := range x.protocols {
			if slices.Contains(candidates, p.Name) {
				votes[p.Name]++
				break
			}
		}
	}
	best := ""
	for _, c := range candidates {
		if best == "" || votes[c] > votes[best] {
			best = c
		}
	}
	return best
}

// empty is a group whose last member is gone.
func (g *group) empty(m *Machine, wall int64) {
	g.state, g.protocol, g.leader, g.deadline, g.delayed = Empty, "", "", 0, false
	g.emptyAt = wall
	g.save(m, wall)
	m.forget(g)
}

// drop takes a member out of the maps.
func (g *group) drop(x *member) {
	delete(g.members, x.id)
	if x.instance != nil && g.static[*x.instance] == x.id {
		delete(g.static, *x.instance)
	}
}

// remove takes a member out of the group and rebalances those that are left.
func (g *group) remove(m *Machine, now, wall int64, x *member) {
	if x.joining {
		m.answer(x.join, JoinResponse{Err: ErrUnknownMember, Generation: -1, MemberID: x.id})
	}
	if x.syncWaiting {
		m.answer(x.sync, SyncResponse{Err: ErrUnknownMember})
	}
	x.joining, x.syncWaiting = false, false
	g.drop(x)
	switch g.state {
	case Stable, Completing:
		if len(g.members) == 0 {
			g.generation++
			g.empty(m, wall)
			return
		}
		g.rebalance(m, now, wall)
	case Preparing:
		if len(g.members) == 0 && len(g.pending) == 0 {
			g.generation++
			g.empty(m, wall)
			return
		}
		g.settle(m, now, wall)
	}
}

func (g *group) expireMembers(m *Machine, now, wall int64) {
	for _, x := range g.sorted() {
		if !x.parked() && now >= x.expires {
			if g.members[x.id] == x {
				g.remove(m, now, wall, x)
			}
		}
	}
}

func (g *group) expirePending(m *Machine, now, wall int64) {
	gone := false
	for id, t := range g.pending {
		if now >= t {
			delete(g.pending, id)
			gone = true
		}
	}
	if gone {
		if g.state == Empty {
			m.forget(g)
			return
		}
		g.settle(m, now, wall)
	}
}

// check finds a member that a request claims to come from.
func (g *group) check(id string, instance *string, generation int32) (*member, error) {
	if instance != nil {
		switch cur := g.static[*instance]; {
		case cur == "":
			return nil, ErrUnknownMember
		case cur != id:
			return nil, ErrFencedInstance
		}
	}
	x := g.members[id]
	if x == nil {
		return nil, ErrUnknownMember
	}
	if generation != g.generation {
		return nil, ErrIllegalGeneration
	}
	return x, nil
}

// Sync takes a SyncGroup request.
func (m *Machine) Sync(now, wall int64, r *SyncRequest, token any) {
	fail := func(err error) { m.answer(token, SyncResponse{Err: err}) }
	g := m.groups[r.Group]
	if m.checkID(r.Group) != nil {
		fail(ErrInvalidGroupID)
		return
	}
	if g == nil {
		fail(ErrUnknownMember)
		return
	}
	x, err := g.check(r.MemberID, r.InstanceID, r.Generation)
	switch {
	case err != nil:
		fail(err)
		return
	case r.ProtocolType != nil && *r.ProtocolType != g.protocolType, r.Protocol != nil && *r.Protocol != g.protocol:
		fail(ErrInconsistentProtocol)
		return
	}
	switch g.state {
	case Preparing:
		x.alive(now)
		fail(ErrRebalanceInProgress)
	case Stable:
		x.alive(now)
		m.answer(token, g.assigned(x))
	case Completing:
		if x.syncWaiting {
			m.answer(x.sync, SyncResponse{Err: ErrRebalanceInProgress})
		}
		x.sync, x.syncWaiting = token, true
		if x.id != g.leader {
			return
		}
		for _, y := range g.members {
			y.assignment = []byte{}
		}
		for _, a := range r.Assignments {
			if y := g.members[a.Member]; y != nil {
				y.assignment = a.Data
			}
		}
		g.state = Stable
		g.save(m, wall)
		for _, y := range g.sorted() {
			if y.syncWaiting {
				t := y.sync
				y.sync, y.syncWaiting = nil, false
				y.alive(now)
				m.answer(t, g.assigned(y))
			}
		}
	default:
		fail(ErrUnknownMember)
	}
}

func (g *group) assigned(x *member) SyncResponse {
	return SyncResponse{ProtocolType: g.protocolType, Protocol: g.protocol, Assignment: x.assignment}
}

// Heartbeat takes a Heartbeat request.
func (m *Machine) Heartbeat(now int64, r *HeartbeatRequest) error {
	if m.checkID(r.Group) != nil {
		return ErrInvalidGroupID
	}
	g := m.groups[r.Group]
	if g == nil {
		return ErrUnknownMember
	}
	x, err := g.check(r.MemberID, r.InstanceID, r.Generation)
	if err != nil {
		return err
	}
	switch g.state {
	case Preparing:
		x.alive(now)
		return ErrRebalanceInProgress
	case Completing:
		if x.id != g.leader || x.syncWaiting {
			x.alive(now)
		}
		return nil
	case Stable:
		x.alive(now)
		return nil
	}
	return ErrUnknownMember
}

// Leave takes a LeaveGroup request.
func (m *Machine) Leave(now, wall int64, r *LeaveRequest) LeaveResponse {
	if m.checkID(r.Group) != nil {
		return LeaveResponse{Err: ErrInvalidGroupID}
	}
	out := LeaveResponse{Errs: make([]error, len(r.Members))}
	g := m.groups[r.Group]
	for i, l := range r.Members {
		if g == nil || m.groups[r.Group] != g {
			out.Errs[i] = ErrUnknownMember
			continue
		}
		id := l.ID
		if l.InstanceID != nil {
			cur := g.static[*l.InstanceID]
			switch {
			case cur == "":
				out.Errs[i] = ErrUnknownMember
				continue
			case id != "" && id != cur:
				out.Errs[i] = ErrFencedInstance
				continue
			}
			id = cur
		}
		if _, ok := g.pending[id]; ok {
			delete(g.pending, id)
			if g.state == Empty {
				m.forget(g)
			} else {
				g.settle(m, now, wall)
			}
			continue
		}
		x := g.members[id]
		if x == nil {
			out.Errs[i] = ErrUnknownMember
			continue
		}
		g.remove(m, now, wall, x)
	}
	return out
}

// subscribed says whether a group of consumers is subscribed to a topic.
func (g *group) subscribed(topic string) bool {
	if g.state == Empty {
		return false
	}
	for _, x := range g.members {
		for _, p := range x.protocols {
			topics, ok := subscription(p.Metadata)
			if !ok || slices.ContainsFunc(topics, func(t string) bool { return strings.Compare(t, topic) == 0 }) {
				return ok
			}
		}
	}
	return false
}
