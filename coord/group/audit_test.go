package group

import "slices"

// audit checks what must hold of a machine between any two calls.
func audit(t interface {
	Helper()
	Fatalf(format string, args ...any)
}, m *Machine) {
	t.Helper()
	held := 0
	for id, g := range m.groups {
		if g.id != id {
			t.Fatalf("%s is kept as %s", g.id, id)
		}
		if (g.state == Empty) != (len(g.members) == 0) && g.state != Preparing {
			t.Fatalf("%s: %s with %d members", id, g.state, len(g.members))
		}
		if len(g.members) != len(g.byID) {
			t.Fatalf("%s: %d members, %d ids", id, len(g.members), len(g.byID))
		}
		if len(g.members) > 0 && g.byID[g.leader] == nil {
			t.Fatalf("G2: %s: leader %q is no member", id, g.leader)
		}
		static := 0
		for _, x := range g.members {
			held += x.size()
			if g.byID[x.id] != x {
				t.Fatalf("%s: %s is not found by its id", id, x.id)
			}
			if x.instance != nil {
				static++
				if g.static[*x.instance] != x {
					t.Fatalf("%s: %s is not found by its instance id", id, x.id)
				}
			}
			if g.pending[x.id] != 0 {
				t.Fatalf("%s: %s is member and pending", id, x.id)
			}
			if x.joining && g.state != Preparing {
				t.Fatalf("%s: %s is joining in %s", id, x.id, g.state)
			}
			if x.syncing && g.state != Completing {
				t.Fatalf("%s: %s is syncing in %s", id, x.id, g.state)
			}
			if (g.state == Completing || g.state == Stable) && !x.supports(g.protocol) {
				t.Fatalf("G2: %s: %s does not support %s", id, x.id, g.protocol)
			}
		}
		if static != len(g.static) {
			t.Fatalf("%s: %d static members, %d instance ids", id, static, len(g.static))
		}
		if g.state == Preparing && g.joinBy == 0 {
			t.Fatalf("%s: nobody watches the rebalance", id)
		}
		if g.state == Completing && g.syncBy == 0 && !slices.ContainsFunc(g.members, func(x *member) bool { return x.synced && x.id == g.leader }) {
			t.Fatalf("%s: nobody watches the leader", id)
		}
		next := g.next()
		switch {
		case g.due.at >= 0 && m.due[g.due.i] != &g.due:
			t.Fatalf("%s: lost in the heap", id)
		case next >= 0 && (g.due.at < 0 || g.due.at > next):
			t.Fatalf("%s: due at %d, looked at %d", id, next, g.due.at)
		}
	}
	if held != m.held {
		t.Fatalf("G4: members hold %d bytes, counted %d", held, m.held)
	}
	if len(m.due) > len(m.groups) {
		t.Fatalf("%d groups wait of %d", len(m.due), len(m.groups))
	}
}
