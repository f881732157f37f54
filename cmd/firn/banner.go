package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/firnlog/firn/broker"
	"github.com/firnlog/firn/broker/settings"
	"github.com/firnlog/firn/localstack"
)

// banner is what a development broker says when it serves.
type banner struct {
	Addresses broker.Addresses
	Others    []broker.Addresses // of --brokers
	Values    *settings.Values
	Took      time.Duration
	Demo      bool
	MinIO     bool   // the bucket is one of our own
	Program   string // how this program is called
}

// String is the block. Its commands work as they stand.
func (b banner) String() string {
	addr := clientAddress(b.Addresses.Kafka)
	brokers := ""
	if _, port, _ := net.SplitHostPort(addr); port != "9092" {
		brokers = " --brokers " + addr
	}
	topic, ours := "greetings", fmt.Sprintf("echo hello | %s produce greetings%s", b.Program, brokers)
	if b.Demo {
		topic, ours = "orders", fmt.Sprintf("%s group describe billing%s", b.Program, brokers)
	}
	store, folder := broker.RedactURL(b.Values.Get("store")), b.Values.Get("data.dir")
	memory := strings.HasPrefix(store, "mem:")
	var s strings.Builder
	row := func(name, value string) { fmt.Fprintf(&s, "    %-10s %s\n", name, value) }
	fmt.Fprintf(&s, "\n  Firn is ready (%d ms)\n\n", b.Took.Milliseconds())
	row("Kafka", addr)
	row("HTTP", "http://"+clientAddress(b.Addresses.HTTP)+"  (/metrics, /readyz)")
	for i, o := range b.Others {
		row(fmt.Sprintf("Broker %d", i+2), clientAddress(o.Kafka)+"  http://"+clientAddress(o.HTTP))
	}
	if memory {
		row("Bucket", "in memory: gone when this stops")
	} else {
		row("Bucket", store)
	}
	if folder != "" {
		row("Hot tier", folder)
	}
	fmt.Fprintf(&s, `
  Try it:

    %s
    kcat -b %s -t %s -C -o beginning -e
    kgo.NewClient(kgo.SeedBrokers(%q), kgo.ConsumeTopics(%q))   // any Kafka client

`, ours, addr, topic, addr, topic)
	if !memory {
		keys := ""
		if b.MinIO {
			keys = strings.Join(localstack.Env(), " ") + " "
		}
		fmt.Fprintf(&s, `  Another broker on the same bucket:

    %s%s broker --store '%s' --data-dir %s --listeners 127.0.0.1:0 --http 127.0.0.1:0

`, keys, b.Program, store, shellWord(fmt.Sprintf("%s-%d", folder, len(b.Others)+2)))
	}
	if b.Demo {
		s.WriteString("  Traffic flows into orders and page-views; the group billing does not keep up.\n")
	}
	s.WriteString("  Ctrl-C stops it; what was acknowledged stays.\n\n")
	if memory {
		return strings.Replace(s.String(), "; what was acknowledged stays", "", 1)
	}
	return s.String()
}

// clientAddress is where somebody at this machine connects to: the first of several
// listeners.
func clientAddress(listening string) string {
	if es, err := settings.ParseEndpoints(listening); err == nil {
		listening = es[0].Address()
	}
	host, port, err := net.SplitHostPort(listening)
	if err != nil {
		return listening
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}

// invocation is how this program was called: by its name, or by go run.
func invocation() string {
	if strings.Contains(os.Args[0], string(filepath.Separator)+"go-build") {
		return "go run ./cmd/firn"
	}
	if strings.ContainsRune(os.Args[0], filepath.Separator) {
		return shellWord(os.Args[0])
	}
	return "firn"
}

// shellWord quotes what a shell would take apart.
func shellWord(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:@=+,") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
