// Package audit proves what is stored: it reads a whole bucket, with or without
// brokers running, and reports everything that is not as the catalog says.
//
// It holds the bucket to these:
//
//	A1  The journal is whole: every entry, boundary and snapshot that counts is there
//	    and can be read, snapshots are what the entries make, the catalog's
//	    invariants hold, and nothing in the bucket needs an entry that is not there.
//	A2  Every object that the catalog refers to is there and is the one that its name
//	    says; header, footer and every run that an extent lies in have their
//	    checksums; and the footer says of a run what the extent says.
//	A3  Index objects list what the catalog has pressed into them: contiguous extents
//	    from the first offset of the line to its last.
//	A4  A sealed session has its fence. The slots of a live one above its covered mark
//	    are its own and continue the logs of the partitions that it owns.
//	A5  Nothing that was committed is out of reach, and no offset was given away twice:
//	    every run in a slot below a session's end is described, under its epoch.
//	A6  What coordinators and heirs load can be loaded: the records of
//	    __consumer_offsets, and the producers in footers.
//
// One damage gives one finding, however many offsets it concerns.
//
// Objects that nothing refers to are listed with their age and why nothing does; they
// are no finding: they wait for garbage collection, or are rubbish of an attempt that
// lost, or are not Firn's.
//
// On a live cluster objects are replaced while they are read. What is found wrong is
// held to the newest catalog again, and only what is wrong by that too is reported.
package audit
