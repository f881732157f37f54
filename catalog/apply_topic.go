package catalog

import (
	"fmt"
	"maps"
	"math"
	"strings"

	"github.com/firnlog/firn/record"
)

// MaxPartitions bounds the partitions of one topic.
const MaxPartitions = 1_000_000

// CheckTopicName says what is wrong with a topic's name; nil when it is legal.
func CheckTopicName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%w: it is empty", ErrInvalidTopic)
	case name == "." || name == "..":
		return fmt.Errorf("%w: %q cannot be a name", ErrInvalidTopic, name)
	case len(name) > 249:
		return fmt.Errorf("%w: %d characters, at most 249 are allowed", ErrInvalidTopic, len(name))
	}
	for _, c := range []byte(name) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '_', c == '-':
		default:
			return fmt.Errorf("%w: %q has a character other than letters, digits, '.', '_' and '-'", ErrInvalidTopic, name)
		}
	}
	return nil
}

// CheckNewTopic says whether a topic of that name can be created: the name is
// legal, free, and does not collide with another when '.' and '_' are taken for
// the same character, as Kafka's metric names do.
func (s *State) CheckNewTopic(name string) error {
	if err := CheckTopicName(name); err != nil {
		return err
	}
	if _, ok := s.names.get(name); ok {
		return ErrExists
	}
	if strings.ContainsAny(name, "._") {
		key := strings.ReplaceAll(name, ".", "_")
		for n := range s.names.all() {
			if len(n) == len(name) && strings.ReplaceAll(n, ".", "_") == key {
				return fmt.Errorf("%w: %q collides with %q ('.' and '_' are the same in metric names)", ErrInvalidTopic, name, n)
			}
		}
	}
	return nil
}

func (c *CreateTopic) apply(s *State, _ position) (Result, error) {
	if err := s.CheckNewTopic(c.Name); err != nil {
		return Result{}, err
	}
	if len(c.Owners) == 0 || len(c.Owners) > MaxPartitions {
		return Result{}, fmt.Errorf("%w: %d", ErrInvalidParts, len(c.Owners))
	}
	if _, ok := s.topics.get(c.ID); ok || c.ID.IsZero() {
		return Result{}, ErrExists
	}
	t := &Topic{owner: s.edit, ID: c.ID, Name: c.Name, Replicas: c.Replicas, Configs: maps.Clone(c.Configs), Internal: c.Internal}
	s.grow(t, c.Owners)
	s.topics.set(s.edit, c.ID, t)
	s.names.set(s.edit, c.Name, c.ID)
	return Result{}, nil
}

func (s *State) grow(t *Topic, owners []uint64) {
	for _, o := range owners {
		if _, err := s.live(o); err != nil {
			o = 0
		}
		s.count(o, 1)
		t.Partitions = append(t.Partitions, &Partition{
			edit: s.edit, ID: record.Partition{Topic: t.ID, Index: int32(len(t.Partitions))},
			Owner: o, Epochs: []EpochStart{{0, 0}},
		})
	}
}

func (c *DeleteTopic) apply(s *State, _ position) (Result, error) {
	t, ok := s.topics.get(c.ID)
	if !ok {
		return Result{}, ErrNoTopic
	}
	for _, p := range t.Partitions {
		s.drop(p, math.MaxInt64)
		s.count(p.Owner, -1)
	}
	s.topics.del(s.edit, c.ID)
	s.names.del(s.edit, t.Name)
	return Result{}, nil
}

func (c *AddPartitions) apply(s *State, _ position) (Result, error) {
	t, ok := s.topics.get(c.ID)
	if !ok {
		return Result{}, ErrNoTopic
	}
	if int(c.From) != len(t.Partitions) {
		return Result{}, ErrStale
	}
	if len(c.Owners) == 0 || len(t.Partitions)+len(c.Owners) > MaxPartitions {
		return Result{}, ErrInvalidParts
	}
	s.grow(s.mutTopic(c.ID), c.Owners)
	return Result{}, nil
}

func (c *AlterTopic) apply(s *State, _ position) (Result, error) {
	t := s.mutTopic(c.ID)
	if t == nil {
		return Result{}, ErrNoTopic
	}
	configs := map[string]string{}
	if !c.Replace {
		maps.Copy(configs, t.Configs)
	}
	for name, v := range c.Set {
		if v == nil {
			delete(configs, name)
		} else {
			configs[name] = *v
		}
	}
	t.Configs = configs
	return Result{}, nil
}
