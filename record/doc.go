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
//	21      2     attributes: codec (3 bits), timestamp type, transactional, control
//	23      4     last offset delta
//	27      8     base timestamp, ms
//	35      8     max timestamp, ms
//	43      8     producer id
//	51      2     producer epoch
//	53      4     base sequence
//	57      4     number of records
//	61      …     records, compressed as a whole
//
// Batches are opaque on the way through the broker: Check reads the header and
// the CRC, nothing is decompressed unless the topic demands it.
package record
