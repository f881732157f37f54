// Package file is a bucket in a folder: atomic, durable, and safe to share
// between processes of one machine.
//
// An object is written to a file in the hidden folder .tmp, synced, and published
// under its name in one step that the kernel makes atomic: link(2), or where a
// file system has no links renameat2(2) with RENAME_NOREPLACE. A file system that
// has neither is refused. Creating the file under its own name with O_EXCL and
// filling it afterwards was rejected: a crash would leave a torn object that
// nobody may ever replace.
//
// # Invariants
//
//	F1  A name under the root is a whole object or nothing, at every instant and
//	    after every crash. What a crash leaves in .tmp is swept an hour later.
//	F2  nil and ErrExists from a put mean that the bytes, the name and every
//	    folder above it are synced, whichever process made them.
//	F3  A folder that a sync failed for takes no more puts until the store is
//	    opened again: Linux reports such an error once, and a second sync that
//	    succeeds proves nothing.
//	F4  No path leaves the root, not through dots and not through symbolic links.
//
// Time-line of a put:
//
//	open .tmp/x ── writev ── fdatasync ── linkat(.tmp/x, dir, base) ── fsync(dir) ── unlink .tmp/x ── nil
//	                                            └─ EEXIST ── fsync(dir) ── ErrExists
//
// What is 256 KiB and larger is written past the page cache (O_DIRECT) on Linux.
package file
