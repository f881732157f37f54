package catalog

import "iter"

const tableShards = 256

// edit marks what one mutable State may change in place. Clone gives the clone
// a new one, so that everything the two share is copied before it is written.
type edit struct{ _ byte }

// table is a persistent map: cloning copies shard pointers, writing copies the
// shards it touches once per edit. A million entries make shards of 4,000.
type table[K comparable, V any] struct {
	hash   func(K) uint8
	shards [tableShards]*shard[K, V]
	n      int
}

type shard[K comparable, V any] struct {
	owner *edit
	m     map[K]V
}

func newTable[K comparable, V any](hash func(K) uint8) table[K, V] {
	return table[K, V]{hash: hash}
}

func (t *table[K, V]) get(k K) (V, bool) {
	if s := t.shards[t.hash(k)]; s != nil {
		v, ok := s.m[k]
		return v, ok
	}
	var zero V
	return zero, false
}

func (t *table[K, V]) own(h uint8, e *edit) *shard[K, V] {
	s := t.shards[h]
	if s == nil {
		s = &shard[K, V]{owner: e, m: make(map[K]V)}
		t.shards[h] = s
		return s
	}
	if s.owner == e {
		return s
	}
	c := &shard[K, V]{owner: e, m: make(map[K]V, len(s.m)+1)}
	for k, v := range s.m {
		c.m[k] = v
	}
	t.shards[h] = c
	return c
}

func (t *table[K, V]) set(e *edit, k K, v V) {
	s := t.own(t.hash(k), e)
	if _, ok := s.m[k]; !ok {
		t.n++
	}
	s.m[k] = v
}

func (t *table[K, V]) del(e *edit, k K) {
	if _, ok := t.get(k); !ok {
		return
	}
	s := t.own(t.hash(k), e)
	delete(s.m, k)
	t.n--
}

func (t *table[K, V]) len() int { return t.n }

// all yields the entries in no particular order.
func (t *table[K, V]) all() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for _, s := range t.shards {
			if s == nil {
				continue
			}
			for k, v := range s.m {
				if !yield(k, v) {
					return
				}
			}
		}
	}
}

func hashString(s string) uint8 {
	h := uint32(2166136261)
	for i := 0; i < len(s); i++ {
		h = (h ^ uint32(s[i])) * 16777619
	}
	return uint8(h ^ h>>8 ^ h>>16 ^ h>>24)
}
