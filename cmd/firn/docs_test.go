package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Comments name points of the documents in docs, such as kafka.md 25 or protocol.md 3.6.
// Whoever looks one up finds it.
func TestWhatCommentsCiteIsThere(t *testing.T) {
	docs := os.DirFS("../../docs")
	cited := regexp.MustCompile(`//.*?\b([a-z-]+\.md)(?: (\d+(?:\.\d+)?))?`)
	heads := map[string]string{"kafka.md": `(?m)(^|\. )N\. `, "protocol.md": `(?m)^## N\. `}
	seen := 0
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range cited.FindAllStringSubmatch(string(text), -1) {
			seen++
			doc, err := fs.ReadFile(docs, m[1])
			if err != nil {
				t.Errorf("%s cites %s: %v", path, m[1], err)
				continue
			}
			point, _, _ := strings.Cut(m[2], ".")
			if head := heads[m[1]]; head != "" && point != "" && !regexp.MustCompile(strings.ReplaceAll(head, "N", point)).Match(doc) {
				t.Errorf("%s cites point %s of %s, which has none", path, point, m[1])
			}
		}
		return nil
	})
	if err != nil || seen < 50 {
		t.Errorf("%d citations found: %v", seen, err)
	}
}
