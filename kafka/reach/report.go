package reach

// Check is one step at one address.
type Check struct {
	// Address is HOST:PORT, and Of says whose: bootstrap, or node 3.
	Address string `json:"address"`
	Of      string `json:"of"`
	Step    string `json:"step"`
	OK      bool   `json:"ok"`
	Detail  string `json:"detail"`
	Advice  string `json:"advice,omitempty"` // what it means and what to do; empty when OK
}

// Report is an examination.
type Report struct {
	Cluster string  `json:"cluster,omitempty"` // its id, as far as somebody told it
	Brokers int     `json:"brokers"`           // that the cluster says it has
	Checks  []Check `json:"checks"`
}

// OK reports whether every step worked.
func (r Report) OK() bool {
	for _, c := range r.Checks {
		if !c.OK {
			return false
		}
	}
	return len(r.Checks) > 0
}
