// Package object is the format of what lies in the bucket: one format for WAL
// objects, sealed objects, segments, fences and index objects.
//
// # Layout
//
// All numbers are little endian.
//
//	header    64 bytes
//	runs      batches back to back, run behind run; or a payload
//	footer    run table (84 bytes a run), then details
//	trailer   32 bytes
//
//	header:   0  4  magic "FIRN"        trailer:  0  8  position of the footer
//	          4  1  format version, 1             8  4  length of the footer
//	          5  1  kind                          12 4  number of runs
//	          6  2  zero                          16 4  CRC-32C of the footer
//	          8  8  session, or job               20 4  identity: CRC-32C of header[0:60],
//	          16 8  slot, or number in job              footer and trailer[0:16]
//	          24 16 boot nonce of the writer      24 4  CRC-32C of trailer[0:24]
//	          40 16 nonce of the fencer           28 4  magic "NRIF"
//	          56 4  zero
//	          60 4  CRC-32C of header[0:60]
//
//	run:      0  16 topic id              52 4  CRC-32C of the run's bytes
//	          16 4  partition             56 8  max timestamp, ms
//	          20 4  leader epoch          64 8  number of records
//	          24 8  base offset           72 8  time of writing, ms
//	          32 8  next offset           80 4  end of its details, in the details
//	          40 8  position
//	          48 4  length
//
// The details of a run begin where those of the one before end: a list of index
// entries (offset, position, largest timestamp so far; differences as varints),
// the producers, and the aborted transactions.
//
// The payload of an index object is protected by the CRC of one pseudo run that
// spans it and has a zero topic.
//
// Reading begins at the end: the last TailLen bytes of an object, one GET, hold
// the trailer and usually the whole footer. The run table has lines of one size,
// sorted, so that one run of ten thousand is found by a binary search and only its
// details are decoded.
//
// # Words
//
//	tail       the last bytes of an object, from which its footer is read
//	details    what the footer says of a run beside its line in the table
//	identity   four bytes that tell whether two objects of one name are the same
//
// # Invariants
//
//	O1  Runs are sorted by partition, then by base offset, and do not overlap.
//	O2  A run's batches are dense and of its leader epoch: each begins where the
//	    one before ends, the first at Base, the last ends at Next.
//	O3  Every byte is covered: the header by its CRC, runs by theirs, the footer
//	    by the trailer's, the trailer by its own, and that these belong together
//	    by the identity.
//	O4  WAL objects and sealed objects have runs; segments have runs of one
//	    partition; fences have none; index objects have one payload.
//	O5  What is read takes no more memory than a small multiple of its size,
//	    whatever it says of itself.
//
// A writer that breaks O1, O2 or O4 panics; bytes that break them are ErrCorrupt.
package object
