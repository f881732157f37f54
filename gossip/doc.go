// Package gossip tells brokers about one another: who is alive, who has just died,
// and that the journal grew. It rides on memberlist (SWIM with Lifeguard).
//
// # What it is worth
//
// Gossip decides how fast things happen, never whether they are right (P8): owners
// are decided by the journal alone, and anyone may fence anyone without harm. So
// detection may be hasty:
//
//   - A process that dies closes its connections. Each broker holds an idle TCP
//     connection to a few others; when one closes and the address refuses a new one,
//     that broker is gone, within about a millisecond.
//   - A machine or a link that vanishes says nothing. Probes find it in one to two
//     seconds: an interval of 200 ms, suspicion for four of them.
//
// A broker that leaves in good order says so and is not reported as gone.
//
// Who was only told of is no member before he has answered a question by his name, which is
// that of one life of a process: packets that were recorded bring nobody back (vouch.go).
//
// Beside what makes a member, each tells its load: bytes per second, coarsely. It is for
// operators; nobody is woken by it, and placement does not look at it.
//
// Members that were separated find each other again: those whose sessions live by the
// catalog and that are no members are asked each second, other known addresses every ten.
// The cluster's id is the label of every packet, so two clusters never merge even when
// addresses are used again.
package gossip
