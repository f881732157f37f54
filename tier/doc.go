// Package tier moves bytes between the hot tier and the bucket, and finds the
// cheapest way to read them.
//
// # Reading
//
//		Read ─► tail cache ─► hot tier ─► block cache ─► bucket
//		         memory,       Badger,      memory,        ranged GETs in parallel,
//		         by reference  by reference by reference   one for many waiters
//
//	  - The Tail is the newest committed batches, still in the buffers in which they
//	    arrived.
//	  - A Place is where the Locator says that an offset is: extents of objects, or
//	    the index object that old extents were pressed into.
//	  - A block is an aligned MiB of an object, a chunk what one GET brought: one to
//	    four of them. Neighbouring runs share blocks, so that the readers of a
//	    thousand small partitions do not fetch the same object a thousand times.
//	  - A stream is a reader of the bucket that goes on where it stopped. The window
//	    in which it is read ahead of doubles while it keeps up.
//
// # Invariants of reading
//
//	R1  Nothing at or above upto is served: the caller passes the high watermark,
//	    or the last stable offset.
//	R2  Of what comes from disk or bucket every bit that is served was checked
//	    since. What fails is fetched once more, and then an error.
//	R3  Bytes are valid until Release, whatever the caches do meanwhile.
//	R4  A 404 is believed only after the Locator was asked again: compaction may
//	    have moved the records.
//	R5  Reading ahead never delays a read that somebody waits for: it has its own
//	    limit, a bounded queue, and is dropped when that is full. What waits in it
//	    is fetched at once when somebody needs it.
//	R6  Results that nobody releases keep about their own bytes in memory, and not
//	    the chunks that these came in, once more is lent than the cache may hold.
package tier
