package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/firnlog/firn/broker"
	"github.com/firnlog/firn/broker/settings"
)

// startBroker runs a broker on a bucket in memory and returns its address.
func startBroker(t *testing.T) string {
	t.Helper()
	v, err := settings.New(settings.Source{Name: "test", Values: map[string]string{
		"store": "mem://", "listeners": "127.0.0.1:0", "http": "127.0.0.1:0", "group.initial.rebalance.delay.ms": "0",
	}})
	if err != nil {
		t.Fatal(err)
	}
	store, place, err := broker.OpenStore(t.Context(), "mem://")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ready := make(chan broker.Addresses, 1)
	ended := make(chan error, 1)
	go func() {
		ended <- broker.Run(ctx, broker.Options{Settings: v, Store: store, Place: place}, func(a broker.Addresses) { ready <- a })
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("broker: %v", err)
		}
	})
	select {
	case a := <-ready:
		return a.Kafka
	case err := <-ended:
		ended <- nil
		t.Fatal(err)
	case <-time.After(20 * time.Second):
		t.Fatal("broker is not ready")
	}
	return ""
}

// firn runs a command line as a shell would, without one: words, single quotes,
// and `echo … |` in front.
func firn(t *testing.T, addr, line string) (string, int) {
	t.Helper()
	var stdin string
	if echo, rest, ok := strings.Cut(line, " | "); ok {
		stdin = strings.TrimPrefix(echo, "echo ") + "\n"
		line = rest
	}
	words := regexp.MustCompile(`'[^']*'|\S+`).FindAllString(line, -1)
	for i, w := range words {
		words[i] = strings.Trim(w, "'")
	}
	if words[0] != "firn" {
		t.Fatalf("%q: a transcript runs firn only", line)
	}
	var out bytes.Buffer
	code := run(t.Context(), append(words[1:], "--brokers", addr), strings.NewReader(stdin), &out, &out)
	return out.String(), code
}

// TestReadmeTranscript runs the transcript of the README against a real broker.
func TestReadmeTranscript(t *testing.T) {
	b, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(b), "```console\n")
	transcript, _, ok2 := strings.Cut(rest, "```")
	if !ok || !ok2 {
		t.Fatal("the README has no transcript")
	}
	addr := startBroker(t)
	var got strings.Builder
	for line := range strings.Lines(transcript) {
		cmd, is := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "$ ")
		if !is {
			continue
		}
		out, _ := firn(t, addr, cmd)
		got.WriteString("$ " + cmd + "\n" + out)
	}
	if got.String() != transcript {
		t.Fatalf("the README says\n%s\nthe program says\n%s", transcript, got.String())
	}
}

// TestReadmeCommandsRun runs every command of the README that stands by itself, on a
// bucket of a folder and the broker that the README starts; only addresses are others.
func TestReadmeCommandsRun(t *testing.T) {
	b, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, m := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(b), -1) {
		for line := range strings.Lines(m[1]) {
			if line = strings.TrimSpace(line); strings.HasPrefix(line, "firn ") {
				lines = append(lines, line)
			}
		}
	}
	clearEnvironment(t)
	bucket := "file://" + t.TempDir()
	t.Chdir(t.TempDir())
	here := func(line string, addr, http string) []string {
		line = regexp.MustCompile(`'s3://[^']*'`).ReplaceAllString(line, bucket)
		line = strings.NewReplacer(" --advertised-listeners broker-1:9092", " --http 127.0.0.1:0 --gossip 127.0.0.1:0", "/var/lib/firn", t.TempDir(),
			"0.0.0.0:9092", "127.0.0.1:0", "localhost:9092", addr, "localhost:8081,localhost:8082,localhost:8083", http).Replace(line)
		words := regexp.MustCompile(`'[^']*'|\S+`).FindAllString(line, -1)
		for i, w := range words {
			words[i] = strings.Trim(w, "'")
		}
		return words[1:]
	}
	i := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "firn broker ") })
	if i < 0 || len(lines) < 15 {
		t.Fatalf("the README starts no broker, or has %d commands", len(lines))
	}
	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	ended := make(chan int, 1)
	var said bytes.Buffer
	go func() { ended <- run(ctx, here(lines[i], "", ""), nil, in, &said) }()
	defer func() {
		cancel()
		if code := <-ended; code != exitOK {
			t.Errorf("$ %s\nexit code %d\n%s", lines[i], code, said.String())
		}
	}()
	ready, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	go io.Copy(io.Discard, out)
	at := map[string]string{}
	for _, f := range strings.Fields(ready)[1:] {
		k, v, _ := strings.Cut(f, "=")
		at[k] = v
	}
	for _, line := range []string{"firn topic create orders orders-again -p 1", "echo tea | firn produce orders", "echo cake | firn produce orders"} {
		if out, code := firn(t, at["kafka"], line); code != exitOK {
			t.Fatalf("$ %s\n%s", line, out)
		}
	}
	for _, line := range append(lines[:i:i], lines[i+1:]...) {
		var said bytes.Buffer
		if code := run(t.Context(), here(line, at["kafka"], at["http"]), strings.NewReader(""), &said, &said); code != exitOK {
			t.Errorf("$ %s\nexit code %d\n%s", line, code, said.String())
		}
	}
}

