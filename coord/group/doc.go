// Package group is the coordinator of classic consumer groups as a pure machine:
// membership, rebalances, committed offsets. It is told what happens and when;
// Take says what is to be answered and appended. Package coord drives it.
//
// One Machine holds the groups of one partition of __consumer_offsets. All types
// of groups (consumer, connect, sr) share it: member metadata is opaque.
//
// A group goes round like this:
//
//	          a member joins                    all have joined, or time is up
//	Empty ──────────────────► PreparingRebalance ───────────► CompletingRebalance
//	  ▲                        │   ▲                           │             │
//	  │       nobody is left   │   │ joins, leaves, silence    │             │ the leader
//	  └────────────────────────┘   └──────────────┬────────────┘             │ has assigned
//	                                              └───────────── Stable ◄────┘
//
// # Vocabulary
//
//	token       what the driver passes with a request that may wait; the answer
//	            comes out of Take with it
//	record      a key and value for __consumer_offsets, in Kafka's formats
//	generation  one round of the above; its number is the fence of its members
//	pending     a member id that was given out, and that nobody joined with yet
//	parked      a member whose join or sync waits: it cannot heartbeat, and is
//	            taken for alive
//	now, wall   milliseconds of a clock that only grows, from 1 on, for timeouts;
//	            milliseconds since 1970, for what is written
//
// # Invariants
//
//	G1  Every token is answered exactly once.
//	G2  A generation has one leader, who is a member, and members of one protocol
//	    type that all support the protocol chosen. Generations grow.
//	G3  An answer that tells of what is written waits for it: Answer.After. If an
//	    append fails, the machine is thrown away and rebuilt by Replay, so that
//	    nothing is ever told that the log does not hold.
//	G4  Memory is bounded: members per group, groups, bytes that members say of
//	    themselves. Bytes from the log or a client are never believed.
//	G5  The same calls give the same outputs.
//
// The rules are those of Kafka 4's group coordinator. Where they differ, on
// purpose: a group without members, offsets and records vanishes at once; an
// offset lives its retention after its commit even when its group was empty long
// before; a request that a newer one of the same member replaces, and the sync of
// a member that is removed, are answered rather than left to time out.
package group
