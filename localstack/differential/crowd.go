package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// crowdSeeds is how many groups do what chance says.
const crowdSeeds = 3

// crowds are groups whose members do what chance says, the same with both brokers: what
// each is told, and who is kept waiting. No time runs out. Where Kafka's choice of a leader
// is chance, because the old one goes and several stay, the step is left out.
func crowds() []scenario {
	var out []scenario
	for seed := range uint64(crowdSeeds) {
		out = append(out, scenario{fmt.Sprintf("groups/crowd %d", seed), func(s *side) {
			c := newCrowd(s, fmt.Sprintf("crowd-%d", seed))
			c.session, c.rebalance, c.chance = 60000, 60000, rand.New(rand.NewPCG(seed, 1))
			c.all[2].instance = kmsg.StringPtr("instance")
			c.all[1].instance = kmsg.StringPtr("instance-of-ben")
			if seed%2 == 0 {
				c.all[1].instance = nil
			}
			for step := range 40 {
				c.step(step)
			}
			for _, w := range c.waiting {
				w.conn.close()
			}
		}})
	}
	return out
}

// crowd is a group and those who come to it.
type crowd struct {
	*side
	group   string
	topic   [16]byte
	chance  *rand.Rand
	all     []*comer
	waiting []*waiting
	lines   []line // of the step

	leader             *comer
	session, rebalance int32 // timeouts, in milliseconds
}

// comer is a member, or somebody who was or will be one.
type comer struct {
	name       string
	instance   *string
	id         string // that it was told last
	generation int32
	in         bool // a member, as far as it knows
	leads      bool
	other      bool // subscribed to something else
}

// waiting is a request that has no answer yet.
type waiting struct {
	of      *comer
	conn    *wire
	version int16
	q       kmsg.Request
}

// waits is the request of x that waits, nil when none does.
func (c *crowd) waits(x *comer) kmsg.Request {
	for _, w := range c.waiting {
		if w.of == x {
			return w.q
		}
	}
	return nil
}

// step does one thing and notes what comes of it.
func (c *crowd) step(n int) {
	c.lines = nil
	x := c.all[c.chance.IntN(len(c.all))]
	what := c.act(x, c.chance.IntN(20), c.chance.IntN(4))
	c.hush(fmt.Sprintf("%d: %s %s", n, x.name, what))
}

func (c *crowd) act(x *comer, what, how int) string {
	switch {
	case what < 6:
		return c.join(x, how)
	case what < 10:
		return c.sync(x, how)
	case what < 12:
		return c.beat(x, how)
	case what < 14:
		return c.leave(x, how)
	case what < 16:
		return c.commit(x, how)
	case what == 16:
		x.other = !x.other
		return "changes its mind"
	case what == 17:
		return c.delete(how)
	}
	return c.describe()
}

func (c *crowd) join(x *comer, how int) string {
	if c.waits(x) != nil && (x.instance == nil || how > 0) {
		return "waits"
	}
	q := joining(c.group, x.id, "range")
	q.SessionTimeoutMillis, q.RebalanceTimeoutMillis, q.InstanceID = c.session, c.rebalance, x.instance
	if x.other {
		q.Protocols[0].Metadata = (&kmsg.ConsumerMemberMetadata{Topics: []string{"committed", "more"}}).AppendTo(nil)
	}
	version := []int16{3, 5, 9, 9}[how]
	if x.instance != nil && how == 0 {
		version, q.MemberID = 9, "" // as a new process
	}
	x.leads = false
	c.send(x, version, q)
	return fmt.Sprintf("joins v%d as new: %v", version, q.MemberID == "")
}

func (c *crowd) sync(x *comer, how int) string {
	if c.waits(x) != nil || x.id == "" {
		return "cannot sync"
	}
	q := syncing(c.group, x.id, x.generation)
	q.InstanceID = x.instance
	if how == 0 {
		q.Generation--
	}
	if x.leads {
		for _, y := range c.all {
			if y.id != "" {
				q.GroupAssignment = append(q.GroupAssignment, syncing("", "", 0, y.id).GroupAssignment...)
			}
		}
	}
	c.send(x, 5, q)
	return fmt.Sprintf("syncs, leader %v, generation %d", x.leads, q.Generation)
}

func (c *crowd) beat(x *comer, how int) string {
	if c.waits(x) != nil {
		return "waits"
	}
	q := beating(c.group, x.id, x.generation)
	q.InstanceID = x.instance
	if how == 0 {
		q.Generation--
	}
	c.send(x, 4, q)
	return "heartbeats"
}

func (c *crowd) leave(x *comer, how int) string {
	others := 0
	for _, y := range c.all {
		if y != x && (y.in || c.waits(y) != nil) {
			others++
		}
	}
	_, syncs := c.waits(x).(*kmsg.SyncGroupRequest)
	if syncs || others > 1 && c.leader == x {
		return "stays" // Kafka never answers who is removed while it syncs
	}
	q := leaving(c.group, x.id)
	q.Members[0].InstanceID = x.instance
	if x.instance != nil && how == 0 {
		q.Members[0].MemberID = ""
	}
	c.send(x, 5, q)
	return "leaves"
}

func (c *crowd) commit(x *comer, how int) string {
	if c.waits(x) != nil {
		return "waits"
	}
	id, generation := x.id, x.generation
	switch how {
	case 1:
		generation--
	case 2:
		id, generation = "", -1
	}
	q := committing(c.group, id, generation, commit{topic: "crowded-" + c.group, id: c.topic, partition: int32(how % 3), offset: int64(how)})
	if how != 2 {
		q.InstanceID = x.instance
	}
	c.send(x, 9, q)
	return fmt.Sprintf("commits as %d", how)
}

