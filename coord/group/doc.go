// Package group is the coordinator of classic consumer groups as a pure machine:
// membership, rebalances, committed offsets. It is told what happens and when;
// Take says what is to be answered and appended. Package coord drives it.
//
// One Machine holds the groups of one partition of __consumer_offsets. All types
// of groups (consumer, connect, sr) share it: member metadata is opaque.
//
// # Vocabulary
//
//   - A Token is what the driver passes with a request that may wait; the answer
//     comes out of Take with it, once.
//   - A Record is a key and value for __consumer_offsets, in Kafka's formats.
//
// # Invariants
//
//	G1  Every token is answered exactly once.
//	G2  A generation has one leader, and members of one protocol type that all
//	    support the protocol chosen. Generations grow.
//	G3  What Take returns is in order: an answer may tell only what the records
//	    before it, and those appended earlier, make durable. The driver holds it
//	    back until they are. If an append fails, the machine is thrown away and
//	    rebuilt by Replay.
//	G4  Memory is bounded: members per group, groups, metadata.
package group
