package tier

import (
	"slices"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/record"
)

// Locator says where the records of a partition are, as it knows now. It does not
// block. What it returns is not changed, by either side.
type Locator interface {
	// Extents returns a Place for the offset; false when it knows none. It may
	// know more than it returns: who reads on asks again.
	Extents(p record.Partition, offset int64) (Place, bool)
}

// Place is where an offset is: in the first of Extents, which follow each other
// without a gap, or, when there are none, somewhere in the extents that were
// pressed into the object of Index.
type Place struct {
	Extents []catalog.Extent
	Index   catalog.IndexRef
}

// In is the place of an offset in what the catalog says of a partition.
func In(part *catalog.Partition, offset int64) (Place, bool) {
	if i := part.Find(offset); i < len(part.Extents) && part.Extents[i].Base <= offset {
		return Place{Extents: part.Extents[i:]}, true
	}
	i, _ := slices.BinarySearchFunc(part.Index, offset, func(x catalog.IndexRef, o int64) int {
		if x.Next <= o {
			return -1
		}
		return 1
	})
	if i < len(part.Index) && part.Index[i].Base <= offset {
		return Place{Index: part.Index[i]}, true
	}
	return Place{}, false
}
