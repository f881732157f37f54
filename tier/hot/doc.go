// Package hot is a broker's hot tier: a local copy of what is not sealed yet and
// of what is read often, on Badger. It is never the only copy of anything that
// was acknowledged with acks=all, and it may be wiped at any moment.
//
// # Vocabulary
//
//   - A Slot names one WAL object: a session and a number. The batches of a slot
//     are appended together, or not at all.
//   - A generation is a directory of its own: a file of values, which are the
//     batches as they came, and a Badger that says what they are. It holds the batches
//     of all partitions from the slots [First, Next) of one session, is filled,
//     retired, sealed as a whole and dropped as a whole. Keys are never deleted,
//     no TTL is set and no value-log collection runs: on this workload they cost
//     fifteen times the CPU and give nothing back.
//   - The slot table is what Badger holds of a slot, and what ends it: one line per
//     batch, with its offsets, length and checksum. A slot without its table was torn
//     by a crash and does not exist.
//   - The index is the lines of all slot tables, by partition, in memory: some 48
//     bytes for each batch.
//   - A leftover is a slot of an earlier life of this broker, at or above the
//     fence that ended it: acknowledged with acks=1 at most, never committed.
//   - To pin a generation is to keep it mapped and on disk. Whoever holds bytes of
//     the tier holds a pin.
//
// # Invariants
//
//	H1  A batch is served only with the checksum that was computed when it was
//	    appended, which also binds its session, slot, partition and base offset.
//	    A batch that fails it is a miss, not an error.
//	H2  A batch of an earlier session is served only once Settle has said where
//	    that session's fence is, and only from below it. What lies above may have
//	    been written by somebody else since, at the same offsets. Over comes first:
//	    what reached the tier after Settle would be served for ever.
//	H3  Slots of a generation are consecutive. A slot that the tier could not take
//	    ends the generation before it.
//	H4  Bytes handed out stay valid until their pin is released: the values of a
//	    generation are one file, mapped once, which is only added to.
//	H5  No page of a mapped file is written for which the disk has not promised a
//	    block: on a full disk that write would kill the process (SIGBUS). Only
//	    Badger's logs are written through a mapping; values are written with pwrite.
//	H6  No file of a generation is opened by Badger before it was screened: it
//	    trusts what it reads.
//	H7  Nothing that is wrong with the disk is fatal: the tier sheds generations,
//	    then refuses appends, and comes back by itself.
//	H8  What a cache takes beside its bytes is bounded, however small they are: memory
//	    for the index, and a descriptor, a mapping and the time to open it for each
//	    generation.
//
// # Layout
//
//	<dir>/LOCK                                  flock: one process per folder
//	<dir>/<session, 20 digits>-<seq, 6 digits>/ one generation: Badger's files, and
//	    values                                  the values, without anything between them
//
// Keys and values of its Badger (integers big endian):
//
//	key              value
//	0x00             origin: version 1, session u64, nonce 16 B, seq u64, crc32c u32
//	0x02 slot u64    slot table, see slot.go
package hot