// TestReadmeNamesWhatExists holds every file, make verb and command that the README
// names against what there is.
func TestReadmeNamesWhatExists(t *testing.T) {
	b, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`\]\(([^)]+)\)`).FindAllStringSubmatch(string(b), -1) {
		if _, err := os.Stat("../../" + m[1]); err != nil {
			t.Errorf("the README links to %s: %v", m[1], err)
		}
	}
	mk, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("`make ([a-z0-9]+)`").FindAllStringSubmatch(string(b), -1) {
		if !strings.Contains(string(mk), "\n"+m[1]+":") {
			t.Errorf("the README names make %s, which is not in the Makefile", m[1])
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^firn (.*)$`).FindAllStringSubmatch(string(b), -1) {
		line, _, _ := strings.Cut(m[1], " #")
		words := regexp.MustCompile(`'[^']*'|\S+`).FindAllString(line, -1)
		for i, w := range words {
			if words[i] = strings.Trim(w, "'"); w == ">" {
				words = words[:i]
				break
			}
		}
		cmd, rest, err := newRoot(&globals{}).Find(words)
		if err == nil && !cmd.Runnable() {
			err = errors.New("it is no command")
		}
		if err == nil {
			err = cmd.ParseFlags(rest)
		}
		if err == nil {
			err = cmd.ValidateArgs(cmd.Flags().Args())
		}
		if err != nil {
			t.Errorf("the README names firn %s: %v", line, err)
		}
	}
	services := load(t, filepath.Join(repository, "docker-compose.yml")).Services
	for _, m := range regexp.MustCompile(`(?m)^docker compose \w+ ([a-z0-9-]+)`).FindAllStringSubmatch(string(b), -1) {
		if _, ok := services[m[1]]; !ok && !strings.HasPrefix(m[1], "-") {
			t.Errorf("the README names %s, which is no service of docker-compose.yml", m[1])
		}
	}
}

func TestGroupsAndOffsetsFromTheCommandLine(t *testing.T) {
	addr := startBroker(t)
	for range 3 {
		firn(t, addr, "echo x | firn produce t")
	}
	for _, c := range []struct{ line, want string }{
		{"firn consume t -o 1 -f '%o '", "1 2 "},
		{"firn consume t -o -1 -f '%o '", "2 "},
		{"firn consume t -o @2020-01-01 -n 1 -f '%o '", "0 "},
		{"firn consume t -g g -n 2 -f '%o '", "0 1 "},
		{"firn consume t -g g -n 1 -f '%o '", "2 "},
		{"firn topic list --format json", "\"name\": \"t\""},
		{"firn topic create t", "TOPIC_ALREADY_EXISTS"},
		{"firn topic create ok -c nonsense=1", "INVALID_CONFIG"},
		{"firn topic delete t --yes", "deleted"},
		{"firn topic describe t", "no such topic"},
	} {
		if out, _ := firn(t, addr, c.line); !strings.Contains(out, c.want) {
			t.Errorf("$ %s\n%s\nwant %q", c.line, out, c.want)
		}
	}
}
