package pump

import "github.com/firnlog/firn/record"

// Led returns the partitions that this broker leads, in no particular order.
func (p *Pump) Led() []record.Partition {
	var out []record.Partition
	p.board.entries.Range(func(k, _ any) bool {
		out = append(out, k.(record.Partition))
		return true
	})
	return out
}
