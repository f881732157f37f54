// Package history judges what clients saw of a log: a pure function from a history
// of operations to the anomalies in it, as Jepsen's Kafka workload names them
// (jepsen.tests.kafka).
//
// A key is one partition of one topic. Each value is sent at most once to its key,
// so a value that is seen names the operation that wrote it. Simulations and real
// processes share the judge; histories are kept as lines of JSON.
//
// What the judge infers for each key is its log, offset by offset, from all polls
// (a consumer must be given safe data even when its poll is said to have failed) and
// from sends that must have been committed. Offsets may have gaps, so places are
// compared by their rank among the offsets that are known.
package history
