// Command firn is a Kafka-compatible log on object storage: broker, development
// stack and tools in one program.
//
// Every command has a file of its own. What they share: root.go (the tree and the
// flags that every command has), client.go (how a command reaches brokers and
// explains why it cannot), print.go (the one printer), settings.go (a broker's
// settings as flags).
//
// Habits that scripts rely on:
//
//	H1  Exit codes: 0 all is well; 1 an error, or any one item failed; 2 the command
//	    was not understood; 3 a check found a problem.
//	H2  Standard output holds the answer alone, and is valid JSON with --format json
//	    even when items failed; everything else goes to standard error.
//	H3  Nothing is destroyed without --yes or somebody who said yes.
//	H4  No secret is printed.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// Exit codes (H1).
const (
	exitOK      = 0
	exitError   = 1
	exitUsage   = 2
	exitProblem = 3
)

// exit is an error with an exit code. One without err has said all that there is.
type exit struct {
	code int
	err  error
}

func (e *exit) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exit) Unwrap() error { return e.err }

// usage is an error of whoever typed the command.
func usage(format string, args ...any) error {
	return &exit{exitUsage, fmt.Errorf(format, args...)}
}

func main() {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go interrupts(signals, cancel, os.Exit)
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// interrupts asks the program to end at the first signal, and ends it at the
// second one.
func interrupts(signals <-chan os.Signal, ask func(), end func(int)) {
	<-signals
	ask()
	<-signals
	end(130)
}
