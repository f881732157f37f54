package tier

import (
	"sync"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/record"
)

// mostStreams bounds how many sequential readers are remembered.
const mostStreams = 1024

// stream is a reader that may go on: it is known by the partition and the offset
// at which it would.
type stream struct {
	partition record.Partition
	next      int64

	object catalog.ObjectRef // where next was found to be: no footer is needed to go on
	pos    int64             // relative to the run
	ahead  ahead
	wasted int64 // the counter when the stream was here last
	need   int64 // bytes of a first batch that did not fit what was fetched
}

type streamKey struct {
	partition record.Partition
	next      int64
}

// streams remembers readers of the bucket. A read takes the stream that it
// continues, and puts it back at its new place.
type streams struct {
	mu sync.Mutex
	at *lru[streamKey, stream]
}

func newStreams() *streams { return &streams{at: newLRU[streamKey, stream](mostStreams, nil)} }

func (s *streams) take(p record.Partition, offset int64) (stream, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := streamKey{p, offset}
	st, ok := s.at.get(k)
	if ok {
		s.at.del(k)
	}
	return st, ok
}

func (s *streams) put(st stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at.set(streamKey{st.partition, st.next}, st, 1)
}

func (s *streams) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at.len()
}
