package broker

import (
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
)

// memory is what a data folder remembers of the broker that used it last, in
// meta.properties.
type memory struct {
	cluster string
	node    int32
	entry   uint64 // how far the journal was
}

// nothing is what an empty folder remembers.
var nothing = memory{node: -1}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// String is the file: three properties, and the checksum of all before it.
func (m memory) String() string {
	text := fmt.Sprintf("# written by firn\ncluster.id=%s\nnode.id=%d\njournal.entry=%d\n", m.cluster, m.node, m.entry)
	return text + fmt.Sprintf("crc32c=%08x\n", crc32.Checksum([]byte(text), castagnoli))
}

// recall reads it; false when it is damaged. A folder is a cache that may be lost, so that
// damage to it is an empty folder, not another cluster's, nor a bucket that was rolled back.
// A file without a checksum is one that an older version wrote, if it is whole.
func recall(text string) (memory, bool) {
	m, seen := nothing, map[string]bool{}
	at := 0
	for line := range strings.Lines(text) {
		k, v, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		var err error
		switch {
		case !strings.HasSuffix(line, "\n"), seen["crc32c"]:
			return nothing, false
		case strings.HasPrefix(line, "#"):
		case !ok, seen[k]:
			return nothing, false
		case k == "cluster.id":
			m.cluster = v
		case k == "node.id":
			var n int64
			n, err = strconv.ParseInt(v, 10, 32)
			m.node = int32(n)
		case k == "journal.entry":
			m.entry, err = strconv.ParseUint(v, 10, 64)
		case k == "crc32c":
			if v != fmt.Sprintf("%08x", crc32.Checksum([]byte(text[:at]), castagnoli)) {
				return nothing, false
			}
		default:
			return nothing, false
		}
		if err != nil {
			return nothing, false
		}
		if ok {
			seen[k] = true
		}
		at += len(line)
	}
	if !seen["cluster.id"] || !seen["node.id"] || !seen["journal.entry"] {
		return nothing, false
	}
	return m, true
}
