// Package fault makes a store fail on purpose, for tests and simulations.
//
// Two kinds of bad stores are told apart. A [Store] is a sound store behind a bad
// network: requests and answers get lost, arrive late, are refused. Whatever its
// [Plan] says, invariants C1 to C5 of package cold hold but for reads that are
// damaged on the way. A [Flawed] store breaks the invariants themselves, as some
// that are sold do; nothing can be safe on it, and the doctor must refuse it.
//
// Delays are timers that end with the context, so that a bubble of
// testing/synctest passes them in no time. A plan decides from the operation, the
// name and how often the name was asked for before, not from the order in which
// goroutines arrive: a seed means the same faults again.
package fault
