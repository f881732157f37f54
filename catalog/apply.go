package catalog

// Apply applies one journal entry: its commands in order, each accepted or
// rejected on its own. It changes s, which must be a Clone (or the NewState) that
// nobody else reads. The entry must be the next one: anything else is a fault of
// the journal and panics.
func (s *State) Apply(number uint64, cmds []Command) []Result {
	if number != s.number+1 {
		panic("catalog: entries are applied in order, without gaps")
	}
	s.number = number
	s.registered = false
	results := make([]Result, len(cmds))
	for i, c := range cmds {
		if s.clusterID == "" {
			if _, ok := c.(*CreateCluster); !ok {
				results[i] = Result{Err: ErrStale}
				continue
			}
		}
		r, err := c.apply(s, position{number, i})
		if err != nil {
			r = Result{Err: err}
		}
		results[i] = r
	}
	return results
}

func (c *CreateCluster) apply(s *State, _ position) (Result, error) {
	if s.clusterID != "" || c.ID == "" {
		return Result{}, ErrExists
	}
	s.clusterID = c.ID
	return Result{}, nil
}

func (c *ProducerIDs) apply(s *State, _ position) (Result, error) {
	if c.Count <= 0 {
		return Result{}, ErrInvalidOffset
	}
	first := s.nextProducerID
	s.nextProducerID += int64(c.Count)
	return Result{ID: uint64(first)}, nil
}

func (c *AlterBrokers) apply(s *State, _ position) (Result, error) {
	if c.Replace {
		for name := range s.BrokerConfigs(c.Node) {
			s.brokerConfigs.del(s.edit, brokerConfigKey(c.Node, name))
		}
	}
	for name, v := range c.Set {
		if v == nil {
			s.brokerConfigs.del(s.edit, brokerConfigKey(c.Node, name))
		} else {
			s.brokerConfigs.set(s.edit, brokerConfigKey(c.Node, name), *v)
		}
	}
	return Result{}, nil
}
