// Package record is what a Kafka record batch (message format v2) is: its
// header, what makes it valid, how its records are read and written.
//
// A batch, byte for byte (big endian; Kafka's DefaultRecordBatch, KIP-98):
//
//	offset  size  field
//	0       8     base offset                 ─┐ outside the CRC: the broker
//	8       4     length of all that follows   │ writes base offset and leader
//	12      4     partition leader epoch       │ epoch in place (Rebase)
//	16      1     magic, 2                    ─┘
//	17      4     CRC-32C of all that follows
//	21      2     attributes: codec (3 bits), timestamp type, transactional, control,
//	              delete horizon
//	23      4     last offset delta
//	27      8     base timestamp, ms; with a delete horizon, that (KIP-534)
//	35      8     max timestamp, ms
//	43      8     producer id
//	51      2     producer epoch
//	53      4     base sequence
//	57      4     number of records
//	61      …     records, compressed as a whole
//
// A record, all numbers zig-zag varints but the attributes:
//
//	length of all that follows
//	attributes, one byte, 0
//	timestamp minus the batch's base timestamp
//	offset minus the batch's base offset
//	length of the key, -1 for null; key
//	length of the value, -1 for null; value
//	number of headers; each: length of its key, key, length of its value or -1, value
//
// Batches are opaque on the way through the broker: Check reads the header and
// the CRC, nothing is decompressed unless the topic demands it.
//
// # Words
//
//	view      a slice of the batch, or of what it was decompressed into
//	dense     every offset of the batch has its record
//	marker    the control record that ends a transaction
//
// # Invariants
//
//	R1  No bytes make this package panic, read outside the batch, or loop: they
//	    give an error. Only arguments that contradict each other panic.
//	R2  Checking and reading an uncompressed batch allocates nothing, however
//	    many records it has. A compressed one becomes at most MaxDecompressed
//	    bytes, or MaxRatio times its size above FreeRatio.
//	R3  Rebase changes no byte under the CRC; nothing else writes into a batch
//	    but StampLogAppendTime and StampMaxTimestamp.
//	R4  Offsets within a batch grow, and none is beyond its last offset delta.
//	    Filter and Recompress keep every record's offset, and the batch's first
//	    and last.
package record
