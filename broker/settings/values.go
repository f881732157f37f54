package settings

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Values are the settings that somebody has set, and the defaults behind them.
// They do not change (T5) and may be read from many goroutines.
type Values struct {
	set map[string]string
}

// Source is one place where settings come from: names and values as given.
type Source struct {
	Name   string // for errors: "flag", "environment", the name of a file
	Values map[string]string
	// At says where in the source a name is, for errors; may be nil.
	At map[string]string
}

// where names the place of a setting.
func (s Source) where(name string) string {
	if at := s.At[name]; at != "" {
		return at
	}
	return s.Name
}

// New merges sources, the first one winning, and checks every name and value of
// all of them, and those that have to fit each other. What is one setting in several
// units is one here: hours of the first source win over milliseconds of the second.
func New(sources ...Source) (*Values, error) {
	v := &Values{set: map[string]string{}}
	by := map[string]int{} // which source has said what a setting means
	for i, src := range sources {
		for _, name := range slices.Sorted(maps.Keys(src.Values)) {
			value := src.Values[name]
			spec, ok := Find(canonical(name))
			if !ok {
				return nil, fmt.Errorf("%s: unknown setting %q%s", src.where(name), name, suggestion(name))
			}
			if err := spec.Check(value); err != nil {
				return nil, fmt.Errorf("%s: %w", src.where(name), err)
			}
			if _, both := src.Values[spec.Name]; both && name != spec.Name {
				return nil, fmt.Errorf("%s: %s is set twice: %s is another name of it", src.where(name), spec.Name, name)
			}
			meaning := spec.Name
			for _, u := range units {
				if u.from == meaning {
					meaning = u.to
				}
			}
			if first, said := by[meaning]; !said || first == i {
				by[meaning], v.set[spec.Name] = i, value
			}
		}
	}
	v.units()
	if err := v.together(); err != nil {
		return nil, err
	}
	return v, nil
}

// units are Kafka's settings of one meaning and several units, and the one that the
// broker reads: milliseconds win over minutes, minutes over hours.
var units = [...]struct {
	from, to string
	ms       int64
}{
	{"log.retention.minutes", "log.retention.ms", 60_000},
	{"log.retention.hours", "log.retention.ms", 3_600_000},
	{"log.roll.hours", "log.roll.ms", 3_600_000},
}

// units gives what was said in other units to the settings that the broker reads.
func (v *Values) units() {
	for _, u := range units {
		if _, ok := v.set[u.from]; !ok {
			continue
		}
		if _, ok := v.set[u.to]; ok {
			continue
		}
		n := v.Int(u.from)
		if n > 0 {
			n *= u.ms
		}
		v.set[u.to] = strconv.FormatInt(n, 10)
	}
}

// Get is the value of a setting, or its default. It panics for a name that is
// not in the table.
func (v *Values) Get(name string) string {
	if s, ok := v.set[name]; ok {
		return s
	}
	spec, ok := Find(name)
	if !ok {
		panic("settings: no setting " + name)
	}
	return spec.Default
}

// Lookup is the value of a setting if somebody has set it.
func (v *Values) Lookup(name string) (string, bool) {
	s, ok := v.set[name]
	return s, ok
}

// Int is a setting as a number.
func (v *Values) Int(name string) int64 {
	n, err := strconv.ParseInt(strings.TrimSpace(v.Get(name)), 10, 64)
	if err != nil {
		panic("settings: " + name + " is not a number") // checked by New (T3)
	}
	return n
}

// Bool is a setting as a truth value.
func (v *Values) Bool(name string) bool { return strings.EqualFold(v.Get(name), "true") }

// Duration is a setting in milliseconds as a duration; what does not fit, such
// as Kafka's "for ever", is the longest one that there is.
func (v *Values) Duration(name string) time.Duration {
	const most = int64(1<<63-1) / int64(time.Millisecond)
	return time.Duration(min(v.Int(name), most)) * time.Millisecond
}

// List is a setting that lists values, without the spaces between them.
func (v *Values) List(name string) []string {
	var out []string
	for part := range strings.SplitSeq(v.Get(name), ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}
