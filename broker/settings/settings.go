// Package settings is a broker's configuration: one table of dotted names, the
// same as flag, environment variable, YAML key and, for those that can change
// while the broker runs, as Kafka broker config.
//
// Precedence: flag, then -X name=value, then environment, then file, then default.
package settings

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/firnlog/firn/catalog"
)

// Spec is one row of the table.
type Spec struct {
	catalog.ConfigSpec
	// Dynamic settings can be changed while the broker runs, by
	// IncrementalAlterConfigs on the broker or the cluster.
	Dynamic bool
	// Flag is the setting's flag, when it is not the name with dashes for dots.
	Flag string
}

// FlagName is the setting's name on the command line.
func (s Spec) FlagName() string {
	if s.Flag != "" {
		return s.Flag
	}
	return strings.ReplaceAll(s.Name, ".", "-")
}

// EnvName is the setting's environment variable.
func (s Spec) EnvName() string {
	return "FIRN_" + strings.ToUpper(strings.ReplaceAll(s.Name, ".", "_"))
}

// Find returns a row by its dotted name.
func Find(name string) (Spec, bool) {
	for _, s := range table {
		if s.Name == name {
			return s, true
		}
	}
	return Spec{}, false
}

// All is the whole table, sorted by name.
func All() []Spec { return table }

// Values are settings that somebody has set, and defaults behind them. They do
// not change.
type Values struct {
	set map[string]string
}

// Source is one place where settings come from: names and values as given.
type Source struct {
	Name   string // for errors: "flag", "environment", a file
	Values map[string]string
}

// New merges sources, the first one winning, and checks every name and value.
func New(sources ...Source) (*Values, error) {
	v := &Values{set: map[string]string{}}
	for _, src := range sources {
		for _, name := range sortedKeys(src.Values) {
			value := src.Values[name]
			spec, ok := Find(name)
			if !ok {
				return nil, fmt.Errorf("%s: unknown setting %q%s", src.Name, name, suggest(name))
			}
			if err := spec.Check(value); err != nil {
				return nil, fmt.Errorf("%s: %w", src.Name, err)
			}
			if _, done := v.set[name]; !done {
				v.set[name] = value
			}
		}
	}
	return v, nil
}

// Get is the value of a setting, or its default.
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
	n, _ := strconv.ParseInt(v.Get(name), 10, 64)
	return n
}

// Bool is a setting as a truth value.
func (v *Values) Bool(name string) bool { return strings.EqualFold(v.Get(name), "true") }

// Duration is a setting in milliseconds as a duration.
func (v *Values) Duration(name string) time.Duration {
	return time.Duration(v.Int(name)) * time.Millisecond
}

// Environment reads FIRN_… variables; environ is as os.Environ gives it. A name
// that is none of ours but looks like one is an error of New.
func Environment(environ []string) Source {
	src := Source{Name: "environment", Values: map[string]string{}}
	for _, kv := range environ {
		k, value, _ := strings.Cut(kv, "=")
		if !strings.HasPrefix(k, "FIRN_") || strings.HasPrefix(k, "FIRN_TEST_") {
			continue
		}
		name := strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(k, "FIRN_"), "_", "."))
		if name != "brokers" {
			src.Values[name] = value
		}
	}
	return src
}

// File reads a YAML file. Keys may be dotted, nested, or both.
func File(path string) (Source, error) {
	src := Source{Name: path, Values: map[string]string{}}
	b, err := os.ReadFile(path)
	if err != nil {
		return src, fmt.Errorf("configuration: %w", err)
	}
	var doc map[string]any
	if err := yaml.Unmarshal(b, &doc); err != nil {
		return src, fmt.Errorf("%s: %w", path, err)
	}
	return src, flatten(src.Values, "", doc)
}

func flatten(out map[string]string, prefix string, doc map[string]any) error {
	for k, v := range doc {
		name := prefix + k
		switch v := v.(type) {
		case map[string]any:
			if err := flatten(out, name+".", v); err != nil {
				return err
			}
		case []any:
			parts := make([]string, len(v))
			for i, x := range v {
				parts[i] = fmt.Sprint(x)
			}
			out[name] = strings.Join(parts, ",")
		case nil:
			return fmt.Errorf("%s: it has no value", name)
		default:
			if _, twice := out[name]; twice {
				return fmt.Errorf("%s: it is set twice", name)
			}
			out[name] = fmt.Sprint(v)
		}
	}
	return nil
}

// suggest names the setting that was probably meant.
func suggest(name string) string {
	best, least := "", len(name)/2+1
	for _, s := range table {
		if d := distance(name, s.Name); d < least {
			best, least = s.Name, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// distance is how many characters differ (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		last := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := last
			if a[i] != b[j] {
				cost++
			}
			last = row[j+1]
			row[j+1] = min(cost, row[j]+1, last+1)
		}
	}
	return row[len(b)]
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
