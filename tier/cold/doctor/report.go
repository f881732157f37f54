package doctor

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// ErrRefused is the error of a report whose verdict is Refused.
var ErrRefused = errors.New("the store is not fit to hold a log")

// ErrUndecided is the error of a report whose verdict is Undecided: try again.
var ErrUndecided = errors.New("the store could not be examined")

// Severity is what a failed check means.
type Severity uint8

// The severities, from harmless to worst.
const (
	Info      Severity = iota // a figure or a remark; such a check always passes
	Warning                   // Firn works all the same
	Unreached                 // the store gave no definite answer
	Fatal                     // Firn would lose data, or cannot work
)

// String names the severity.
func (s Severity) String() string {
	return [...]string{"info", "warning", "unreached", "fatal", "?"}[min(s, Fatal+1)]
}

// MarshalText makes it a word in JSON.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Verdict is what the checks of a report amount to.
type Verdict uint8

// The verdicts.
const (
	Approved  Verdict = iota // no check failed, or with warnings only
	Undecided                // some check was unreached and none was fatal
	Refused                  // some check was fatal
)

// String names the verdict.
func (v Verdict) String() string {
	return [...]string{"approved", "undecided", "refused", "?"}[min(v, Refused+1)]
}

// MarshalText makes it a word in JSON.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// Figure is something measured.
type Figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
}

// Check is one promise, tried.
type Check struct {
	Name     string   `json:"name"`
	Promise  string   `json:"promise"` // what a log needs it for
	OK       bool     `json:"ok"`
	Severity Severity `json:"severity"`         // of the failure; Info when OK
	Detail   string   `json:"detail,omitempty"` // what was seen
	Advice   string   `json:"advice,omitempty"` // what it means and what to do; empty when OK
	Figures  []Figure `json:"figures,omitempty"`
}

// Report is an examination.
type Report struct {
	Verdict Verdict       `json:"verdict"`
	Checks  []Check       `json:"checks"`
	Took    time.Duration `json:"took_ns"`
}

func (r *Report) conclude() {
	for _, c := range r.Checks {
		switch {
		case c.OK:
		case c.Severity == Fatal:
			r.Verdict = Refused
		case c.Severity == Unreached && r.Verdict == Approved:
			r.Verdict = Undecided
		}
	}
}

// Err is nil for an approved store, and otherwise says which checks failed, what
// that means and what to do.
func (r Report) Err() error {
	var sentinel error
	var worst Severity
	switch r.Verdict {
	case Approved:
		return nil
	case Undecided:
		sentinel, worst = ErrUndecided, Unreached
	default:
		sentinel, worst = ErrRefused, Fatal
	}
	var lines []string
	for _, c := range r.Checks {
		if !c.OK && c.Severity == worst {
			lines = append(lines, fmt.Sprintf("%s: %s. %s", c.Name, c.Detail, c.Advice))
		}
	}
	return fmt.Errorf("%w: %s", sentinel, strings.Join(lines, "; "))
}

// Warnings are the failed checks that do not stand in the way.
func (r Report) Warnings() []Check {
	var found []Check
	for _, c := range r.Checks {
		if !c.OK && c.Severity == Warning {
			found = append(found, c)
		}
	}
	return found
}

// String is the report for a terminal.
func (r Report) String() string {
	var b strings.Builder
	for _, c := range r.Checks {
		mark := "ok  "
		if !c.OK {
			mark = map[Severity]string{Warning: "warn", Unreached: "?   ", Fatal: "FAIL"}[c.Severity]
		}
		fmt.Fprintf(&b, "%s  %-24s %s\n", mark, c.Name, c.Detail)
		if c.Advice != "" {
			fmt.Fprintf(&b, "      %s\n", c.Advice)
		}
		for _, f := range c.Figures {
			fmt.Fprintf(&b, "        %-22s %10.2f %s\n", f.Name, f.Value, f.Unit)
		}
	}
	fmt.Fprintf(&b, "%s after %v\n", r.Verdict, r.Took.Round(time.Millisecond))
	return b.String()
}
