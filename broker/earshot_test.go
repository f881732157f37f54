package broker

import (
	"testing"

	"github.com/firnlog/firn/catalog"
)

// A broker with another key of gossip, or behind a firewall, is told of once: not one that
// starts, is silent, is heard, has ended, or is this one.
func TestWhoAnswersAndIsNotHeardIsToldOfOnce(t *testing.T) {
	sessions := []*catalog.Session{{ID: 1, Node: 1}, {ID: 2, Node: 2}, {ID: 3, Node: 3}, {ID: 4, Node: 4}, {ID: 5, Node: 5, Sealed: true}}
	hears := func(v *catalog.Session) bool { return v.ID == 3 }
	e := earshot{}
	told := map[uint64]int{}
	for look := 1; look <= 3*deafAfter; look++ {
		for _, v := range e.notice(sessions, 1, hears, map[uint64]int{4: 1}) {
			if told[v.ID]++; look != deafAfter {
				t.Errorf("session %d is told of at look %d", v.ID, look)
			}
		}
	}
	if len(told) != 1 || told[2] != 1 {
		t.Errorf("told of %v, want session 2 once", told)
	}
	e.notice(sessions, 1, func(*catalog.Session) bool { return true }, nil)
	for range deafAfter - 1 {
		if got := e.notice(sessions, 1, hears, nil); len(got) > 0 {
			t.Errorf("told of again after it was heard: %v", got)
		}
	}
}
