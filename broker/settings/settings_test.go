package settings

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestTableIsSortedAndItsDefaultsLegal(t *testing.T) {
	if !slices.IsSortedFunc(table, func(a, b Spec) int { return strings.Compare(a.Name, b.Name) }) {
		for i := 1; i < len(table); i++ {
			if table[i-1].Name >= table[i].Name {
				t.Errorf("%s stands before %s", table[i-1].Name, table[i].Name)
			}
		}
	}
	for _, s := range table {
		if err := s.Check(s.Default); err != nil {
			t.Error(err)
		}
		if len(s.Doc) < 20 {
			t.Errorf("%s: its doc does not say who would change it and when", s.Name)
		}
		if name := Environment([]string{s.EnvName() + "=x"}).Values[s.Name]; name != "x" {
			t.Errorf("%s does not survive the environment", s.Name)
		}
	}
}

func TestPrecedenceAndSuggestions(t *testing.T) {
	path := filepath.Join(t.TempDir(), "firn.yaml")
	if err := os.WriteFile(path, []byte("num:\n  partitions: 3\nnode.id: 7\nlog:\n  retention.ms: 5\njoin: [a:1, b:2]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := File(path)
	if err != nil {
		t.Fatal(err)
	}
	v, err := New(Source{"flag", map[string]string{"node.id": "1"}}, Environment([]string{"FIRN_NUM_PARTITIONS=9", "PATH=x"}), file)
	if err != nil {
		t.Fatal(err)
	}
	if v.Int("node.id") != 1 || v.Int("num.partitions") != 9 || v.Int("log.retention.ms") != 5 || v.Get("join") != "a:1,b:2" || v.Get("http") != "127.0.0.1:8080" {
		t.Fatalf("%+v", v.set)
	}
	for _, c := range []struct{ name, value, want string }{
		{"num.partition", "1", `did you mean "num.partitions"?`},
		{"log.retention.ms", "soon", "want a number from -1"},
		{"auto.create.topics.enable", "perhaps", "want true or false"},
		{"log.format", "xml", "one of json, text"},
	} {
		if _, err := New(Source{"flag", map[string]string{c.name: c.value}}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s=%s: %v, want %q in it", c.name, c.value, err, c.want)
		}
	}
}
