package tier

import "github.com/firnlog/firn/catalog"

// piece is bytes of one run to be read: whole batches from pos on, the last one
// perhaps cut off when n ends before the run does.
type piece struct {
	extent catalog.Extent
	base   int64 // offset of the batch at pos
	pos, n int64 // relative to the run
}

// plan cuts so many bytes into pieces: from the batch at pos of the first extent,
// whose offset is base, through the extents behind it. One byte or more of each
// piece is wanted; at most most pieces are planned.
func plan(extents []catalog.Extent, base, pos, bytes int64, most int) []piece {
	var out []piece
	for i, e := range extents {
		if bytes <= 0 || len(out) == most {
			break
		}
		if i > 0 {
			if e.Base != extents[i-1].Next {
				break
			}
			base, pos = e.Base, 0
		}
		n := min(e.Len-pos, bytes)
		if n <= 0 {
			continue
		}
		out = append(out, piece{extent: e, base: base, pos: pos, n: n})
		bytes -= n
	}
	return out
}
