package main

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// late are groups in which somebody lets his time pass.
func late() []scenario {
	return []scenario{
		{"groups/late to join", func(s *side) {
			c := newCrowd(s, "late-join")
			ann, ben, cat := c.all[0], c.all[1], c.all[2]
			c.pair(ann, ben)
			c.comes(cat)
			c.does("ann rejoins", func() { c.joins(ann) })
			c.passes(4500 * time.Millisecond)
			c.does("ben heartbeats", func() { c.beat(ben, 1) })
			c.does("look", func() { c.describe() })
			c.does("cat syncs", func() { c.sync(cat, 1) })
			c.does("ann assigns", func() { c.sync(ann, 1) })
			c.does("look again", func() { c.describe() })
		}},
		{"groups/late to sync", func(s *side) {
			c := newCrowd(s, "late-sync")
			ann, ben := c.all[0], c.all[1]
			c.comes(ann)
			c.does("ann assigns", func() { c.sync(ann, 1) })
			c.comes(ben)
			c.does("ann rejoins", func() { c.joins(ann) })
			c.does("ann assigns again", func() { c.sync(ann, 1) })
			c.passes(4500 * time.Millisecond)
			c.does("ann heartbeats", func() { c.beat(ann, 1) })
			c.does("ben syncs", func() { c.sync(ben, 1) })
			c.does("look", func() { c.describe() })
		}},
		{"groups/silent leader", func(s *side) {
			c := newCrowd(s, "silent-leader")
			c.rebalance = 20000
			ann, ben := c.all[0], c.all[1]
			c.comes(ann)
			c.does("ann assigns", func() { c.sync(ann, 1) })
			c.comes(ben)
			c.does("ann rejoins", func() { c.joins(ann) })
			c.does("ben syncs", func() { c.sync(ben, 1) })
			c.passes(8500 * time.Millisecond)
			c.does("look", func() { c.describe() })
			c.does("ben rejoins", func() { c.joins(ben) })
			c.does("look again", func() { c.describe() })
			c.passes(8500 * time.Millisecond)
			c.does("look at nobody", func() { c.describe() })
		}},
		{"groups/static and away", func(s *side) {
			c := newCrowd(s, "static-away")
			c.session = 30000
			ann, ben, cat := c.all[0], c.all[1], c.all[2]
			cat.instance = kmsg.StringPtr("instance")
			c.pair(ann, cat)
			c.comes(ben)
			c.does("ann rejoins", func() { c.joins(ann) })
			c.passes(4500 * time.Millisecond)
			c.does("look", func() { c.describe() })
			c.does("ann assigns", func() { c.sync(ann, 1) })
			c.does("ben syncs", func() { c.sync(ben, 1) })
			c.does("cat heartbeats", func() { c.beat(cat, 1) })
			c.passes(4500 * time.Millisecond)
			c.does("look again", func() { c.describe() })
			c.does("ann heartbeats", func() { c.beat(ann, 1) })
		}},
		{"groups/only static and away", func(s *side) {
			c := newCrowd(s, "only-static")
			c.session = 10000
			ann, cat := c.all[0], c.all[2]
			cat.instance = kmsg.StringPtr("instance")
			c.comes(cat)
			c.does("cat assigns", func() { c.sync(cat, 1) })
			c.comes(ann)
			c.passes(4500 * time.Millisecond)
			c.does("look", func() { c.describe() })
			c.does("ann assigns", func() { c.sync(ann, 1) })
			c.passes(6500 * time.Millisecond)
			c.does("look again", func() { c.describe() })
		}},
		{"groups/given an id and gone", func(s *side) {
			c := newCrowd(s, "pending")
			c.rebalance = 20000
			ann, ben := c.all[0], c.all[1]
			c.comes(ann)
			c.does("ann assigns", func() { c.sync(ann, 1) })
			c.does("ben asks", func() { c.joins(ben) })
			c.does("ann rejoins", func() { c.joins(ann) })
			c.does("look", func() { c.describe() })
			c.passes(8500 * time.Millisecond)
			c.does("ben joins", func() { c.joins(ben) })
			c.does("look again", func() { c.describe() })
		}},
	}
}

// newCrowd makes a crowd of members that join in 4 s and are silent for 8 s at most.
func newCrowd(s *side, group string) *crowd {
	ready(s)
	c := &crowd{side: s, group: group, session: 8000, rebalance: 4000}
	c.topic = create(s, "crowded-"+group, 3)
	for _, name := range []string{"ann", "ben", "cat"} {
		c.all = append(c.all, &comer{name: name})
	}
	return c
}

// pair makes a stable group of two, of which the first leads.
func (c *crowd) pair(a, b *comer) {
	c.comes(a)
	c.does(a.name+" assigns", func() { c.sync(a, 1) })
	c.comes(b)
	c.does(a.name+" rejoins", func() { c.joins(a) })
	c.does(a.name+" assigns both", func() { c.sync(a, 1) })
	c.does(b.name+" syncs", func() { c.sync(b, 1) })
}

// comes joins as somebody new.
func (c *crowd) comes(x *comer) {
	c.does(x.name+" comes", func() { c.joins(x) })
	if x.instance == nil {
		c.does(x.name+" comes with its id", func() { c.joins(x) })
	}
}

func (c *crowd) joins(x *comer) { c.join(x, 3) }

// does notes what comes of f.
func (c *crowd) does(step string, f func()) {
	c.lines = nil
	f()
	c.hush(step)
}

// passes notes what comes while time passes.
func (c *crowd) passes(d time.Duration) {
	c.does(fmt.Sprintf("%v pass", d), func() { time.Sleep(d) })
}
