// Package reach finds out whether a client gets through to a cluster, and if not, why.
//
// A Kafka client uses the address that it was given only once: to ask where the
// brokers are. From then on it goes to the addresses that they tell. When those mean
// something else where the client is (a container's name, localhost, 0.0.0.0), it
// connects and then hangs: the most common fault of a first run, with the least
// helpful messages. [Examine] goes the same way and looks at each step.
//
// Vocabulary:
//
//	bootstrap   an address that a client is given
//	advertised  an address that a broker tells
//	step        name, connection, protocol, versions, address, cluster: in this order;
//	            the first that fails ends the examination of an address
package reach
