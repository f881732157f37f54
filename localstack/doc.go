// Package localstack runs a whole object store beside a development broker or a
// test: a real MinIO, or a versitygw, as a process of its own, built once from its
// pinned Go module and never linked into Firn.
//
//	store, err := localstack.Start(ctx, localstack.MinIO, localstack.Options{})
//	…            // brokers on store.URL(), with Env() in their environment
//	store.Close()
//
// Nothing is left behind: Close ends the process and removes what it wrote, on
// Linux the kernel kills it when its parent dies in any way, and the folder of a
// parent that was killed is removed at the next start.
package localstack
