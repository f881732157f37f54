// Package ring4 is the ring of tests with real processes: brokers that are
// killed, unmodified clients, a real bucket. They are behind the build tag
// "ring4" (make e2e), since they need minutes, ports of the loopback and
// programs that `go test ./...` must not need.
package ring4
