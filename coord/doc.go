// Package coord drives the group coordinator: one loop for each partition of
// __consumer_offsets that this broker leads. The loop owns the partition's
// group.Machine, appends its records, and lets no answer go before what it tells
// is durable (group.G3).
//
//	requests ──► inbox ──► machine ──► records ──► one append ──► durable
//	                          │                                     │
//	                          └──────► answers ───── wait for ──────┴──► callers
//
// # Vocabulary
//
//	shard   one partition of the topic: its machine and the loop that owns it
//	load    to rebuild the machine from the partition
//
// # Invariants
//
//	C1  A shard has one append under way; what comes meanwhile goes into the next.
//	C2  When an append fails, who waits is told to try again, and the machine is
//	    rebuilt from the log: memory never knows more than the log does.
//	C3  A machine lives as long as one epoch of leadership, and is loaded after the
//	    last append of the one before has ended: nobody else has written since.
//	C4  Every call returns: with an answer, or when its context or the shard ends.
//	C5  Nobody's session ends while he waits for the log: for the machine, time stands
//	    still while an append takes long.
package coord
