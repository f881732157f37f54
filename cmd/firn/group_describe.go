package main

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

type groupDescription struct {
	Group       string         `json:"group"`
	State       string         `json:"state"`
	Protocol    string         `json:"protocol"`
	Coordinator int32          `json:"coordinator"`
	Lag         int64          `json:"lag"`
	Members     []memberLine   `json:"members"`
	Partitions  []groupLagLine `json:"partitions"`
	Error       string         `json:"error,omitempty"`
}

type memberLine struct {
	Member   string  `json:"member"`
	Instance *string `json:"instance"`
	Client   string  `json:"client"`
	Host     string  `json:"host"`
}

type groupLagLine struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Committed int64  `json:"committed"` // -1 for none
	End       int64  `json:"end"`
	Lag       int64  `json:"lag"` // -1 when it is not known
	Member    string `json:"member"`
	Client    string `json:"client"`
	Error     string `json:"error,omitempty"`
}

// groupDescribe shows how far behind groups are, and who reads what. A group that
// nobody knows is an error.
func groupDescribe(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:               "describe GROUP...",
		Short:             "Show members and lag of groups",
		Args:              someArgs("the name of at least one group"),
		ValidArgsFunction: completeGroups(g),
		RunE: func(cmd *cobra.Command, args []string) error {
			out := []groupDescription{}
			failed := false
			err := g.admin(cmd.Context(), func(ctx context.Context, adm *kadm.Client) error {
				lags, err := adm.Lag(ctx, args...)
				if err != nil {
					return err
				}
				for _, l := range lags.Sorted() {
					d := describeGroup(l)
					failed = failed || d.Error != ""
					out = append(out, d)
				}
				return nil
			})
			if err != nil {
				return err
			}
			err = g.print(cmd, out, func(t *table) {
				for i, d := range out {
					if i > 0 {
						t.row()
					}
					d.print(t)
				}
			})
			if err == nil && failed {
				err = &exit{code: exitError}
			}
			return err
		},
	}
}

func describeGroup(l kadm.DescribedGroupLag) groupDescription {
	d := groupDescription{
		Group: l.Group, State: l.State, Protocol: l.Protocol, Coordinator: l.Coordinator.NodeID,
		Members: []memberLine{}, Partitions: []groupLagLine{},
	}
	switch err := l.Error(); {
	case err != nil:
		d.Error = err.Error()
	case l.State == "Dead" && len(l.Lag) == 0:
		d.Error = "no such group (`firn group list` shows what there is)"
	}
	for _, m := range l.Members {
		d.Members = append(d.Members, memberLine{m.MemberID, m.InstanceID, m.ClientID, m.ClientHost})
	}
	for _, p := range l.Lag.Sorted() {
		line := groupLagLine{Topic: p.Topic, Partition: p.Partition, Committed: p.Commit.At, End: p.End.Offset, Lag: p.Lag}
		if p.Member != nil {
			line.Member, line.Client = p.Member.MemberID, p.Member.ClientID
		}
		if p.Err != nil {
			line.Error = p.Err.Error()
		} else {
			d.Lag += max(p.Lag, 0)
		}
		d.Partitions = append(d.Partitions, line)
	}
	return d
}

func (d groupDescription) print(t *table) {
	t.row("GROUP", d.Group)
	if d.Error != "" {
		t.row("ERROR", d.Error)
		return
	}
	t.row("STATE", d.State)
	t.row("COORDINATOR", d.Coordinator)
	t.row("MEMBERS", len(d.Members))
	t.row("LAG", d.Lag)
	if len(d.Partitions) == 0 {
		return
	}
	dash := func(n int64) any {
		if n < 0 {
			return "-"
		}
		return n
	}
	t.row()
	head := []any{"TOPIC", "PARTITION", "COMMITTED", "END", "LAG", "CLIENT"}
	if t.Wide {
		head = append(head, "MEMBER")
	}
	t.row(head...)
	for _, p := range d.Partitions {
		cells := []any{p.Topic, p.Partition, dash(p.Committed), dash(p.End), dash(p.Lag), orDash(p.Client)}
		if t.Wide {
			cells = append(cells, orDash(p.Member))
		}
		if p.Error != "" {
			cells = append(cells, p.Error)
		}
		t.row(cells...)
	}
}
