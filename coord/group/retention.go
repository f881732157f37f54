package group

// expireOffsets drops what nobody needs any more (semantic 43, KIP-211), and
// groups that hold nothing:
//
//   - of a group without members, its retention after it became so or the commit;
//   - of a simple group, its retention after the commit;
//   - of a stable group of consumers, its retention after the commit, unless they
//     are subscribed to the topic;
//   - what an open transaction has staged an offset for stays.
func (m *Machine) expireOffsets(wall int64) {
	for _, id := range m.ids() {
		g := m.groups[id]
		var since func(c commit) int64
		switch {
		case g.protocolType == "":
			since = func(c commit) int64 { return c.at }
		case g.state == Empty:
			since = func(c commit) int64 { return max(c.at, g.since) }
		case g.state == Stable && g.protocolType == consumers && g.known:
			since = func(c commit) int64 { return c.at }
		default:
			continue
		}
		for _, tp := range m.committed(g, false) {
			c := g.offsets[tp]
			if g.state != Empty && g.subscribed(tp.Topic) || m.unstable(id, tp) {
				continue
			}
			if c.until > 0 && wall >= c.until || c.until == 0 && wall-since(c) >= m.cfg.RetentionMs {
				m.uncommit(g, tp)
			}
		}
		if g.state == Empty && len(g.offsets) == 0 && len(g.pending) == 0 && !m.staged(id) {
			m.bury(g)
		}
	}
}
