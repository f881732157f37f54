// Package pump performs what package ingest decides: it owns the write path's
// machine, puts objects, appends to the hot tier, publishes what is committed and
// answers requests. It also fences sessions, its own and others'.
//
// # Vocabulary
//
//   - A Frame is the buffer in which a request arrived. It is referenced, never
//     copied: by the upload, the hot tier's writer and the tail cache. Whoever
//     holds it retains it; who releases it last returns it to its pool.
//   - The loop is the one goroutine that owns the machine. Everything else sends
//     to it, and it never waits for anybody.
//   - A flight is one slot on its way into the bucket and into the hot tier.
//   - The overlay of a partition is its committed extents that the catalog does
//     not describe yet. A reader takes Recent first and the catalog's state
//     second, so that what leaves the one is in the other.
//
// # Invariants
//
//	U1  An upload reads a frame only until Settle's last attempt has returned; the
//	    outcome may be told earlier. The frames of a slot are released when both
//	    the upload and the hot tier's writer are done with it.
//	U2  A watermark is published before the requests that it satisfies are
//	    answered: who was answered can read its own record.
//	U3  What the hot tier does, or fails to do, never keeps acks=all waiting.
//	U4  Memory is bounded: the loop takes no more requests while the machine is
//	    Full, so that callers of Produce wait, and with them their connections.
//
// Goroutines of a Pump: the loop (Run), one for each put in flight, one for each
// hedge, one that appends to the hot tier and one that syncs it. Run returns when
// all of them have ended.
package pump
