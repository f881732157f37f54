package broker

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"sync/atomic"

	"github.com/firnlog/firn/broker/settings"
	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/catalog/journal"
	"github.com/firnlog/firn/kafka"
)

// config is kafka.Settings: what was given at the start, and what the catalog
// holds for this node and for all.
type config struct {
	journal *journal.Journal
	values  *settings.Values
	node    int32
	load    func() int64
	dynamic atomic.Pointer[dynamic]
}

// dynamic is what the catalog holds for this node, as of one state of it.
type dynamic struct {
	state  *catalog.State
	values map[string]string
}

var _ kafka.Settings = (*config)(nil)

// Setting implements kafka.Settings. The catalog's word counts more than the
// command line's, as Kafka's dynamic configs do (KIP-226).
func (c *config) Setting(name string) (string, bool) {
	state := c.journal.State()
	d := c.dynamic.Load()
	if d == nil || d.state != state {
		d = &dynamic{state, state.BrokerConfigs(-1)}
		maps.Copy(d.values, state.BrokerConfigs(c.node))
		c.dynamic.Store(d)
	}
	if v, ok := d.values[name]; ok {
		return v, true
	}
	return c.values.Lookup(name)
}

// List implements kafka.Settings.
func (c *config) List(_ context.Context, node int32) ([]kafka.Setting, error) {
	state := c.journal.State()
	if node == -1 {
		var out []kafka.Setting
		all := state.BrokerConfigs(-1)
		for _, s := range settings.All() {
			if v, ok := all[s.Name]; ok {
				out = append(out, kafka.Setting{Name: s.Name, Type: s.Type, Value: v, Default: s.Default, Source: kafka.SetForCluster, ReadOnly: !s.Dynamic, Doc: s.Doc})
			}
		}
		return out, nil
	}
	if node != c.node {
		return nil, fmt.Errorf("%w: this is node %d", kafka.ErrNoBroker, c.node)
	}
	mine, all := state.BrokerConfigs(node), state.BrokerConfigs(-1)
	out := make([]kafka.Setting, 0, len(settings.All()))
	for _, s := range settings.All() {
		x := kafka.Setting{Name: s.Name, Type: s.Type, Value: s.Default, Default: s.Default, Source: kafka.SetByDefault, ReadOnly: !s.Dynamic, Doc: s.Doc}
		// From the weakest to the strongest: each hides the one before.
		if v, ok := c.values.Lookup(s.Name); ok {
			x.Value, x.Source = v, kafka.SetAtStart
		}
		if v, ok := all[s.Name]; ok {
			hide(&x, v, kafka.SetForCluster)
		}
		if v, ok := mine[s.Name]; ok {
			hide(&x, v, kafka.SetForNode)
		}
		if s.Name == "node.id" {
			x.Value = fmt.Sprint(c.node)
		}
		out = append(out, x)
	}
	// Told where tools ask a broker about itself; Kafka's protocol has no other place.
	out = append(out, kafka.Setting{
		Name: LoadSetting, Type: catalog.TypeLong, Value: strconv.FormatInt(c.load(), 10), Default: "0", Source: kafka.SetByDefault, ReadOnly: true,
		Doc: "Not set but told: bytes per second that clients write and read at this broker, over the last ten seconds.",
	})
	return out, nil
}

// LoadSetting is the name under which a broker tells its load.
const LoadSetting = "broker.load"

// hide puts a stronger value before the one that holds.
func hide(x *kafka.Setting, v string, s kafka.SettingSource) {
	if x.Source != kafka.SetByDefault {
		x.Lower = append([]kafka.Lower{{Value: x.Value, Source: x.Source}}, x.Lower...)
	}
	x.Value, x.Source = v, s
}

// Alter implements kafka.Settings.
func (c *config) Alter(ctx context.Context, node int32, set map[string]*string, replace, validateOnly bool) error {
	for name, v := range set {
		s, ok := settings.Find(name)
		switch {
		case !ok && v == nil:
			delete(set, name) // it is not set, and never was: tools clear throttles that nobody set
		case !ok:
			return fmt.Errorf("%w: unknown broker config name: %s", catalog.ErrInvalidConfig, name)
		case !s.Dynamic:
			return fmt.Errorf("%w: %s cannot be changed while the broker runs", catalog.ErrInvalidConfig, name)
		case v != nil:
			if err := s.Check(*v); err != nil {
				return err
			}
		}
	}
	if validateOnly {
		return nil
	}
	r, err := c.journal.Commit(ctx, &catalog.AlterBrokers{Node: node, Replace: replace, Set: set})
	if err == nil {
		err = r[0].Err
	}
	if err != nil {
		return fmt.Errorf("alter broker configs: %w", err)
	}
	return nil
}
