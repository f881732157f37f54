// Package replay reads history straight from a bucket: with no broker running, or
// beside those that are. It registers no session and writes nothing.
//
// # Vocabulary
//
//	history  one topic, as the bucket holds it at a moment
//	view     what is known of it: a state of the catalog, and the tails
//	tail     the runs of a partition that only WAL objects tell of so far: those in
//	         slots of its owner's session at or above the session's covered mark
//	span     offsets [From, To) of one partition
//
// # What is promised
//
//	H1  A record is delivered when it is committed, and only then: its slot and all
//	    slots of its session before it are filled (S4), and no fence lies before it
//	    (S6). Whatever was acknowledged with acks=all before Open is seen, or said to
//	    be damaged: a slot that cannot be read hides the ends of its session's
//	    partitions, and nothing else.
//	H2  The records of a partition come in the order of their offsets, each once.
//	    Partitions are merged by timestamp: of the records that come next, the
//	    oldest is delivered.
//	H3  Every batch is checked: its CRC-32C, its offsets, its epoch. Bytes that fail
//	    are fetched once more, and are then an error.
//	H4  Objects that brokers replace or delete meanwhile make no gap and repeat
//	    nothing: the catalog is read again, and reading goes on at the same offset.
//	    What retention has taken away is told (Result.Lost).
//	H5  Memory is bounded by Options.Memory, and two batches for each partition, however
//	    long the history is.
//
// A view is a moment: records that come later are seen after Refresh.
package replay
