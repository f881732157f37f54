package deploy

import (
	"bytes"
	"fmt"
	"path"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Source is where the image of Firn is built from, without the sources at hand.
const Source = "https://github.com/firnlog/firn.git"

// Standalone is the compose file with everything inside that it refers to, for a
// folder where it lies alone: contents of the configuration files, MinIO's
// Dockerfile, and for Firn's image the repository at a tag or branch.
func Standalone(revision string) ([]byte, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(File(Compose), &doc); err != nil {
		return nil, fmt.Errorf("%s: %w", Compose, err)
	}
	root := doc.Content[0]
	configs := at(root, "configs")
	for i := 1; i < len(configs.Content); i += 2 {
		c := configs.Content[i]
		content := string(File(at(c, "file").Value))
		// Compose replaces variables in what it reads: not in what others shall read.
		c.Content = pair("content", strings.ReplaceAll(content, "$", "$$"), yaml.LiteralStyle)
	}
	services := at(root, "services")
	for i := 1; i < len(services.Content); i += 2 {
		readable(services.Content[i])
	}
	build := at(at(services, "minio"), "build")
	dockerfile := File(path.Join(at(build, "context").Value, "Dockerfile"))
	build.Content = pair("dockerfile_inline", strings.ReplaceAll(string(dockerfile), "$", "$$"), yaml.LiteralStyle)
	firn := at(at(root, "x-firn"), "build")
	at(firn, "context").Value = Source + "#" + revision
	at(at(firn, "args"), "VERSION").Value = "${VERSION:-" + revision + "}" // the context has no history that would say it
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(&doc); err != nil {
		return nil, fmt.Errorf("%s: %w", Compose, err)
	}
	return b.Bytes(), e.Close()
}

// readable has all users of a container read its configuration files. Some releases of
// compose keep those that they copy for root.
func readable(service *yaml.Node) {
	for i := 0; i+1 < len(service.Content); i += 2 {
		if service.Content[i].Value != "configs" {
			continue
		}
		for _, c := range service.Content[i+1].Content {
			c.Content = append(c.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: "mode"}, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: "0444"})
		}
	}
}

// at is the value of a key that is there: a test holds the file to it.
func at(mapping *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return mapping.Content[i+1]
		}
	}
	panic(fmt.Sprintf("deploy: %s: no key %s at line %d", Compose, key, mapping.Line))
}

func pair(key, value string, style yaml.Style) []*yaml.Node {
	return []*yaml.Node{{Kind: yaml.ScalarNode, Value: key}, {Kind: yaml.ScalarNode, Tag: "!!str", Value: value, Style: style}}
}
