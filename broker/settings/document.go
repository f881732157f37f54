package settings

import (
	"fmt"
	"io"
	"strings"

	"github.com/firnlog/firn/catalog"
)

// kind names a setting's type and bounds for people.
func (s Spec) kind() string {
	switch {
	case s.Type == catalog.TypeBool:
		return "true or false"
	case len(s.Values) > 0 && s.Type == catalog.TypeList:
		return "list of " + strings.Join(s.Values, ", ")
	case len(s.Values) > 0:
		return "one of " + strings.Join(s.Values, ", ")
	case s.Type == catalog.TypeList:
		return "list"
	case s.Type == catalog.TypeInt || s.Type == catalog.TypeLong:
		if s.Max == maxLong {
			return fmt.Sprintf("number, at least %d", s.Min)
		}
		return fmt.Sprintf("number from %d to %d", s.Min, s.Max)
	}
	return "text"
}

// WriteMarkdown writes docs/configuration.md.
func WriteMarkdown(w io.Writer) error {
	var b strings.Builder
	b.WriteString(`# Configuration

<!-- Written by: go test ./broker/settings -update -->

Every setting of a broker has one dotted name; where Kafka has a setting of the meaning, it is Kafka's name. It is given in any of these ways. The first that sets it wins:

| how | example |
|---|---|
| flag | ` + "`--num-partitions 3`" + ` |
| ` + "`-X`" + ` | ` + "`-X num.partitions=3`" + ` |
| environment | ` + "`FIRN_NUM_PARTITIONS=3`" + ` |
| YAML file, named by ` + "`--config FILE`" + ` | ` + "`num.partitions: 3`" + `, or nested |

A name that is not in this table is an error, wherever it stands. Settings marked *live* can be changed while brokers run, for one broker or all of them, with Kafka's own tools
(` + "`kafka-configs --entity-type brokers`" + `); what is set so counts more than all of the above. Credentials are no settings: they come from the standard AWS chain.

| setting | value | default | what it does; who changes it, and when |
|---|---|---|---|
`)
	for _, s := range table {
		name := "`" + s.Name + "`"
		if s.Alias != "" {
			name += " (`" + s.Alias + "`)"
		}
		if s.Dynamic {
			name += " *live*"
		}
		def := s.Default
		if def != "" {
			def = "`" + def + "`"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s *%s* |\n", name, cell(s.kind()), def, cell(s.Doc), cell(s.When))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func cell(s string) string { return strings.ReplaceAll(s, "|", "\\|") }

// Help is the table as text of at most 100 columns, for `firn help settings`.
func Help() string {
	var b strings.Builder
	b.WriteString(`Every setting of a broker has one dotted name, which is also a flag (--num-partitions 3), a pair of -X
(-X num.partitions=3), a variable (FIRN_NUM_PARTITIONS=3) and a key of the YAML file that --config names
(num.partitions: 3, or nested). The first of these that sets it wins. Settings marked * can be changed
while brokers run, with Kafka's tools.
`)
	for _, s := range table {
		name := s.Name
		if s.Dynamic {
			name += " *"
		}
		if s.Alias != "" {
			name += " (or " + s.Alias + ")"
		}
		fmt.Fprintf(&b, "\n%s\n", name)
		def := s.kind()
		if s.Default != "" {
			def += "; default " + s.Default
		}
		for _, text := range []string{def, s.Doc, s.When} {
			for _, line := range wrap(text, 94) {
				fmt.Fprintf(&b, "    %s\n", line)
			}
		}
	}
	return b.String()
}

// wrap breaks text at spaces into lines of at most width characters.
func wrap(text string, width int) []string {
	var lines []string
	line, length := "", 0
	for word := range strings.FieldsSeq(text) {
		n := len([]rune(word))
		if length > 0 && length+1+n > width {
			lines, line, length = append(lines, line), "", 0
		}
		if length > 0 {
			line, length = line+" ", length+1
		}
		line, length = line+word, length+n
	}
	return append(lines, line)
}
