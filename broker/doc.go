// Package broker is the assembly: the only place that knows everything. It opens
// the bucket and the hot tier, takes over what a former life of this broker left,
// registers a session, and connects the wire to the log.
//
// # The life of a broker
//
//	open     hot tier, bucket (the doctor looks at one it has not approved), journal
//	take over  fence and seal dead sessions (S6, S7), register our own (S1), take
//	         partitions that nobody owns (S8), rebuild producer state from footers,
//	         append what the hot tier holds beyond the fence (P2)
//	serve    listen; follow the journal; seal, compact, retain, collect garbage;
//	         rotate the session (S9)
//	leave    stop being advertised, finish what waits, seal, fence our own session
//	         and hand everything back in one command
//
// Each file is one of these, or what one interface of package kafka needs.
package broker
