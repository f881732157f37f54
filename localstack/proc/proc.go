// Package proc runs real broker processes for tests and local stacks: builds the
// binary once, starts it, waits for its ready line, and kills it in every way.
// A child never outlives its parent.
package proc

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Build compiles cmd/firn of this module into dir and returns the binary's path.
func Build(ctx context.Context, dir string, args ...string) (string, error) {
	bin := filepath.Join(dir, "firn")
	cmd := exec.CommandContext(ctx, "go", append(append([]string{"build", "-o", bin}, args...), "github.com/firnlog/firn/cmd/firn")...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build firn: %w\n%s", err, out)
	}
	return bin, nil
}

// Broker is one running broker process.
type Broker struct {
	Kafka, HTTP, Gossip string // addresses from the ready line
	Node                string
	// ReadyAfter is how long the process took to say that it serves.
	ReadyAfter time.Duration

	cmd    *exec.Cmd
	exited chan struct{}
	err    error
	log    io.Writer
}

// Start runs `bin broker args…` and returns when it serves, or fails with the end
// of what it printed. Its diagnostics go to log.
func Start(ctx context.Context, log io.Writer, bin string, args ...string) (*Broker, error) {
	return StartEnv(ctx, log, nil, bin, append([]string{"broker"}, args...)...)
}

// StartEnv is Start with more environment and all arguments given.
func StartEnv(ctx context.Context, log io.Writer, env []string, bin string, args ...string) (*Broker, error) {
	b := &Broker{cmd: exec.Command(bin, args...), exited: make(chan struct{}), log: log}
	b.cmd.Env = append(os.Environ(), env...)
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	tail := &lastLines{next: log}
	b.cmd.Stderr = tail
	out, err := b.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start broker: %w", err)
	}
	began := time.Now()
	if err := b.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start broker: %w", err)
	}
	ready := make(chan string, 1)
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), "ready ") {
				ready <- lines.Text()
			}
		}
		b.err = b.cmd.Wait()
		close(b.exited)
	}()
	select {
	case line := <-ready:
		b.ReadyAfter = time.Since(began)
		for _, f := range strings.Fields(line)[1:] {
			k, v, _ := strings.Cut(f, "=")
			switch k {
			case "kafka":
				b.Kafka = v
			case "http":
				b.HTTP = v
			case "gossip":
				b.Gossip = v
			case "node":
				b.Node = v
			}
		}
		return b, nil
	case <-b.exited:
		return nil, fmt.Errorf("broker exited before it was ready: %w\n%s", b.err, tail)
	case <-ctx.Done():
		b.Kill()
		return nil, fmt.Errorf("broker is not ready: %w\n%s", ctx.Err(), tail)
	}
}

// Pid is the process id.
func (b *Broker) Pid() int { return b.cmd.Process.Pid }

// Kill sends SIGKILL and waits for the end.
func (b *Broker) Kill() {
	_ = b.cmd.Process.Signal(syscall.SIGKILL)
	<-b.exited
}

// Signal sends a signal.
func (b *Broker) Signal(s os.Signal) error { return b.cmd.Process.Signal(s) }

// Exited is closed when the process has ended.
func (b *Broker) Exited() <-chan struct{} { return b.exited }

// Stop sends SIGTERM and waits for a clean exit.
func (b *Broker) Stop(ctx context.Context) error {
	if err := b.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop broker: %w", err)
	}
	select {
	case <-b.exited:
		if b.err != nil {
			return fmt.Errorf("broker did not leave cleanly: %w", b.err)
		}
		return nil
	case <-ctx.Done():
		b.Kill()
		return fmt.Errorf("broker did not leave: %w", ctx.Err())
	}
}

// lastLines keeps the end of what passes through it.
type lastLines struct {
	mu   sync.Mutex
	next io.Writer
	buf  []byte
}

func (l *lastLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf = append(l.buf, p...)
	if n := len(l.buf); n > 8192 {
		l.buf = append(l.buf[:0], l.buf[n-4096:]...)
	}
	if l.next != nil {
		_, _ = l.next.Write(p)
	}
	return len(p), nil
}

func (l *lastLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.buf)
}
