package tier

const (
	// aheadFirst is the window of a reader that was seen to go on once.
	aheadFirst = 1 << 20
	// aheadMost hides some 80 ms of a bucket's latency from a reader of 100 MB/s.
	aheadMost = 8 << 20
)

// ahead is how far one sequential reader is read ahead of, in bytes of its
// partition. The zero value belongs to a reader that was seen once: it may be a
// lookup, and nothing is read ahead.
type ahead struct {
	window int64 // how much shall be there ahead of the reader
	asked  int64 // how much was asked for, from where the reader is
}

// advance is the policy: the reader went on and read so many bytes; missed says
// that it had to fetch bytes that had been read ahead and were evicted again. It returns how many bytes to ask for, behind those asked for before.
//
// The window doubles each time the reader has used half of it up, so that one who
// keeps up soon has the most; one who stays away asks for nothing. When what was
// read ahead got lost before it was used, there are too many readers for the
// cache, and the window is halved. limit is the most that the reader may have.
func (a ahead) advance(read int64, missed bool, limit int64) (ahead, int64) {
	if a.asked = max(0, a.asked-read); missed {
		a.asked = 0
	}
	switch {
	case a.window == 0:
		a.window = min(aheadFirst, limit)
	case missed:
		a.window = max(a.window/2, min(aheadFirst, limit))
	case a.asked <= a.window/2:
		a.window = min(a.window*2, limit)
	}
	if a.asked > a.window/2 {
		return a, 0
	}
	ask := a.window - a.asked
	a.asked = a.window
	return a, ask
}

// aheadLimit is how far one of so many readers may be read ahead of: all of them
// together use half of the cache.
func aheadLimit(cache int64, readers int) int64 {
	return min(aheadMost, max(blockSize, cache/2/int64(max(readers, 1))))
}
