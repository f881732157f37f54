package group

import (
	"slices"
	"strings"
)

// List lists groups in the given states, in any case; all when there are none.
func (m *Machine) List(states []string) []Listed {
	out := []Listed{}
	for _, id := range m.ids() {
		g := m.groups[id]
		s := g.state.String()
		if len(states) == 0 || slices.ContainsFunc(states, func(x string) bool { return strings.EqualFold(x, s) }) {
			out = append(out, Listed{id, g.protocolType, s})
		}
	}
	return out
}

// Describe describes a group.
func (m *Machine) Describe(id string) Description {
	g := m.groups[id]
	if g == nil {
		return Description{Err: ErrGroupNotFound, Group: id, State: Dead.String()}
	}
	d := Description{Group: id, State: g.state.String(), ProtocolType: g.protocolType, Members: make([]DescribedMember, 0, len(g.members))}
	for _, x := range g.members {
		// While a group gathers, what its members were told last still holds.
		y := DescribedMember{ID: x.id, InstanceID: x.instance, ClientID: x.clientID, Host: x.host, Assignment: x.assignment}
		if g.state == Stable {
			y.Metadata = x.metadata(g.protocol)
		}
		d.Members = append(d.Members, y)
	}
	if g.state == Stable {
		d.Protocol = g.protocol
	}
	return d
}
