package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

// results are the figures of all repetitions, by name, in the order in which they came.
type results struct {
	names  []string
	values map[string][]float64
	units  map[string]string
}

func (r *results) note(name string, value float64, unit string) {
	if r.values == nil {
		r.values, r.units = make(map[string][]float64), make(map[string]string)
	}
	if r.values[name] == nil {
		r.names = append(r.names, name)
	}
	r.values[name] = append(r.values[name], value)
	r.units[name] = unit
	fmt.Fprintf(os.Stderr, "%-44s %10.2f %s\n", name, value, unit)
}

// noteTimes notes the median and the 99th percentile.
func (r *results) noteTimes(name string, took []time.Duration) {
	for _, p := range []int{50, 99} {
		r.note(fmt.Sprintf("%s p%d", name, p), float64(percentile(took, p))/float64(time.Millisecond), "ms")
	}
}

func (r *results) print() {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "median\tlowest\thighest\t\t ")
	for _, name := range r.names {
		v := slices.Clone(r.values[name])
		slices.Sort(v)
		fmt.Fprintf(w, "%.2f\t%.2f\t%.2f\t%s\t %s\n", v[len(v)/2], v[0], v[len(v)-1], r.units[name], name)
	}
	w.Flush()
}

func percentile(d []time.Duration, p int) time.Duration {
	d = slices.Clone(d)
	slices.Sort(d)
	return d[min(len(d)-1, len(d)*p/100)]
}

// server is the process id of the broker that is measured.
func (b *bench) server() int {
	if b.broker != nil {
		return b.broker.Pid()
	}
	return b.pid
}

// usage is the CPU, in seconds, that the broker and this client have used.
func (b *bench) usage() (broker, client float64) {
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", b.server()))
	_, rest, _ := strings.Cut(string(stat), ") ")
	if f := strings.Fields(rest); len(f) > 12 {
		u, _ := strconv.ParseFloat(f[11], 64)
		s, _ := strconv.ParseFloat(f[12], 64)
		broker = (u + s) / 100
	}
	var ru syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &ru)
	return broker, time.Duration(ru.Utime.Nano() + ru.Stime.Nano()).Seconds()
}

// measure notes what do cost per GiB of what it moved.
func (b *bench) measure(what string, do func() (bytes int64, err error)) error {
	f0, c0 := b.usage()
	began := time.Now()
	bytes, err := do()
	if err != nil {
		return err
	}
	took := time.Since(began)
	f1, c1 := b.usage()
	gib := float64(bytes) / (1 << 30)
	b.note(what, gib*1024/took.Seconds(), "MiB/s")
	b.note(what+": broker", (f1-f0)/gib, "CPU s/GiB")
	b.note(what+": client", (c1-c0)/gib, "CPU s/GiB")
	b.note(what+": anonymous memory", b.anonymous(), "MB")
	return nil
}

// anonymous is the broker's anonymous memory, in MB.
func (b *bench) anonymous() float64 {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", b.server()))
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			kb, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kb / 1000
		}
	}
	return 0
}

// touch makes the kernel have so many GiB of memory that nobody uses. Where the host
// of a virtual machine gives memory page by page, the first use of a page costs more
// than all that a broker does with it, and whoever comes first pays.
func touch(gib int) error {
	const piece = 1 << 30
	var all [][]byte
	defer func() {
		for _, m := range all {
			_ = syscall.Munmap(m)
		}
	}()
	for range gib {
		m, err := syscall.Mmap(-1, 0, piece, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
		if err != nil {
			return fmt.Errorf("touch memory: %w", err)
		}
		all = append(all, m)
		for i := 0; i < piece; i += 4096 {
			m[i] = 1
		}
	}
	return nil
}
