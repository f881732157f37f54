// Package ingest is the write path's rules, as pure machines: which batch gets
// which offset, when an object is cut, what a bucket's answer means, when a slot
// is committed, who may be told what, and how a session is fenced. Package
// ingest/pump performs what they decide.
//
// # Vocabulary
//
//   - A Request is one produce request: items of several partitions that are
//     answered together.
//   - The open Slot takes batches as they come. To cut it is to bind it to the
//     next slot number of the session; from then on its bytes never change (S2).
//   - A slot is filled when the bucket said that our bytes are in it, committed
//     when it and all slots before it are (S4), loose when records in it were
//     acknowledged from the hot tier alone (P2).
//   - The Machine is the write path of one broker. It serves one session at a
//     time; Begin gives it the next.
//   - Producers is what a partition knows of its idempotent producers.
//   - Settle decides what to do with the answers to one put (S3, S5).
//   - Walk decides how to fence a session (S6).
//
// # Invariants
//
//	W1  An offset of a partition is given to one batch, and the batch is in one
//	    slot. Offsets of a partition ascend without gaps over its slots.
//	W2  A bound slot never changes, and its number is never bound again (S2).
//	W3  acks=all is answered with success only for records in committed slots (S4);
//	    acks=1 only when every slot up to theirs is committed or synced in the hot
//	    tier (P2).
//	W4  What is answered as failed although it may be committed yet, is answered
//	    with an error that clients retry (S2): ErrTimedOut, ErrNotLeader.
//	W5  Nothing of a slot at or above the fence is committed (S3, S6).
//	W6  A batch that a producer sends again is answered with the offset of the
//	    first one, and not before that one is committed (kafka.md 25).
//	W7  The memory of what waits for the bucket is bounded, however small its batches
//	    are: Full says when.
//	W8  A batch bears the epoch under which its slot was bound, so that what waits
//	    while sessions are rotated is written under the new one (S9).
//
// A time-line of one acks=all request, with nothing else in flight:
//
//	Append ── offsets, sequence ──► open slot
//	Step   ── nothing in flight ──► cut: slot n, header rewritten ──► Puts
//	PutDone(n, Mine) ── 0..n filled ──► Commits (watermark) ──► Answers
package ingest
