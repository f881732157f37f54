// Package coord drives the group coordinator: one loop for each partition of
// __consumer_offsets that this broker leads. The loop owns the partition's
// group.Machine, appends its records, and lets no answer go before what it tells
// is durable (group.G3).
//
// Invariants:
//
//	C1  A loop has one append under way; what comes meanwhile goes into the next.
//	C2  When an append fails, who waits is told to try again, and the machine is
//	    rebuilt from the log: memory never knows more than the log does.
package coord
