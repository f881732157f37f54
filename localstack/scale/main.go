// Command scale measures what many partitions cost. First real broker processes and a
// franz-go client: memory of each partition, how long creating, describing, producing,
// starting again and taking over take. Then, in this process, what agrees on a million:
// catalog, journal and placement on a bucket in memory, as partitions, active partitions
// of a flush, sessions, sealed objects and years of history grow ten-fold each. What
// grows faster than its cause is marked.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"
)

func main() {
	partitions := flag.Int("partitions", 100_000, "how many partitions the brokers have; 0 leaves the brokers out")
	per := flag.Int("per-topic", 1000, "partitions of a topic")
	active := flag.Int("active", 100_000, "how many of them are written to")
	simulated := flag.Int("simulated", 1_000_000, "how many partitions the simulation ends with; 0 leaves it out")
	only := flag.String("only", "", "of the simulation, only the tables whose name contains this")
	verbose := flag.Bool("v", false, "show what brokers log")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := func() error {
		if *partitions > 0 {
			r := &real{partitions: *partitions, per: *per, active: min(*active, *partitions), verbose: *verbose}
			if err := r.run(ctx); err != nil {
				return err
			}
		}
		if *simulated > 0 {
			return simulate(ctx, *simulated, *only)
		}
		return nil
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, "scale:", err)
		os.Exit(1)
	}
}

// say prints one line of the report.
func say(what string, format string, a ...any) {
	fmt.Printf("%-64s %s\n", what, fmt.Sprintf(format, a...))
}

func ms(d time.Duration) string {
	switch {
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
	case d < 10*time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}
