// Package bubble runs whole brokers on virtual time, in bubbles of testing/synctest:
// real brokers, real clients, a bucket in memory, and the network of this package
// between them. Minutes pass in milliseconds, since time moves only when everybody
// waits.
//
// A [Network] has hosts, a host runs processes one after the other, and a [Process]
// is what a broker or a client listens and dials with. A process can be killed (the
// kernel closes what it had), paused (its sockets stay, and nobody serves them) and
// links between hosts can be cut, in one direction or in both: what was sent waits,
// as TCP has it, or is lost, as UDP has it.
//
// # What a bubble asks of the code in it
//
// Every goroutine that a broker starts ends when Run returns, or the bubble fails.
// No lock is held across I/O, a channel or a timer: whoever waits for such a lock
// keeps time from moving.
package bubble
