// Package kafka is the wire: the listener, one table of APIs, one file per API,
// and the one map from errors to Kafka's codes.
//
// # Vocabulary
//
//	frame     the bytes of one request as they came, without their length prefix
//	view      a slice of a frame; the record bytes of a Produce are never copied
//	shape     what the body of a request may look like, version by version
//	API       one row of the table: key, name, versions, shape, handler
//	turn      the moment when every earlier request of a connection is answered
//	backend   what the broker puts behind the wire: the interfaces of backend.go
//
// # Invariants
//
//	K1  Bytes from a socket are bounded before they are believed: a frame by its
//	    API's limit, its body by its shape, before kmsg decodes it.
//	K2  A connection answers in the order of its requests. A request starts at its
//	    turn; only Produce requests start before it, in the order in which they
//	    came, and only behind requests that are started or served.
//	K3  A frame goes back to its pool when its last holder has released it, and
//	    never before: the connection holds it until the answer is written, the log
//	    for as long as it reads from it.
//	K4  A fault of one connection ends that connection only, with one log line.
//	K5  What is in the table is advertised and works; what is not is not.
//	K6  Kafka's error codes exist in errors.go only.
package kafka
