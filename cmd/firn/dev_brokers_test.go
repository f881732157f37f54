package main

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestDevRunsSeveralBrokersOnOneBucket: each has addresses and a data folder of its
// own, and what goes in by one comes out by another.
func TestDevRunsSeveralBrokersOnOneBucket(t *testing.T) {
	dir := t.TempDir()
	c := cli{t: t}
	d := c.start("Ctrl-C", "dev", "--brokers", "3", "--data-dir", dir, "--listeners", "127.0.0.1:0", "--http", "127.0.0.1:0")
	first := kafkaAddress(t, d.shown)
	others := regexp.MustCompile(`Broker [23] +(\S+)`).FindAllStringSubmatch(d.shown, -1)
	if len(others) != 2 || others[0][1] == others[1][1] || others[0][1] == first {
		t.Fatalf("addresses of three brokers:\n%s", d.shown)
	}
	var out, errOut lockedBuffer
	if code := run(t.Context(), []string{"topic", "create", "shared", "-p", "6", "--brokers", first}, strings.NewReader(""), &out, &errOut); code != 0 {
		t.Fatal(errOut.String())
	}
	if code := run(t.Context(), []string{"produce", "shared", "--brokers", others[1][1]}, strings.NewReader("a\n"), &out, &errOut); code != 0 {
		t.Fatal(errOut.String())
	}
	// A broker follows the journal once a second and knows the topic then.
	for deadline := time.Now().Add(15 * time.Second); ; {
		var ignored lockedBuffer
		if run(t.Context(), []string{"topic", "describe", "shared", "--brokers", others[0][1]}, strings.NewReader(""), &ignored, &ignored) == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s never hears of the topic: %s", others[0][1], ignored.String())
		}
		time.Sleep(10 * time.Millisecond)
	}
	var read lockedBuffer
	if code := run(t.Context(), []string{"consume", "shared", "--brokers", others[0][1], "-f", "%v\n"}, strings.NewReader(""), &read, &errOut); code != 0 || read.String() != "a\n" {
		t.Errorf("exit %d, read %q, %s", code, read.String(), errOut.String())
	}
	if a := d.stop(); a.code != 0 || !strings.Contains(a.out, "Stopped in") {
		t.Errorf("exit %d\n%s%s", a.code, a.out, a.err)
	}
	if hot, _ := filepath.Glob(filepath.Join(dir, "data*")); len(hot) != 3 {
		t.Errorf("data folders: %v", hot)
	}
}

func TestDevRefusesBrokersThatCannotShare(t *testing.T) {
	for _, args := range [][]string{
		{"--brokers", "0"},
		{"--brokers", "17"},
		{"--brokers", "2", "--store", "mem://"},
		{"--brokers", "2", "--node-id", "4"},
		{"--brokers", "2", "--http", "127.0.0.1:65535"},
	} {
		var out, errOut lockedBuffer
		if code := run(t.Context(), append([]string{"dev", "--data-dir", t.TempDir()}, args...), strings.NewReader(""), &out, &errOut); code != exitUsage || !strings.Contains(errOut.String(), "--brokers") {
			t.Errorf("firn dev %s: exit %d\n%s", strings.Join(args, " "), code, errOut.String())
		}
	}
}
