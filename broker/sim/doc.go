// Package sim runs several brokers on virtual time, on one thread, from one seed: the
// same seed gives the same run, event for event.
//
// What runs is the code that brokers run: the scribe of the journal and the catalog's
// state (catalog/journal, catalog), the write path with its machine, rotation, release
// and fencing (ingest, ingest/pump), how a broker comes to own partitions (broker.Tenure),
// merging, pressing and garbage collection (tier/press), settling of puts (tier/cold).
// What is modelled: the bucket and the way to it, disks, gossip, clients, and the loop that
// calls all of it in a broker (maintain.go there).
//
// # Faults
//
// A seed decides how many brokers and partitions there are, how fast the bucket is, and
// how much goes wrong: a broker is killed, sleeps for minutes and wakes as a zombie, is
// cut off from the bucket, from some of the others or suspected by them for nothing; the
// bucket answers 503 or 409, loses requests and answers, carries out puts minutes later,
// is away for a while; listings lack what is new. The power goes, and what a disk had not
// synced with it, or the disk itself; a machine is cloned with its disk, and its node id
// or another one; a machine's calendar jumps by years. Meanwhile records and topics are deleted, and topics made again under
// their names. Beside what brokers begin, to take over, to give partitions away, to rotate,
// to leave, to put a snapshot, any of it happens at once. Then all of it heals.
//
// # What must hold
//
//	P1  What was acknowledged is there, once per idempotent batch, at its offset.
//	P2  What acks=1 has acknowledged is there, at its offset, unless another broker took
//	    the partition before the one that had acknowledged it came back, or its disk was
//	    lost.
//	P3  An offset names one record, whoever reads it, at any time.
//	D   A topic that was deleted does not come back, nor does anything of it in the one
//	    that has its name, and nobody leads it in the end. A log start never falls, and
//	    rises as far as DeleteRecords asks or retention allows, never into a record that
//	    is to be kept.
//	K   Of a compacted topic the newest record of each key stays, and what says that there
//	    is none any more as long as it is to, and as long as there is anything older.
//	S6  No owner has shown a high watermark above where the next one began; it never
//	    falls under one owner.
//	C   catalog.State.Check finds nothing, at any entry; all brokers end with the same
//	    state; replay/audit finds nothing in the bucket.
//	S13 Who serves as a leader is none that was succeeded longer ago than its lease.
//	L   After all has healed, every record that a client still sends is acknowledged,
//	    every partition has a living owner, within a minute.
//
// Replay a seed with: go test ./broker/sim -run TestSeed -seed N -v
package sim
