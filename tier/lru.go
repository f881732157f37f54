package tier

// lru is a map with a budget: what was not used for the longest time goes first.
// It is not safe for concurrent use.
type lru[K comparable, V any] struct {
	budget, used int64
	nodes        map[K]*node[K, V]
	root         node[K, V] // of a ring: next is the newest, prev the oldest
	gone         func(K, V) // told of each value that leaves, may be nil
}

type node[K comparable, V any] struct {
	prev, next *node[K, V]
	key        K
	value      V
	cost       int64
}

func newLRU[K comparable, V any](budget int64, gone func(K, V)) *lru[K, V] {
	l := &lru[K, V]{budget: budget, nodes: make(map[K]*node[K, V]), gone: gone}
	l.root.prev, l.root.next = &l.root, &l.root
	return l
}

func (l *lru[K, V]) get(k K) (V, bool) {
	n := l.nodes[k]
	if n == nil {
		var zero V
		return zero, false
	}
	n.unlink()
	n.link(&l.root)
	return n.value, true
}

func (l *lru[K, V]) set(k K, v V, cost int64) {
	l.del(k)
	n := &node[K, V]{key: k, value: v, cost: cost}
	l.nodes[k] = n
	n.link(&l.root)
	l.used += cost
	for l.used > l.budget && l.root.prev != n {
		l.del(l.root.prev.key)
	}
}

func (l *lru[K, V]) del(k K) {
	n := l.nodes[k]
	if n == nil {
		return
	}
	delete(l.nodes, k)
	n.unlink()
	l.used -= n.cost
	if l.gone != nil {
		l.gone(n.key, n.value)
	}
}

func (l *lru[K, V]) len() int { return len(l.nodes) }

func (n *node[K, V]) link(root *node[K, V]) {
	n.prev, n.next = root, root.next
	n.prev.next, n.next.prev = n, n
}

func (n *node[K, V]) unlink() { n.prev.next, n.next.prev = n.next, n.prev }
