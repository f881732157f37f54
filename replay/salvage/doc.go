// Package salvage rebuilds a catalog whose journal lost entries, from what the bucket
// still holds: entries and snapshots that can be read, the slots of sessions, the
// footers of sealed objects and segments, index objects.
//
// # Vocabulary
//
//	inventory  everything that is left, read once
//	plan       what the catalog will be, and what cannot be had back: a pure function of
//	           an inventory
//	hole       numbers of entries that are lost
//	filler     an empty run in the place of offsets that are lost below others that are
//	           not: consumers pass over it
//	loss       runs that an object takes with it which is gone, or damaged, for good
//	torn       of a session that is not sealed: slots of it cannot be read, and so nobody
//	           can tell where the logs of its partitions end
//
// Salvage is also how an operator says that such an object will not come back (Loss): its
// partitions have no leader, and readers no records there, until somebody does. Where the
// catalog does not describe the object yet, the session that put it is sealed without it
// (Torn).
//
// # Promises
//
//	V1  Nothing is invented. What is not in the bucket is said to be lost: each stretch
//	    of offsets, each name; what the lost entries may have said beside.
//	V2  Nothing that was acknowledged and lies in the bucket is left out: every run in a
//	    slot that was committed, or in an object that brokers pressed, is in the log
//	    again, unless another takes its place.
//	V3  Numbers are not given away twice: entries, sessions, jobs, leader epochs and
//	    producer ids go on behind all that may have been.
//	V4  Nothing is overwritten or deleted. The old journal is given up by one object.
//	V5  Every session ends first: what a broker of before still writes is not
//	    acknowledged by anybody who reads the new journal.
//	V6  A run is given up that cannot be read, no other, and only where the catalog still
//	    describes it in that object (catalog.GiveUp). One that is whole, in an object whose
//	    footer is not, is copied.
//	V7  A torn session is sealed behind its fence, by what whoever takes a session over
//	    seals it with (S7). What its broker's disk still has is no loss. No slot is bound
//	    anew, and no offset given away twice.
package salvage
