package main

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// difference is a line on which the brokers do not agree, in one or more versions.
type difference struct {
	scenario, step, api string
	versions            []string
	path, kafka, firn   string
}

func (d *difference) String() string {
	return fmt.Sprintf("%s: %s: %s %s %s: Kafka %s, Firn %s", d.scenario, d.step, d.api, strings.Join(d.versions, " "), d.path, d.kafka, d.firn)
}

// absent is the value of a line that one broker has not.
const absent = "(nothing)"

// compare compares two conversations of one scenario.
func compare(scenario string, kafka, firn []note) []*difference {
	var out []*difference
	known := map[string]*difference{}
	add := func(n note, path, k, f string) {
		api, version, _ := strings.Cut(n.api, " ")
		id := strings.Join([]string{n.step, api, path, k, f}, "\x00")
		d := known[id]
		if d == nil {
			d = &difference{scenario: scenario, step: n.step, api: api, path: path, kafka: k, firn: f}
			known[id] = d
			out = append(out, d)
		}
		d.versions = append(d.versions, version)
	}
	for i := range max(len(kafka), len(firn)) {
		if i >= len(kafka) || i >= len(firn) || kafka[i].step != firn[i].step || kafka[i].api != firn[i].api {
			at := func(ns []note) string {
				if i < len(ns) {
					return ns[i].step + " " + ns[i].api
				}
				return absent
			}
			add(note{step: "the conversations part"}, "", at(kafka), at(firn))
			break
		}
		k, f := byPath(kafka[i].lines), byPath(firn[i].lines)
		for _, l := range kafka[i].lines {
			if other, ok := f[l.path]; ok && other != l.value {
				add(kafka[i], l.path, l.value, other)
			}
		}
		for _, l := range only(kafka[i].lines, f) {
			add(kafka[i], l.path, l.value, absent)
		}
		for _, l := range only(firn[i].lines, k) {
			add(firn[i], l.path, absent, l.value)
		}
	}
	return out
}

// only are the lines whose paths the other has not. Of an element that the other has
// nothing of, there is one line.
func only(ls []line, other map[string]string) []line {
	has := map[string]bool{}
	for path := range other {
		for i := range path {
			if path[i] == ']' {
				has[path[:i+1]] = true
			}
		}
	}
	var out []line
	told := map[string]bool{}
next:
	for _, l := range ls {
		if _, ok := other[l.path]; ok {
			continue
		}
		for i := range l.path {
			if element := l.path[:i+1]; l.path[i] == ']' && !has[element] {
				if !told[element] {
					told[element] = true
					out = append(out, line{element, "an element"})
				}
				for j := range out { // its error says most
					if out[j].path == element && l.path == element+".ErrorCode" {
						out[j].value = "an element with error " + l.value
					}
				}
				continue next
			}
		}
		out = append(out, l)
	}
	return out
}

func byPath(ls []line) map[string]string {
	m := make(map[string]string, len(ls))
	for _, l := range ls {
		m[l.path] = l.value
	}
	return m
}

// intended is a difference that is meant: patterns of where it shows, and why.
type intended struct {
	scenario, step, api, path string // regular expressions of the whole; empty is anything
	kafka, firn               string
	why                       string
}

func (i *intended) explains(d *difference) bool {
	for pattern, s := range map[*string]string{&i.scenario: d.scenario, &i.step: d.step, &i.api: d.api, &i.path: d.path, &i.kafka: d.kafka, &i.firn: d.firn} {
		if *pattern != "" && !whole(*pattern).MatchString(s) {
			return false
		}
	}
	return true
}

var compiled = map[string]*regexp.Regexp{}

// whole is a pattern for a whole string.
func whole(pattern string) *regexp.Regexp {
	if compiled[pattern] == nil {
		compiled[pattern] = regexp.MustCompile(`^(?s:` + pattern + `)$`)
	}
	return compiled[pattern]
}

// judge prints the differences that are not intended, and the rows of the table that
// explained nothing, and counts both. all says that every scenario ran.
func judge(w io.Writer, ds []*difference, table []intended, all bool) (faults int) {
	used := make([]int, len(table))
	for _, d := range ds {
		i := slices.IndexFunc(table, func(i intended) bool { return i.explains(d) })
		if i >= 0 {
			used[i]++
			continue
		}
		faults++
		fmt.Fprintln(w, "DIFFERS", d)
	}
	for i, n := range used {
		switch {
		case n > 0:
			fmt.Fprintf(w, "intended, %d times: %s\n", n, table[i].why)
		case all:
			faults++
			fmt.Fprintf(w, "EXPLAINS NOTHING: %+v\n", table[i])
		}
	}
	return faults
}
