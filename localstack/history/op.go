package history

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// ErrHistory says that what was given is not a history.
var ErrHistory = errors.New("not a history")

// Type is what an operation's line says of it.
type Type string

// Types of lines. Each process alternates between Invoke and one of the others.
const (
	Invoke Type = "invoke"
	OK     Type = "ok"
	Fail   Type = "fail" // it definitely did not happen
	Info   Type = "info" // nobody knows; the process ends with it
)

// Func is what an operation does.
type Func string

// Functions of operations.
const (
	Send      Func = "send"
	Poll      Func = "poll"
	Txn       Func = "txn"       // sends and polls
	Assign    Func = "assign"    // the consumer reads Keys from now on
	Subscribe Func = "subscribe" // the same through a group
	Crash     Func = "crash"     // the client is thrown away
)

// Unknown is the offset of a send whose answer told none.
const Unknown int64 = -1

// Record is a value at an offset.
type Record struct {
	Offset int64 `json:"off"`
	Value  int64 `json:"v"`
}

// Step is one send to a key, or what a poll got of it, in order.
type Step struct {
	Key  int      `json:"k"`
	Send *Record  `json:"send,omitempty"`
	Poll []Record `json:"poll,omitempty"`
}

// Op is one line of a history. A completion repeats the steps of its invocation
// with what became known.
type Op struct {
	Time    time.Duration `json:"t"` // since any moment that all lines share
	Process int           `json:"proc"`
	Type    Type          `json:"type"`
	Func    Func          `json:"f"`
	Steps   []Step        `json:"value,omitempty"`
	Keys    []int         `json:"keys,omitempty"`  // of Assign and Subscribe
	Moved   []int         `json:"moved,omitempty"` // keys that a rebalance touched meanwhile
	Node    string        `json:"node,omitempty"`
	Err     string        `json:"err,omitempty"`
}

// longest is the longest line that Read takes, in bytes.
const longest = 16 << 20

// Read reads lines of JSON. It fails with ErrHistory and the line's number.
func Read(r io.Reader) ([]Op, error) {
	var out []Op
	in := bufio.NewScanner(r)
	in.Buffer(nil, longest)
	for in.Scan() {
		var op Op
		if err := json.Unmarshal(in.Bytes(), &op); err != nil {
			return nil, fmt.Errorf("%w: line %d: %w", ErrHistory, len(out)+1, err)
		}
		out = append(out, op)
	}
	if err := in.Err(); err != nil {
		return nil, fmt.Errorf("%w: after line %d: %w", ErrHistory, len(out), err)
	}
	return out, nil
}

// Write writes lines of JSON.
func Write(w io.Writer, ops []Op) error {
	out := bufio.NewWriter(w)
	enc := json.NewEncoder(out)
	for i := range ops {
		if err := enc.Encode(&ops[i]); err != nil {
			return fmt.Errorf("write history: %w", err)
		}
	}
	return out.Flush()
}

// calls are the operations of a history, each with the lines that began and ended
// it.
type calls struct {
	lines []Op
	ends  []end
	// at is, for each line, the place in ends of the operation that it belongs to.
	at []int
}

// end is an operation by its last line. One that never ended is an Info.
type end struct {
	Op
	line int
}

// pair finds the operations of a history.
func pair(lines []Op) (*calls, error) {
	c := &calls{lines: lines, at: make([]int, len(lines))}
	open := map[int]int{} // process: line
	done := map[int]bool{}
	for i := range lines {
		l := &lines[i]
		switch l.Func {
		case Send, Poll, Txn, Assign, Subscribe, Crash:
		default:
			return nil, fmt.Errorf("%w: line %d: f is %q", ErrHistory, i+1, l.Func)
		}
		began, busy := open[l.Process]
		switch l.Type {
		case Invoke:
			if busy || done[l.Process] {
				return nil, fmt.Errorf("%w: line %d: process %d cannot invoke: it waits since line %d, or has ended", ErrHistory, i+1, l.Process, began+1)
			}
			open[l.Process] = i
			c.at[i] = -1
		case OK, Fail, Info:
			if !busy || lines[began].Func != l.Func {
				return nil, fmt.Errorf("%w: line %d: process %d has not invoked this %s", ErrHistory, i+1, l.Process, l.Func)
			}
			delete(open, l.Process)
			done[l.Process] = l.Type == Info
			c.at[began], c.at[i] = len(c.ends), len(c.ends)
			c.ends = append(c.ends, end{*l, i})
		default:
			return nil, fmt.Errorf("%w: line %d: type is %q", ErrHistory, i+1, l.Type)
		}
	}
	for i := range lines { // in the order of lines, so that the same history gives the same answer
		if at, ok := open[lines[i].Process]; ok && at == i {
			op := lines[i]
			op.Type = Info
			c.at[i] = len(c.ends)
			c.ends = append(c.ends, end{op, len(lines)})
		}
	}
	return c, nil
}
