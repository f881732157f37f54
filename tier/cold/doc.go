// Package cold is the bucket: a store of immutable objects with five methods,
// of which one, put-if-absent, is the only primitive that Firn's safety rests on.
//
// # Vocabulary
//
//   - store: a bucket, or a prefix of one.
//   - name: an object's key relative to the store's prefix; see [CheckName].
//   - body: the bytes of a put, which can be read again for another attempt.
//   - attempt: one request to the store. Drivers make exactly one for each call.
//   - answer: what an attempt told. A definite answer is nil or one of the
//     sentinels of this package; every other error is an unknown one.
//   - settle: to send the same bytes until the answer is definite.
//
// # Invariants
//
//	C1  Of any number of puts of one name at most one ever returns nil, and an
//	    object that exists is never changed.
//	C2  An unknown answer is never dressed up as a definite one. The opposite is
//	    allowed: a broken connection may hide a definite refusal.
//	C3  A put that returned, with whatever answer, reads its body no more. The
//	    caller may use the memory again.
//	C4  A get returns exactly the bytes of its range, or an error.
//	C5  nil and ErrExists from a put mean that the object is durable.
//
// # Files and packages
//
// The drivers are s3 (aws-sdk-go-v2), minio (minio-go), file and mem; open turns
// a URL into one of them. [Settler] is the loop of S3. trace counts what
// a store does, fault makes it fail on purpose, doctor finds out whether a store
// can be trusted, and coldtest is the suite that each driver passes.
package cold