func (c *crowd) delete(how int) string {
	if how > 1 {
		q := kmsg.NewPtrOffsetDeleteRequest()
		q.Group = c.group
		t := kmsg.NewOffsetDeleteRequestTopic()
		t.Topic = "crowded-" + c.group
		t.Partitions = append(t.Partitions, kmsg.OffsetDeleteRequestTopicPartition{})
		q.Topics = append(q.Topics, t)
		r := quiet[*kmsg.OffsetDeleteResponse](c.side, q)
		c.tell("offset", "deleted: %d %v", r.ErrorCode, r.Topics)
		return "or somebody deletes an offset"
	}
	q := kmsg.NewPtrDeleteGroupsRequest()
	q.Groups = []string{c.group}
	c.tell("group", "deleted: %d", quiet[*kmsg.DeleteGroupsResponse](c.side, q).Groups[0].ErrorCode)
	return "or somebody deletes the group"
}

func (c *crowd) describe() string {
	q := kmsg.NewPtrDescribeGroupsRequest()
	q.Groups = []string{c.group}
	g := quiet[*kmsg.DescribeGroupsResponse](c.side, q).Groups[0]
	assigned := 0
	for _, m := range g.Members {
		if len(m.MemberAssignment) > 0 {
			assigned++
		}
	}
	c.tell("group", "%d %s %q %q, %d members, %d assigned", g.ErrorCode, g.State, g.ProtocolType, g.Protocol, len(g.Members), assigned)
	for _, g := range quiet[*kmsg.OffsetFetchResponse](c.side, committed(c.group, false, commit{topic: "crowded-" + c.group, id: c.topic}, commit{topic: "crowded-" + c.group, id: c.topic, partition: 1})).Groups {
		for _, t := range g.Topics {
			for _, p := range t.Partitions {
				c.tell(fmt.Sprint("offset of ", p.Partition), "%d %d", p.ErrorCode, p.Offset)
			}
		}
	}
	return "looks"
}

func (c *crowd) tell(who, what string, args ...any) {
	c.lines = append(c.lines, line{who, fmt.Sprintf(what, args...)})
}

// send asks on a connection of its own. The answers to joins and syncs may wait.
func (c *crowd) send(x *comer, version int16, q kmsg.Request) {
	conn, err := dial(c.addr)
	if err != nil {
		panic(fault{err})
	}
	conn.send(version, q)
	w := &waiting{x, conn, version, q}
	switch q.(type) {
	case *kmsg.JoinGroupRequest, *kmsg.SyncGroupRequest:
		c.waiting = append(c.waiting, w)
	default:
		c.hear(w)
		conn.close()
	}
}

// pause is how long nothing must come until nothing is believed to come.
const pause = 100 * time.Millisecond

// hush notes answers until none comes any more. Before it says so it asks for the group:
// that is answered after what was asked before, however slow the broker is today.
func (c *crowd) hush(step string) {
	for empty := 0; empty < 3; {
		came := false
		c.waiting = slices.DeleteFunc(c.waiting, func(w *waiting) bool {
			if err := w.conn.peek(pause / 20); errors.Is(err, os.ErrDeadlineExceeded) {
				return false
			}
			came = true
			c.hear(w)
			w.conn.close()
			return true
		})
		if came {
			empty = 0
			continue
		}
		empty++
		time.Sleep(pause)
		q := kmsg.NewPtrDescribeGroupsRequest()
		q.Groups = []string{c.group}
		quiet[*kmsg.DescribeGroupsResponse](c.side, q)
	}
	slices.SortFunc(c.lines, func(a, b line) int { return strings.Compare(a.path, b.path) })
	c.notes = append(c.notes, note{step: step, lines: c.lines})
}

// hear notes an answer, and what its client makes of it.
func (c *crowd) hear(w *waiting) {
	x := w.of
	r, err := w.conn.receive(w.version, w.q)
	if err != nil {
		c.tell(x.name, "%T: %v", w.q, err)
		return
	}
	gone := func(code int16) {
		if code == 25 || code == 82 {
			x.in, x.leads, x.id = false, false, ""
		}
	}
	switch r := r.(type) {
	case *kmsg.JoinGroupResponse:
		if r.ErrorCode == 79 {
			x.id = r.MemberID
		}
		if r.ErrorCode == 0 {
			x.id, x.generation, x.in, x.leads = r.MemberID, r.Generation, true, r.LeaderID == r.MemberID
			if x.leads {
				c.leader = x
			}
		}
		c.tell(x.name, "joined: %d, generation %d, %d members, leads %v, skips %v, an id %v", r.ErrorCode, r.Generation, len(r.Members), x.leads, r.SkipAssignment, r.MemberID != "")
		if w.q.(*kmsg.JoinGroupRequest).MemberID == x.id || r.ErrorCode != 82 {
			gone(r.ErrorCode)
		}
	case *kmsg.SyncGroupResponse:
		c.tell(x.name, "synced: %d, %d bytes", r.ErrorCode, len(r.MemberAssignment))
		if w.q.(*kmsg.SyncGroupRequest).MemberID == x.id {
			gone(r.ErrorCode)
		}
	case *kmsg.HeartbeatResponse:
		c.tell(x.name, "heartbeat: %d", r.ErrorCode)
		gone(r.ErrorCode)
	case *kmsg.LeaveGroupResponse:
		c.tell(x.name+" leaves", "%d", r.ErrorCode)
		for _, m := range r.Members {
			c.tell(x.name+" left", "%d", m.ErrorCode)
		}
		x.in, x.leads, x.id = false, false, ""
	case *kmsg.OffsetCommitResponse:
		c.tell(x.name, "commit: %d", r.Topics[0].Partitions[0].ErrorCode)
	}
}
