package main

import (
	"strings"
	"testing"
)

// TestDevTakesOneStore refuses two, before it builds or starts anything.
func TestDevTakesOneStore(t *testing.T) {
	for _, args := range [][]string{
		{"dev", "--minio", "--memory"},
		{"dev", "--minio", "--store", "mem://"},
	} {
		var out, errOut lockedBuffer
		if code := run(t.Context(), args, strings.NewReader(""), &out, &errOut); code != exitUsage {
			t.Errorf("firn %s: exit %d\n%s", strings.Join(args, " "), code, errOut.String())
		}
		if !strings.Contains(errOut.String(), "exclude each other") {
			t.Errorf("firn %s: %s", strings.Join(args, " "), errOut.String())
		}
	}
}
