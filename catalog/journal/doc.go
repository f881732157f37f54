// Package journal makes the catalog durable and shared: numbered entries in the
// bucket, each put-if-absent, which every broker applies in order to its own
// catalog.State.
//
// # Objects
//
//   - catalog/journal/<n>: entry n, a list of commands (from 1, dense)
//   - catalog/side/<writer>-<seq>: the commands of an entry that is too large
//     to be read by everybody in one piece; put before the entry
//   - catalog/snapshot/<n>: the state after entry n
//   - catalog/boundary/<k>: the k-th boundary (from 1, dense): entries up to the
//     number it names may be deleted (S11). Boundaries are never deleted.
//
// # Rules
//
//	J1  Whoever puts entry n has applied 1..n-1. The store lets one win.
//	J2  An entry's bytes are bound to its number until the answer is definite
//	    (S2); a 412 is decided by reading who is there (S3).
//	J3  A writer that won n counts only if n lies above the newest boundary,
//	    which it looks up after the put (S11). Boundaries are a dense chain, so
//	    that the absence of k+1, read after the put, proves that k is the newest:
//	    no LIST is believed.
//	J4  A reader that does not find entry n+1 looks at the boundary chain before
//	    it believes that it is current (S11).
//	J5  A boundary is put only when a snapshot at or above it is durable.
//	J6  A broker begins only where nothing in the bucket needs an entry that it
//	    did not find (Complete): numbers that were given away are not given again.
//	J7  What was put under a number that had been given up may have been applied
//	    before it was. It is committed again only where that does no harm
//	    (catalog.State.Repeat).
package journal
