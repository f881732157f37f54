package cost

import (
	"cmp"
	"slices"
)

// month is what a month is billed as, in seconds: 730 hours.
const month = 730 * 3600

const gib = 1 << 30

// Line is what a topic, or the cluster, does and costs in a month.
type Line struct {
	Topic     string  `json:"topic,omitempty"`
	Puts      float64 `json:"puts"`
	Gets      float64 `json:"gets"`
	StoredGiB float64 `json:"stored_gib"`
	PutCost   float64 `json:"put_cost"`
	GetCost   float64 `json:"get_cost"`
	// OtherCost is that of lists, stats and deletes, and of bytes moved.
	OtherCost  float64 `json:"other_cost"`
	StoredCost float64 `json:"stored_cost"`
	Cost       float64 `json:"cost"`
}

func (l *Line) add(m Line) {
	l.Puts += m.Puts
	l.Gets += m.Gets
	l.StoredGiB += m.StoredGiB
	l.PutCost += m.PutCost
	l.GetCost += m.GetCost
	l.OtherCost += m.OtherCost
	l.StoredCost += m.StoredCost
	l.Cost += m.Cost
}

// Bill is a month that goes on like the time that was measured.
type Bill struct {
	Prices   string  `json:"prices"`
	AsOf     string  `json:"as_of"`
	Currency string  `json:"currency"`
	Brokers  int     `json:"brokers"`
	Live     int     `json:"live_brokers"` // 0 when none of those asked knows
	Seconds  float64 `json:"measured_seconds"`
	// Topics are by cost, the dearest first.
	Topics []Line `json:"topics"`
	// Cluster is what no topic causes.
	Cluster Line `json:"cluster"`
	Total   Line `json:"total"`
	// SavedGets are the reads that the tiers before the bucket have answered, and
	// SavedCost is what as many GETs would have cost.
	SavedGets float64 `json:"saved_gets"`
	SavedCost float64 `json:"saved_cost"`
}

// Price makes a bill of a measurement.
func (m *Measurement) Price(p *Prices) Bill {
	b := Bill{Prices: p.Name, AsOf: p.AsOf, Currency: p.Currency, Brokers: m.Brokers, Live: m.Live, Seconds: m.Seconds, Topics: []Line{}}
	r := m.rates
	request := func(op string) float64 { return p.Requests[op] / 1000 }
	moved := func(op string) float64 { return p.Moved[op] / gib }

	// What is shared among topics, and what is the cluster's own.
	puts, gets := max(r.requests["put"]-r.journal, 0), min(r.readGets, r.requests["get"])
	produced, cold, stored := total(r.produced), total(r.cold), total(r.stored)
	dear := p.storage(stored / gib) // of everything: steps are for the whole bucket
	names := map[string]bool{}
	for _, set := range []map[string]float64{r.produced, r.cold, r.stored} {
		for name := range set {
			names[name] = true
		}
	}
	for name := range names {
		of := func(set map[string]float64, all float64) float64 {
			if all == 0 {
				return 0
			}
			return set[name] / all
		}
		wrote, read, holds := of(r.produced, produced), of(r.cold, cold), of(r.stored, stored)
		l := Line{Topic: name, Puts: wrote * puts * month, Gets: read * gets * month, StoredGiB: holds * stored / gib, StoredCost: holds * dear}
		l.PutCost, l.GetCost = l.Puts*request("put"), l.Gets*request("get")
		l.OtherCost = month * (wrote*r.moved["put"]*moved("put") + read*r.moved["get"]*moved("get"))
		l.Cost = l.PutCost + l.GetCost + l.OtherCost + l.StoredCost
		b.Topics = append(b.Topics, l)
		b.Total.add(l)
	}
	slices.SortFunc(b.Topics, func(x, y Line) int {
		return cmp.Or(cmp.Compare(y.Cost, x.Cost), cmp.Compare(x.Topic, y.Topic))
	})

	// The rest, by difference, so that the lines add up to what was measured.
	c := Line{Puts: r.requests["put"]*month - b.Total.Puts, Gets: r.requests["get"]*month - b.Total.Gets}
	c.PutCost, c.GetCost = c.Puts*request("put"), c.Gets*request("get")
	for _, op := range []string{"stat", "list", "delete"} {
		c.OtherCost += r.requests[op] * month * request(op)
	}
	c.OtherCost += month * (unshared(produced)*r.moved["put"]*moved("put") + unshared(cold)*r.moved["get"]*moved("get"))
	c.Cost = c.PutCost + c.GetCost + c.OtherCost
	b.Cluster = c
	b.Total.add(c)
	b.SavedGets = r.hits * month
	b.SavedCost = b.SavedGets * request("get")
	return b
}

// unshared is 1 when there is nobody to share among.
func unshared(all float64) float64 {
	if all == 0 {
		return 1
	}
	return 0
}

func total(set map[string]float64) float64 {
	n := 0.0
	for _, v := range set {
		n += v
	}
	return n
}
