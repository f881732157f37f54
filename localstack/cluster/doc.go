// Package cluster runs several real brokers on one bucket, for tests, measurements
// and local stacks: starts them, ends them in every way, cuts their links, and leaves
// nothing behind.
package cluster
