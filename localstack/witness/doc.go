// Package witness runs Kafka clients that write down what they do and what they see,
// for localstack/history to judge: against brokers in a bubble and against real
// processes alike.
//
// A key k is partition k%2 of the topic "h<k/2>". Each value is sent once to its key.
// A client lives for some seconds: it reads some keys from their starts and sends to
// any. One that does not learn what became of a send ends at once, and another one
// takes its place.
package witness
