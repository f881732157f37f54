package group

// Offsets committed in a transaction (TxnOffsetCommit, KIP-98) are records of the
// producer's transaction in the log; they count once its commit marker is there.
// Until then they make what they would change unstable (KIP-447). The machine
// learns of them from Replay and End.

// offsetKey is an offset that a transaction may change.
type offsetKey struct {
	group string
	tp    TopicPartition
}

// stage keeps an offset until the producer's transaction ends.
func (m *Machine) stage(producer int64, k offsetKey, c commit) {
	t := m.txns[producer]
	if t == nil {
		t = map[offsetKey]commit{}
		m.txns[producer] = t
	}
	t[k] = c
}

// unstage takes an offset out of all transactions.
func (m *Machine) unstage(k offsetKey) {
	for id, t := range m.txns {
		if delete(t, k); len(t) == 0 {
			delete(m.txns, id)
		}
	}
}

// unstable says whether an open transaction may change an offset.
func (m *Machine) unstable(id string, tp TopicPartition) bool {
	for _, t := range m.txns {
		if _, ok := t[offsetKey{id, tp}]; ok {
			return true
		}
	}
	return false
}

// staged says whether an open transaction may give the group an offset.
func (m *Machine) staged(id string) bool {
	for _, t := range m.txns {
		for k := range t {
			if k.group == id {
				return true
			}
		}
	}
	return false
}

// EndTxn is the marker that ends a producer's transaction: its offsets count from
// now on, or never. One that was committed later without a transaction stays.
func (m *Machine) EndTxn(producer int64, committed bool) {
	t := m.txns[producer]
	delete(m.txns, producer)
	for k, c := range t {
		if !committed {
			break
		}
		g := m.group(k.group)
		if old, ok := g.offsets[k.tp]; !ok || old.seq < c.seq {
			g.offsets[k.tp] = c
		}
	}
	for k := range t {
		if g := m.groups[k.group]; g != nil {
			m.settle(g)
		}
	}
}
