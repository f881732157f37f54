package settings

import (
	"fmt"
	"slices"
	"strings"

	"github.com/firnlog/firn/catalog"
)

// Spec is one row of the table.
type Spec struct {
	// ConfigSpec is name, type, default, bounds, and what the setting does.
	catalog.ConfigSpec
	// When says who changes it, and when.
	When string
	// Dynamic settings can be changed while the broker runs, by
	// IncrementalAlterConfigs on the broker or the cluster (KIP-226).
	Dynamic bool
	// Common settings are those that --help lists; the others are in `firn help
	// settings` and docs/configuration.md.
	Common bool
	// Alias is another, shorter name of the setting, good wherever the name is.
	Alias string
	// Secret settings may hold what must not be printed.
	Secret bool

	check func(string) error // nil: ConfigSpec.Check is all
}

// FlagName is the setting's name on the command line, without leading dashes.
func (s Spec) FlagName() string { return strings.ReplaceAll(s.Name, ".", "-") }

// Check says whether the value is legal. The error wraps catalog.ErrInvalidConfig
// and says what would be right.
func (s Spec) Check(value string) error {
	if err := s.ConfigSpec.Check(value); err != nil {
		return err
	}
	if s.check == nil || value == "" && s.Default == "" {
		return nil
	}
	if err := s.check(value); err != nil {
		if s.Secret {
			return fmt.Errorf("%w: invalid value for %s: %w", catalog.ErrInvalidConfig, s.Name, err)
		}
		return fmt.Errorf("%w: invalid value %q for %s: %w", catalog.ErrInvalidConfig, value, s.Name, err)
	}
	return nil
}

// All is the whole table, sorted by name. The slice must not be changed.
func All() []Spec { return table }

// Find returns a row by its dotted name.
func Find(name string) (Spec, bool) {
	i, ok := slices.BinarySearchFunc(table, name, func(s Spec, n string) int { return strings.Compare(s.Name, n) })
	if !ok {
		return Spec{}, false
	}
	return table[i], true
}

// canonical is the name of the setting that has this name or alias.
func canonical(name string) string {
	for _, s := range table {
		if s.Alias == name && name != "" {
			return s.Name
		}
	}
	return name
}
