//go:build unix

package localstack

import "syscall"

// Pause stops the process where it stands and keeps its connections, Resume lets it
// go on.
func (s *Store) Pause() error { return s.child.cmd.Process.Signal(syscall.SIGSTOP) }

// Resume undoes Pause.
func (s *Store) Resume() error { return s.child.cmd.Process.Signal(syscall.SIGCONT) }
