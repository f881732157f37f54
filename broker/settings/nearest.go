package settings

import (
	"fmt"
	"iter"
	"strings"
)

// Nearest finds among candidates the name that was probably meant by one that
// does not exist; false when none is near enough to be worth a word.
func Nearest(name string, candidates iter.Seq[string]) (string, bool) {
	name = fold(name)
	best, least := "", min(max(2, len(name)/3), 6)+1
	for c := range candidates {
		if d := distance(name, fold(c)); d < least {
			best, least = c, d
		}
	}
	if best == "" && len(name) >= 4 {
		// A part of the name is a common slip too: retention.ms for log.retention.ms.
		for c := range candidates {
			if strings.HasSuffix(fold(c), "."+name) && (best == "" || len(c) < len(best)) {
				best = c
			}
		}
	}
	return best, best != ""
}

// fold makes names equal that differ in the ways that one setting is written.
func fold(name string) string {
	return strings.NewReplacer("-", ".", "_", ".").Replace(strings.ToLower(name))
}

// suggestion is the end of an error about an unknown setting.
func suggestion(name string) string {
	best, ok := Nearest(name, func(yield func(string) bool) {
		for _, s := range table {
			if !yield(s.Name) {
				return
			}
		}
	})
	if !ok {
		return "; `firn help settings` lists them all"
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
