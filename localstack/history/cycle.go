package history

import (
	"fmt"
	"slices"
	"strings"
)

// graph has an edge from one operation to each that must come after it.
type graph [][]int

func (g graph) add(from, to int) {
	if from != to {
		g[from] = append(g[from], to)
	}
}

func (g graph) with(other graph) graph {
	out := make(graph, len(g))
	for i := range g {
		out[i] = slices.Concat(g[i], other[i])
	}
	return out
}

// cycles: information flows forward (G1c). A reader comes after the writer of what it
// read; with the order of each process, and with real time. Chains of writes alone
// (G0) are Kafka's way: sends of several keys interleave.
func (j *judge) cycles() {
	ww, wr := make(graph, len(j.ends)), make(graph, len(j.ends))
	for _, k := range j.keys() {
		l := j.logs[k]
		before := -1
		for _, o := range l.offsets {
			w, ok := j.writer[place{k, l.at[o][0]}]
			if !ok {
				continue
			}
			if before >= 0 {
				ww.add(before, w)
			}
			before = w
		}
	}
	process, last := make(graph, len(j.ends)), map[int]int{}
	for i := range j.ends {
		e := &j.ends[i]
		if e.Type == Fail {
			continue
		}
		if b, ok := last[e.Process]; ok {
			process.add(b, i)
		}
		last[e.Process] = i
		if e.Type != OK {
			continue
		}
		for _, s := range e.Steps {
			for _, r := range s.Poll {
				if w, ok := j.writer[place{s.Key, r.Value}]; ok {
					wr.add(w, i)
				}
			}
		}
	}
	if c := ww.cycle(); c != nil {
		j.allowed("G0", -1, "%s", j.path(c))
	}
	for _, g := range []struct {
		name  string
		graph graph
	}{{"G1c", wr}, {"G1c-process", wr.with(process)}, {"G1c-realtime", wr.with(j.realtime())}} {
		if c := g.graph.cycle(); c != nil {
			j.bad(g.name, -1, "%s", j.path(c))
			return // the next graphs have the same cycle
		}
	}
}

// realtime has the edges from operations that had ended when others began, without
// those that follow from others.
func (j *judge) realtime() graph {
	g, before := make(graph, len(j.ends)), make(graph, len(j.ends))
	var ended []int
	for i := range j.lines {
		op := j.at[i]
		switch j.lines[i].Type {
		case Invoke:
			for _, b := range ended {
				g.add(b, op)
			}
			before[op] = slices.Clone(ended)
		case OK:
			ended = slices.DeleteFunc(ended, func(b int) bool { return slices.Contains(before[op], b) })
			ended = append(ended, op)
		}
	}
	return g
}

// cycle returns the operations of one cycle, or nil. What can be peeled off from
// either end is in none.
func (g graph) cycle() []int {
	back := make(graph, len(g))
	for from := range g {
		for _, to := range g[from] {
			back[to] = append(back[to], from)
		}
	}
	in := make([]bool, len(g))
	for i := range in {
		in[i] = true
	}
	peel := func(next, prev graph) {
		left := make([]int, len(g))
		var free []int
		for i := range g {
			for _, p := range prev[i] {
				if in[p] {
					left[i]++
				}
			}
			if in[i] && left[i] == 0 {
				free = append(free, i)
			}
		}
		for len(free) > 0 {
			i := free[len(free)-1]
			free = free[:len(free)-1]
			in[i] = false
			for _, n := range next[i] {
				if left[n]--; in[n] && left[n] == 0 {
					free = append(free, n)
				}
			}
		}
	}
	peel(g, back)
	peel(back, g)
	at := slices.Index(in, true)
	if at < 0 {
		return nil
	}
	var path []int
	seen := map[int]int{}
	for {
		if from, ok := seen[at]; ok {
			return path[from:]
		}
		seen[at] = len(path)
		path = append(path, at)
		at = g[at][slices.IndexFunc(g[at], func(n int) bool { return in[n] })]
	}
}

func (j *judge) path(ops []int) string {
	var b strings.Builder
	for _, i := range ops {
		fmt.Fprintf(&b, "line %d (%s of process %d) comes before ", j.ends[i].line+1, j.ends[i].Func, j.ends[i].Process)
	}
	return b.String() + fmt.Sprintf("line %d", j.ends[ops[0]].line+1)
}
