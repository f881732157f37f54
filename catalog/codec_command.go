package catalog

import "fmt"

// entryVersion 2 has tips. Entries of version 1, which has none, are read.
const entryVersion = 2

// EncodeCommands is the commands part of a journal entry: a version byte, the
// number of commands, and for each its kind and fields.
func EncodeCommands(cmds []Command) []byte {
	e := encoder{b: []byte{entryVersion}}
	e.u(uint64(len(cmds)))
	for _, c := range cmds {
		e.byte(byte(c.kind()))
		c.encode(&e)
	}
	return e.b
}

// DecodeCommands reads what EncodeCommands wrote. It fails on a kind that it does
// not know: a broker that cannot follow the journal must stop (ErrVersion).
func DecodeCommands(b []byte) ([]Command, error) {
	d := decoder{b: b}
	if d.version = d.byte(); d.err == nil && (d.version == 0 || d.version > entryVersion) {
		return nil, fmt.Errorf("journal entry: %w: version %d, this program knows up to %d", ErrVersion, d.version, entryVersion)
	}
	n := d.count(1)
	cmds := make([]Command, 0, min(n, 1024)) // a count that lies costs nothing
	for len(cmds) < n {
		k := kind(d.byte())
		c := newCommand(k)
		if d.err != nil {
			return nil, d.err
		}
		if c == nil {
			return nil, fmt.Errorf("journal entry: %w: command kind %d is of a version that is newer, this program knows kinds up to %d", ErrVersion, k, kindGiveUp)
		}
		c.decode(&d)
		cmds = append(cmds, c)
	}
	if d.err == nil && len(d.b) > 0 {
		d.fail("bytes are left over")
	}
	return cmds, d.err
}

func (c *CreateCluster) encode(e *encoder) { e.string(c.ID) }
func (c *CreateCluster) decode(d *decoder) { c.ID = d.string() }

func (c *RegisterSession) encode(e *encoder) {
	e.raw(c.Nonce)
	e.i(int64(c.Node))
	e.string(c.Advertised)
	e.string(c.Gossip)
	e.string(c.Rack)
	e.i(c.StartedMs)
}

func (c *RegisterSession) decode(d *decoder) {
	c.Nonce, c.Node = d.raw(), int32(d.i())
	c.Advertised, c.Gossip, c.Rack = d.string(), d.string(), d.string()
	c.StartedMs = d.i()
}

func (c *SealSession) encode(e *encoder) {
	e.u(c.Session)
	e.u(c.Covered)
	e.u(c.Fence)
	e.located(c.Extents)
	e.tips(c.Tips)
}

func (c *SealSession) decode(d *decoder) {
	c.Session, c.Covered, c.Fence = d.u(), d.u(), d.u()
	c.Extents, c.Tips = d.located(), d.tips()
}

func (c *SweepSession) encode(e *encoder)  { e.u(c.Session) }
func (c *SweepSession) decode(d *decoder)  { c.Session = d.u() }
func (c *ForgetSession) encode(e *encoder) { e.u(c.Session) }
func (c *ForgetSession) decode(d *decoder) { c.Session = d.u() }

func (c *CreateTopic) encode(e *encoder) {
	e.string(c.Name)
	e.raw(c.ID)
	e.i(int64(c.Replicas))
	e.configs(c.Configs)
	e.ids(c.Owners)
	e.bool(c.Internal)
}

func (c *CreateTopic) decode(d *decoder) {
	c.Name, c.ID, c.Replicas = d.string(), d.raw(), int16(d.i())
	c.Configs, c.Owners, c.Internal = d.configs(), d.ids(), d.bool()
}

func (c *DeleteTopic) encode(e *encoder) { e.raw(c.ID) }
func (c *DeleteTopic) decode(d *decoder) { c.ID = d.raw() }

func (c *AddPartitions) encode(e *encoder) { e.raw(c.ID); e.i(int64(c.From)); e.ids(c.Owners) }
func (c *AddPartitions) decode(d *decoder) { c.ID, c.From, c.Owners = d.raw(), int32(d.i()), d.ids() }

func (c *AlterTopic) encode(e *encoder) { e.raw(c.ID); e.bool(c.Replace); e.settings(c.Set) }
func (c *AlterTopic) decode(d *decoder) { c.ID, c.Replace, c.Set = d.raw(), d.bool(), d.settings() }

