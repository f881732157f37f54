// Package catalog is the state that every broker agrees on, as a pure machine:
// the same commands in the same order give the same State everywhere.
//
// # Vocabulary
//
//   - A Command asks for a change. State.Apply decides it: accepted, or rejected
//     with a sentinel error and no effect. Nothing else changes a State.
//   - A Session is one life of one broker process (S1). It is live, or sealed by
//     a fence (S7).
//   - A Partition is described by extents up to Next. While its owner lives, the
//     records from Next on are in the owner's WAL slots at or above the session's
//     covered mark.
//   - An Extent is one run: the offsets [Base, Next) of a partition, and where
//     their bytes are.
//   - An IndexRef is one line for many old extents that were pressed into an
//     index object, so that the catalog does not grow with history.
//   - A Job presses extents into new objects: registered before its first put,
//     then committed or cancelled (S12).
//   - Garbage is an object that no extent refers to and none ever will: only
//     what is listed as garbage (or belongs to a cancelled job or a swept
//     session) may be deleted (S10).
//
// # Invariants
//
// State.Check verifies them; comments refer to them by number.
//
//	I1  Extents of a partition are contiguous, and so are its index lines; the
//	    index ends where the extents begin, the extents end at Next.
//	I2  What is described begins at or below LogStart, and LogStart ≤ Next unless
//	    the owner trimmed into its unrecorded tail.
//	I3  Leader epochs grow: every entry of Epochs has a larger epoch and a start
//	    that is not smaller than the one before; the last is the current epoch. A new
//	    owner has a new epoch, unless it is the same node's next session (Move).
//	I4  An owner is a registered session. A new owner is accepted only when there
//	    is none or the old one's session is sealed (S8).
//	I5  A session's covered mark only grows and never passes its fence (S7).
//	I6  Refs counts, for each object, the extents in the catalog that lie in it.
//	    An object is in Refs or in Garbage or in neither, never in both; nor is one
//	    in Refs whose job was cancelled.
//	I7  Commands of a sealed or unknown session are rejected.
//	I8  The number of partitions that each session owns is counted.
//	I9  No log ends before an offset that the command which ends it, or which moves the
//	    covered mark past it, names as committed (Tip).
//
// A State is persistent: Clone is cheap, and a State that was cloned or
// published is never changed again, so readers need no lock. Leaf values
// (*Topic, *Partition, *Session, *Job) are immutable for those who read them.
package catalog
