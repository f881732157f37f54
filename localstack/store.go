package localstack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/cold/minio"
)

// Options say how a store runs. The zero value is a store for one test.
type Options struct {
	Dir      string    // keeps its data; empty: a temporary folder, removed at the end
	Addr     string    // HOST:PORT at the loopback; empty: any free port
	Bucket   string    // made if it is missing; empty: "firn"
	Log      io.Writer // takes what the process prints; may be nil
	Building func()    // called before the program is built, which takes minutes; may be nil
}

// Store is a running store. Its methods are for one goroutine.
type Store struct {
	kind   Kind
	bin    string
	addr   string
	bucket string
	folder *folder
	output *ending
	child  *child
}

// Start builds the program if need be, starts it, waits until it serves, and makes
// the bucket. ctx bounds the start alone.
func Start(ctx context.Context, k Kind, o Options) (*Store, error) {
	s, err := start(ctx, k, o)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", k, err)
	}
	return s, nil
}

func start(ctx context.Context, k Kind, o Options) (_ *Store, err error) {
	s := &Store{kind: k, addr: o.Addr, bucket: o.Bucket, output: &ending{next: o.Log}}
	if s.bucket == "" {
		s.bucket = "firn"
	}
	if s.bin, err = k.Install(ctx, o.Building); err != nil {
		return nil, err
	}
	if s.folder, err = openFolder(ctx, o.Dir, os.TempDir()); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	for _, f := range k.folders {
		if err := os.MkdirAll(s.folder.path+string(os.PathSeparator)+f, 0o755); err != nil {
			return nil, err
		}
	}
	// A port that is free now may be taken a moment later, by another test.
	for tries := 0; ; tries++ {
		if o.Addr == "" {
			if s.addr, err = Address("127.0.0.1"); err != nil {
				return nil, err
			}
		}
		err = s.launch(ctx)
		if err == nil {
			break
		}
		if o.Addr != "" || tries == 3 || ctx.Err() != nil {
			return nil, err
		}
	}
	if err := s.makeBucket(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// Kind is what it was started as.
func (s *Store) Kind() Kind { return s.kind }

// Addr is HOST:PORT of the store. A restart keeps it.
func (s *Store) Addr() string { return s.addr }

// URL is the bucket, as --store takes it.
func (s *Store) URL() string { return "minio://" + s.addr + "/" + s.bucket }

// Exited is closed when the process has ended, whoever ended it.
func (s *Store) Exited() <-chan struct{} { return s.child.exited }

// Kill ends the process as a power cut would. What it wrote stays for a Restart.
func (s *Store) Kill() {
	if s.child != nil {
		s.child.end(syscall.SIGKILL, 0)
	}
}

// Restart starts it again after a Kill, at the same address on the same data, and
// returns when it serves.
func (s *Store) Restart(ctx context.Context) error {
	err := s.launch(ctx)
	if err == nil {
		err = s.makeBucket(ctx)
	}
	if err != nil {
		return fmt.Errorf("restart %s: %w", s.kind, err)
	}
	return nil
}

// Close ends the process and removes its folder unless Options.Dir named it.
func (s *Store) Close() error {
	if s.child != nil {
		s.child.end(syscall.SIGTERM, 5*time.Second)
	}
	if err := s.folder.close(); err != nil {
		return fmt.Errorf("close %s: %w", s.kind, err)
	}
	return nil
}

// launch starts the process and waits until it serves.
func (s *Store) launch(ctx context.Context) error {
	cmd := exec.Command(s.bin, s.kind.args(s.folder.path, s.addr)...)
	cmd.Env = append(os.Environ(), s.kind.environment...)
	cmd.Stdout, cmd.Stderr = s.output, s.output
	cmd.SysProcAttr = childOf()
	c := &child{cmd: cmd, exited: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		// The kernel takes the end of the thread that forked for the end of the parent.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // the end counts, not how
			close(c.exited)
		}
	}()
	if err := <-started; err != nil {
		return err
	}
	s.child = c
	client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.addr+s.kind.health, nil)
		if err != nil {
			c.end(syscall.SIGKILL, 0)
			return err
		}
		resp, err := client.Do(req)
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
			err = fmt.Errorf("health check: %s", resp.Status)
		}
		select {
		case <-c.exited:
			return fmt.Errorf("it ended before it served\n%s", s.output)
		case <-ctx.Done():
			c.end(syscall.SIGKILL, 0)
			return fmt.Errorf("it does not serve: %w; %w\n%s", ctx.Err(), err, s.output)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// makeBucket makes the bucket. A store that says that it serves may still be
// reading its accounts and refuses for a moment.
func (s *Store) makeBucket(ctx context.Context) error {
	b, err := minio.Open(ctx, minio.Options{Bucket: s.bucket, Endpoint: s.addr, AccessKey: AccessKey, SecretKey: SecretKey})
	if err != nil {
		return err
	}
	defer b.Close()
	for {
		err := b.CreateBucket(ctx)
		if err == nil || errors.Is(err, cold.ErrDenied) {
			return err
		}
		select {
		case <-s.child.exited:
			return fmt.Errorf("it ended: %w\n%s", err, s.output)
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// child is one process.
type child struct {
	cmd    *exec.Cmd
	exited chan struct{}
}

// end sends a signal, after patience SIGKILL, and returns when the process has ended.
func (c *child) end(sig os.Signal, patience time.Duration) {
	_ = c.cmd.Process.Signal(sig) // it may have ended
	if sig != syscall.SIGKILL {
		select {
		case <-c.exited:
		case <-time.After(patience):
			_ = c.cmd.Process.Kill()
		}
	}
	<-c.exited
}

// ending passes on what a process prints and remembers its end.
type ending struct {
	mu   sync.Mutex
	next io.Writer
	last []byte
}

func (e *ending) Write(p []byte) (int, error) {
	e.mu.Lock()
	e.last = append(e.last, p...)
	if n := len(e.last); n > 16<<10 {
		e.last = append(e.last[:0], e.last[n-8<<10:]...)
	}
	e.mu.Unlock()
	if e.next != nil {
		_, _ = e.next.Write(p)
	}
	return len(p), nil
}

func (e *ending) String() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return string(end(e.last))
}
