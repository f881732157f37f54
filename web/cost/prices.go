package cost

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"

	"go.yaml.in/yaml/v3"
)

//go:embed prices.yaml
var builtin []byte

// Builtin is the default table as a YAML file, to begin one's own with.
func Builtin() []byte { return builtin }

// Prices are what a bucket's owner bills.
type Prices struct {
	Name     string `yaml:"name"`
	AsOf     string `yaml:"as_of"`
	Source   string `yaml:"source"`
	Currency string `yaml:"currency"`
	// Requests is the price of 1,000 requests, by operation: put, get, stat, list,
	// delete.
	Requests map[string]float64 `yaml:"per_1000_requests"`
	// Stored are the prices of a GiB for a month, the first GiB first.
	Stored []Step `yaml:"per_gib_month"`
	// Moved is the price of a GiB sent (put) or received (get).
	Moved map[string]float64 `yaml:"per_gib_moved"`
}

// Step is the price of some of what is stored.
type Step struct {
	GiB   float64 `yaml:"gib"` // 0: all the rest
	Price float64 `yaml:"price"`
}

// operations are those that a price can be named for.
var operations = []string{"put", "get", "stat", "list", "delete"}

// ParsePrices reads a table. Nil is the default one. What is missing costs nothing;
// what is misspelt is an error.
func ParsePrices(text []byte) (*Prices, error) {
	if text == nil {
		text = builtin
	}
	p := &Prices{}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(p); err != nil {
		return nil, fmt.Errorf("prices: %w", err)
	}
	return p, p.check()
}

func (p *Prices) check() error {
	if p.Name == "" || p.Currency == "" {
		return errors.New("prices: name and currency say what the table is: neither may be empty")
	}
	for key, m := range map[string]map[string]float64{"per_1000_requests": p.Requests, "per_gib_moved": p.Moved} {
		for op, price := range m {
			if key == "per_gib_moved" && op != "put" && op != "get" || !known(op) {
				return fmt.Errorf("prices: %s: unknown operation %q", key, op)
			}
			if price < 0 {
				return fmt.Errorf("prices: %s: %s costs %v: want 0 or more", key, op, price)
			}
		}
	}
	for i, s := range p.Stored {
		if s.Price < 0 || s.GiB < 0 || s.GiB == 0 && i < len(p.Stored)-1 {
			return fmt.Errorf("prices: per_gib_month: entry %d: want gib (none in the last entry only) and a price of 0 or more", i+1)
		}
	}
	return nil
}

func known(op string) bool {
	for _, o := range operations {
		if o == op {
			return true
		}
	}
	return false
}

// storage is the price of so much stored for a month. What lies beyond the last
// step has its price.
func (p *Prices) storage(gib float64) float64 {
	sum := 0.0
	for i, s := range p.Stored {
		n := gib
		if s.GiB > 0 && i < len(p.Stored)-1 {
			n = min(gib, s.GiB)
		}
		sum += n * s.Price
		gib -= n
	}
	return sum
}
