package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestProfileFetchesWhatPprofReads(t *testing.T) {
	clearEnvironment(t)
	c := cli{t: t}
	r := c.start("Ctrl-C", append([]string{"dev", "--memory", "-X", "http.pprof=true"}, strings.Fields(anywhere)...)...)
	defer r.stop()
	_, web := addresses(t, r.shown)
	dir := t.TempDir()
	t.Chdir(dir)
	c.ok("doctor", "profile", "heap", "--http", web)
	b, err := os.ReadFile("firn-heap.pprof")
	if err != nil || !bytes.HasPrefix(b, []byte{0x1f, 0x8b}) { // gzip, as pprof wants it
		t.Errorf("% x…, %v", b[:min(len(b), 4)], err)
	}
	if out := c.ok("doctor", "profile", "goroutine", "--http", web, "--out", "-"); !strings.HasPrefix(out, "\x1f\x8b") {
		t.Errorf("%q", out[:min(len(out), 20)])
	}
	c.ok("doctor", "profile", "--http", web, "--for", "1s", "--out", filepath.Join(dir, "cpu"))
	link := filepath.Join(dir, "stdout") // as /dev/stdout is one
	if err := os.Symlink("/dev/null", link); err != nil {
		t.Fatal(err)
	}
	c.ok("doctor", "profile", "heap", "--http", web, "--out", link)
	if to, err := os.Readlink(link); err != nil || to != "/dev/null" {
		t.Errorf("what is no file was replaced: %q, %v", to, err)
	}
	left, err := filepath.Glob(filepath.Join(dir, ".firn-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	c.fails(exitError, "write /nonexistent/x", "doctor", "profile", "heap", "--http", web, "--out", "/nonexistent/x")
}

func TestProfileSaysWhyThereIsNone(t *testing.T) {
	clearEnvironment(t)
	c := cli{t: t}
	r := c.start("Ctrl-C", append([]string{"dev", "--memory"}, strings.Fields(anywhere)...)...)
	defer r.stop()
	_, web := addresses(t, r.shown)
	c.fails(exitError, "--http-pprof true", "doctor", "profile", "heap", "--http", web)
	c.fails(exitUsage, "unknown profile", "doctor", "profile", "stack")
	c.fails(exitUsage, "want a second or more", "doctor", "profile", "--for", "10ms")
	c.fails(exitError, "does not answer", "doctor", "profile", "heap", "--http", "127.0.0.1:1")
}
