// Package doctor finds out whether a store can be trusted with a log.
//
// Firn's safety rests on one promise of the bucket: of all who create an object
// at most one is told so, and what it wrote stays. Stores are sold that ignore the
// condition, check it without a lock, or forget; on such a store two brokers own
// one partition and acknowledged records vanish, long after everything seemed to
// work. So every bucket is examined before its first use, and refused when it
// fails: [Examine] is that probe, at start-up in its quick form.
//
// # Vocabulary
//
//   - check: one promise, tried. It passes, or fails with a severity.
//   - fatal: Firn would lose or mix up data, or cannot work at all.
//   - warning: Firn works, and something is missing or odd.
//   - unreached: the store did not answer; nothing is known either way.
//   - verdict: what the checks amount to.
//
// # Invariants
//
//	D1  Every object of the probe has a name under doctor/<nonce>/, and is deleted
//	    at the end whatever happened.
//	D2  A store is refused for what it did, never for what it did not answer.
//	D3  The text of every failed check says what it means for a log, and what to do.
package doctor
