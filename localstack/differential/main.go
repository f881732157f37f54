package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	kafka := flag.String("kafka", "", "`HOST:PORT` of a Kafka without topics; started when empty")
	firn := flag.String("firn", "", "`HOST:PORT` of a Firn without topics; started when empty")
	run := flag.String("run", ".*", "`REGEXP` of the scenarios to run")
	show := flag.Bool("show", false, "print every answer of both")
	flag.Parse()
	faults, err := differential(ctx, *kafka, *firn, *run, *show)
	if err != nil {
		fmt.Fprintln(os.Stderr, "differential:", err)
		os.Exit(2)
	}
	if faults > 0 {
		fmt.Printf("%d faults\n", faults)
		os.Exit(1)
	}
}

// differential runs the scenarios that run names against both brokers, starting those
// that have no address, prints what it finds and returns how many faults there are.
func differential(ctx context.Context, kafkaAddr, firnAddr, run string, show bool) (faults int, err error) {
	dir, err := os.MkdirTemp("", "firn-differential-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	if kafkaAddr == "" {
		k, err := startKafka(ctx, dir)
		if err != nil {
			return 0, err
		}
		defer k.stop()
		kafkaAddr = k.addr
	}
	if firnAddr == "" {
		f, err := startFirn(ctx, dir)
		if err != nil {
			return 0, err
		}
		defer f.Kill()
		firnAddr = f.Kafka
	}
	common, alone, err := speak(kafkaAddr, firnAddr)
	if err != nil {
		return 0, err
	}
	asked := map[string]int{}
	var found []*difference
	ran, answers := 0, 0
	began := time.Now()
	for _, sc := range scenarios() {
		if !whole(run).MatchString(sc.name) {
			continue
		}
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		ran++
		fmt.Fprintln(os.Stderr, "scenario", sc.name)
		k, err := converse(&side{name: "kafka", addr: kafkaAddr, common: common, asked: map[string]int{}}, sc)
		if err != nil {
			return 0, err
		}
		f, err := converse(&side{name: "firn", addr: firnAddr, common: common, asked: asked}, sc)
		if err != nil {
			return 0, err
		}
		answers += len(f.notes)
		found = append(found, compare(sc.name, k.notes, f.notes)...)
		for _, s := range f.inexact {
			faults++
			fmt.Printf("NOT EXACT %s: %s\n", sc.name, s)
		}
		if show {
			print(sc.name, k)
			print(sc.name, f)
		}
	}
	all := ran == len(scenarios())
	faults += judge(os.Stdout, found, intentions, all)
	versions := 0
	for key, r := range common {
		for v := r[0]; v <= r[1]; v++ {
			api := fmt.Sprintf("%s v%d", kmsg.NameForKey(key), v)
			if versions++; asked[api] == 0 && all {
				faults++
				fmt.Println("NEVER ASKED", api)
			}
		}
	}
	fmt.Printf("%d scenarios, %d answers compared in %v: %d APIs in %d versions. %s\n", ran, answers, time.Since(began).Round(time.Second), len(common), versions, alone)
	return faults, nil
}

// converse holds one scenario with one broker.
func converse(s *side, sc scenario) (_ *side, err error) {
	defer func() {
		switch f := recover().(type) {
		case nil:
		case fault:
			err = fmt.Errorf("%s, %s: %w", s.name, sc.name, f.error)
		default:
			panic(f)
		}
	}()
	s.symbols = map[string]string{}
	s.redial()
	defer func() { s.conn.close() }()
	sc.talk(s)
	return s, nil
}

// speak finds the APIs and versions that both speak, and says what only one does.
func speak(kafka, firn string) (map[int16][2]int16, string, error) {
	speaks := func(addr string) (map[int16][2]int16, error) {
		w, err := dial(addr)
		if err != nil {
			return nil, err
		}
		defer w.close()
		q := kmsg.NewPtrApiVersionsRequest()
		q.ClientSoftwareName, q.ClientSoftwareVersion = "differential", "1"
		w.send(3, q)
		r, err := w.receive(3, q)
		if err != nil {
			return nil, fmt.Errorf("ApiVersions of %s: %w", addr, err)
		}
		m := map[int16][2]int16{}
		for _, k := range r.(*kmsg.ApiVersionsResponse).ApiKeys {
			m[k.ApiKey] = [2]int16{k.MinVersion, k.MaxVersion}
		}
		return m, nil
	}
	k, err := speaks(kafka)
	if err != nil {
		return nil, "", err
	}
	f, err := speaks(firn)
	if err != nil {
		return nil, "", err
	}
	common := map[int16][2]int16{}
	var only []string
	for key, r := range f {
		o, ok := k[key]
		if !ok {
			only = append(only, "Firn alone: "+kmsg.NameForKey(key))
			continue
		}
		if key == 0 {
			r[0] = 3 // advertised from 0 for the sake of old librdkafkas, served from 3
		}
		common[key] = [2]int16{max(r[0], o[0]), min(r[1], o[1])}
	}
	var missing []string
	for key := range k {
		if _, ok := f[key]; !ok {
			missing = append(missing, kmsg.NameForKey(key))
		}
	}
	slices.Sort(missing)
	return common, strings.Join(append(only, "Kafka alone: "+strings.Join(missing, " ")), "; "), nil
}

func print(scenario string, s *side) {
	for _, n := range s.notes {
		fmt.Printf("%s %s: %s %s\n", s.name, scenario, n.step, n.api)
		for _, l := range n.lines {
			fmt.Printf("    %s = %s\n", l.path, l.value)
		}
	}
}
