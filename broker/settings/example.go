package settings

import (
	"fmt"
	"strings"
)

// Example is a YAML file with every setting, commented out: with the # removed, a
// line sets the default.
func Example() string {
	var b strings.Builder
	b.WriteString("# Settings of a broker, for firn broker --config FILE. What is commented out has its\n# default. Flags, -X and FIRN_… variables win over this file.\n")
	for _, s := range table {
		b.WriteByte('\n')
		text := s.Doc + " " + s.When + " (" + s.kind()
		if s.Dynamic {
			text += "; can be changed while brokers run"
		}
		for _, line := range wrap(text+")", 92) {
			fmt.Fprintf(&b, "# %s\n", line)
		}
		value := s.Default
		if value == "" {
			value = `""`
		}
		fmt.Fprintf(&b, "#%s: %s\n", s.Name, value)
	}
	return b.String()
}
