// Differential sends the same requests to a real Kafka and to Firn and compares
// what they answer.
//
//	go run ./localstack/differential                                # starts both
//	go run ./localstack/differential --kafka HOST:PORT --firn HOST:PORT --run 'groups/.*'
//
// A scenario is a conversation with one broker (scenario.go). It is held with both,
// in every version that both speak, and every answer is noted, flattened to lines of
// "path value" (flatten.go): what a broker chooses freely, such as ids and ports, has
// a symbol for a value; the text of an error counts only as being there or not.
// Notes that differ are faults, unless the table of intended.go has the reason. A row
// of that table that explains nothing is a fault too. So is an answer of Firn that
// kmsg does not encode to the same bytes again, and an API that Firn advertises and no
// scenario asks.
//
// Started without addresses, it fetches Kafka's jars with mvn and pom.xml (Java 17 or
// later) and runs Kafka in a folder that it removes.
package main
