package settings

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxFile bounds a configuration file: the whole table with long values is a
// few kilobytes.
const maxFile = 1 << 20

// File reads a YAML file. Keys may be dotted, nested, or both; a list is written
// as YAML's or with commas. Values are taken as they are written: 0755 is not an
// octal number, and yes is not true.
func File(path string) (Source, error) {
	src := Source{Name: path, Values: map[string]string{}, At: map[string]string{}}
	f, err := os.Open(path)
	if err != nil {
		return src, fmt.Errorf("configuration: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return src, fmt.Errorf("configuration: %w", err)
	}
	if len(b) > maxFile {
		return src, fmt.Errorf("%s: larger than %d bytes: this is not a configuration", path, maxFile)
	}
	dec := yaml.NewDecoder(strings.NewReader(string(b)))
	var doc, more yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return src, nil // empty, or comments alone
	} else if err != nil {
		return src, fmt.Errorf("%s: %w", path, err)
	}
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		return src, fmt.Errorf("%s: more than one document: remove what follows the line ---", path)
	}
	if len(doc.Content) != 1 {
		return src, nil
	}
	return src, src.flatten("", doc.Content[0])
}

// flatten adds the leaves of a mapping under their dotted names.
func (s Source) flatten(prefix string, n *yaml.Node) error {
	at := func(n *yaml.Node) string { return fmt.Sprintf("%s:%d", s.Name, n.Line) }
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" && prefix == "" {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		return fmt.Errorf("%s: want lines of the form name: value", at(n))
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind != yaml.ScalarNode || key.Value == "" {
			return fmt.Errorf("%s: want the name of a setting before the colon", at(key))
		}
		name := prefix + key.Value
		var text string
		switch value.Kind {
		case yaml.MappingNode:
			if err := s.flatten(name+".", value); err != nil {
				return err
			}
			continue
		case yaml.SequenceNode:
			parts := make([]string, len(value.Content))
			for i, v := range value.Content {
				if v.Kind != yaml.ScalarNode {
					return fmt.Errorf("%s: %s: want a list of plain values", at(v), name)
				}
				parts[i] = v.Value
			}
			text = strings.Join(parts, ",")
		case yaml.ScalarNode:
			if value.Tag == "!!null" {
				return fmt.Errorf("%s: %s has no value; write \"\" for an empty one, or remove the line", at(value), name)
			}
			text = value.Value
		default:
			return fmt.Errorf("%s: %s: anchors and aliases are not supported: write the value", at(value), name)
		}
		if _, twice := s.Values[name]; twice {
			return fmt.Errorf("%s: %s is set twice, here and at %s", at(key), name, s.At[name])
		}
		s.Values[name], s.At[name] = text, at(key)
	}
	return nil
}
