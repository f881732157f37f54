package catalog

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Describe is a command in one line, for people.
func Describe(c Command) string {
	switch c := c.(type) {
	case *CommitJob:
		return fmt.Sprintf("CommitJob job=%d slots=[%d,%d) extents=%d presses=%d objects=%d", c.Job, c.From, c.To, len(c.Extents), len(c.Presses), len(c.Objects))
	case *Cover:
		return fmt.Sprintf("Cover session=%d slots=[%d,%d) extents=%d", c.Session, c.From, c.To, len(c.Extents))
	case *SealSession:
		return fmt.Sprintf("SealSession session=%d fence=%d extents=%d", c.Session, c.Fence, len(c.Extents))
	case *Move:
		return fmt.Sprintf("Move old=%d new=%d fence=%d extents=%d", c.Old, c.New, c.Fence, len(c.Extents))
	case *Release:
		return fmt.Sprintf("Release session=%d partitions=%d extents=%d", c.Session, len(c.Partitions), len(c.Extents))
	case *Take:
		return fmt.Sprintf("Take session=%d partitions=%d", c.Session, len(c.Items))
	case *CreateTopic:
		return fmt.Sprintf("CreateTopic name=%s id=%s partitions=%d", c.Name, c.ID, len(c.Owners))
	case *RegisterSession:
		return fmt.Sprintf("RegisterSession node=%d kafka=%s rack=%q", c.Node, c.Advertised, c.Rack)
	case *GiveUp:
		offsets, partitions := int64(0), 0
		for i, x := range c.Fillers {
			offsets += x.Next - x.Base
			if i == 0 || x.Partition != c.Fillers[i-1].Partition {
				partitions++
			}
		}
		return fmt.Sprintf("GiveUp lost=%s job=%d partitions=%d runs=%d offsets=%d", c.Lost, c.Job, partitions, len(c.Fillers), offsets)
	case *Sweep:
		return fmt.Sprintf("Sweep objects=%d", len(c.Objects))
	case *Trim:
		return fmt.Sprintf("Trim partitions=%d", len(c.Items))
	case *CreateCluster:
		return "CreateCluster id=" + c.ID
	case *ForgetSession:
		return fmt.Sprintf("ForgetSession session=%d", c.Session)
	case *SweepSession:
		return fmt.Sprintf("SweepSession session=%d", c.Session)
	case *BeginJob:
		return fmt.Sprintf("BeginJob session=%d", c.Session)
	case *CancelJob:
		return fmt.Sprintf("CancelJob job=%d", c.Job)
	case *DeleteTopic:
		return fmt.Sprintf("DeleteTopic id=%s", c.ID)
	case *AddPartitions:
		return fmt.Sprintf("AddPartitions id=%s partitions=%d added=%d", c.ID, int(c.From)+len(c.Owners), len(c.Owners))
	case *ProducerIDs:
		return fmt.Sprintf("ProducerIDs count=%d", c.Count)
	case *AlterTopic:
		return fmt.Sprintf("AlterTopic id=%s%s", c.ID, describe(c.Replace, c.Set))
	case *AlterBrokers:
		return fmt.Sprintf("AlterBrokers node=%d%s", c.Node, describe(c.Replace, c.Set))
	}
	return fmt.Sprintf("%T", c)
}

// describe says what becomes of settings.
func describe(replace bool, set map[string]*string) string {
	var b strings.Builder
	if replace {
		b.WriteString(" reset the others")
	}
	for _, name := range slices.Sorted(maps.Keys(set)) {
		if v := set[name]; v != nil {
			fmt.Fprintf(&b, " %s=%q", name, *v)
		} else {
			fmt.Fprintf(&b, " reset %s", name)
		}
	}
	return b.String()
}