func (c *AlterBrokers) encode(e *encoder) { e.i(int64(c.Node)); e.bool(c.Replace); e.settings(c.Set) }
func (c *AlterBrokers) decode(d *decoder) {
	c.Node, c.Replace, c.Set = int32(d.i()), d.bool(), d.settings()
}

func (c *Take) encode(e *encoder) {
	e.u(c.Session)
	e.u(uint64(len(c.Items)))
	for _, it := range c.Items {
		e.partition(it.Partition)
		e.u(uint64(uint32(it.Epoch)))
		e.i(it.Start)
	}
}

func (c *Take) decode(d *decoder) {
	c.Session = d.u()
	c.Items = make([]TakeItem, d.count(19))
	for i := range c.Items {
		c.Items[i] = TakeItem{d.partition(), int32(d.u()), d.i()}
	}
}

func (c *Release) encode(e *encoder) {
	e.u(c.Session)
	e.u(uint64(len(c.Partitions)))
	for _, p := range c.Partitions {
		e.partition(p)
	}
	e.located(c.Extents)
	e.tips(c.Tips)
}

func (c *Release) decode(d *decoder) {
	c.Session = d.u()
	for range d.count(17) {
		c.Partitions = append(c.Partitions, d.partition())
	}
	c.Extents, c.Tips = d.located(), d.tips()
}

func (c *Move) encode(e *encoder) {
	e.u(c.Old)
	e.u(c.New)
	e.u(c.Covered)
	e.u(c.Fence)
	e.located(c.Extents)
	e.tips(c.Tips)
}

func (c *Move) decode(d *decoder) {
	c.Old, c.New, c.Covered, c.Fence = d.u(), d.u(), d.u(), d.u()
	c.Extents, c.Tips = d.located(), d.tips()
}

func (c *Cover) encode(e *encoder) { e.u(c.Session); e.u(c.From); e.u(c.To); e.located(c.Extents) }
func (c *Cover) decode(d *decoder) {
	c.Session, c.From, c.To, c.Extents = d.u(), d.u(), d.u(), d.located()
}

func (c *BeginJob) encode(e *encoder) { e.u(c.Session) }
func (c *BeginJob) decode(d *decoder) { c.Session = d.u() }

func (c *CommitJob) encode(e *encoder) {
	e.u(c.Job)
	e.u(c.From)
	e.u(c.To)
	e.located(c.Extents)
	e.u(uint64(len(c.Presses)))
	for _, p := range c.Presses {
		e.partition(p.Partition)
		e.line(p.Line)
	}
	e.refs(c.Objects)
	e.tips(c.Tips)
}

func (c *CommitJob) decode(d *decoder) {
	c.Job, c.From, c.To, c.Extents = d.u(), d.u(), d.u(), d.located()
	for range d.count(25) {
		c.Presses = append(c.Presses, Press{d.partition(), d.line()})
	}
	c.Objects, c.Tips = d.refs(), d.tips()
}

func (c *CancelJob) encode(e *encoder) { e.u(c.Job) }
func (c *CancelJob) decode(d *decoder) { c.Job = d.u() }

func (c *Trim) encode(e *encoder) {
	e.u(uint64(len(c.Items)))
	for _, it := range c.Items {
		e.partition(it.Partition)
		e.i(it.LogStart)
	}
}

func (c *Trim) decode(d *decoder) {
	c.Items = make([]TrimItem, d.count(18))
	for i := range c.Items {
		c.Items[i] = TrimItem{d.partition(), d.i()}
	}
}

func (c *Sweep) encode(e *encoder) { e.refs(c.Objects) }
func (c *Sweep) decode(d *decoder) { c.Objects = d.refs() }

func (c *ProducerIDs) encode(e *encoder) { e.i(int64(c.Count)) }
func (c *ProducerIDs) decode(d *decoder) { c.Count = int32(d.i()) }

func (c *GiveUp) encode(e *encoder) { e.u(c.Job); e.ref(c.Lost); e.located(c.Fillers) }
func (c *GiveUp) decode(d *decoder) { c.Job, c.Lost, c.Fillers = d.u(), d.ref(), d.located() }
