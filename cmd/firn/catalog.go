package main

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/firnlog/firn/catalog"
	"github.com/firnlog/firn/catalog/journal"
	"github.com/firnlog/firn/tier/cold"
)

func newCatalog(g *globals) *cobra.Command {
	return newGroup("catalog", "Look at what the brokers have agreed on, in the bucket", catalogCheck(g), catalogDump(g), catalogHistory(g), catalogRecover(g))
}

// checked is the answer of firn catalog check.
type checked struct {
	Cluster    string   `json:"cluster"`
	Entry      uint64   `json:"entry"`   // the newest of the journal
	Applied    int      `json:"applied"` // entries behind the snapshot that it starts from
	Topics     int      `json:"topics"`
	Partitions int      `json:"partitions"`
	Sessions   int      `json:"sessions"`
	Live       int      `json:"live"`
	Findings   []string `json:"findings"`
}

func catalogCheck(g *globals) *cobra.Command {
	var store string
	cmd := &cobra.Command{
		Use:   "check --store URL",
		Short: "Read the catalog as a broker does that starts, and check every invariant",
		Long: `Read the newest snapshot and every journal entry behind it, as a broker does that
starts, and hold the state to every invariant that the brokers rely on. Exit code 3
when one does not hold, 1 when the catalog cannot be read. "firn object verify" reads
the objects as well.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withStore(cmd.Context(), store, func(s cold.Store) error {
				r := journal.NewReader(s)
				c := checked{Findings: []string{}}
				if err := r.Catchup(cmd.Context(), func(journal.Entry, []catalog.Result) { c.Applied++ }); err != nil {
					return err
				}
				state := r.State()
				if state.Number() == 0 {
					return errNoCluster
				}
				if err := r.Complete(cmd.Context()); err != nil {
					return err
				}
				state = r.State()
				c.Cluster, c.Entry, c.Partitions = state.ClusterID(), state.Number(), state.PartitionCount()
				c.Topics = len(state.Topics())
				for _, x := range state.Sessions() {
					c.Sessions++
					if !x.Sealed {
						c.Live++
					}
				}
				for _, err := range state.Check() {
					c.Findings = append(c.Findings, err.Error())
				}
				err := g.print(cmd, c, func(t *table) {
					for _, f := range c.Findings {
						t.row(f)
					}
					t.row(fmt.Sprintf("cluster %s, journal entry %d (%d behind the snapshot): %d topics, %d partitions, %d sessions, %d of them live: %s",
						c.Cluster, c.Entry, c.Applied, c.Topics, c.Partitions, c.Sessions, c.Live, verdict(len(c.Findings))))
				})
				if err == nil && len(c.Findings) > 0 {
					err = &exit{code: exitProblem}
				}
				return err
			})
		},
	}
	storeFlag(cmd, &store)
	return cmd
}

func verdict(findings int) string {
	if findings == 0 {
		return "no findings"
	}
	return counted(int64(findings), "finding")
}

// entryAt is an entry of the journal in a history.
type entryAt struct {
	entryLine
	Put time.Time `json:"put"` // by the store's clock
}

func catalogHistory(g *globals) *cobra.Command {
	var store string
	var from, to uint64
	cmd := &cobra.Command{
		Use:   "history --store URL",
		Short: "List the journal: what was agreed on, when, by whom",
		Long: `List the entries of the journal that the bucket still holds, the oldest first, a line
for each command. Entries that a snapshot has replaced are deleted after a while. An
entry may hold commands that the state rejected: of brokers that raced, one won.

A session is called by the number of the entry that registered it. Ids of topics are
hexadecimal, as firn catalog dump --json tells them too; firn topic describe and Kafka's
tools write the same bytes in base64.`,
		Example: `  firn catalog history --store 's3://bucket/prefix' --from 1200
  firn catalog history --store file:///tmp/bucket --json | jq '.[] | select(.commands[] | contains("CreateTopic"))'`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if to > 0 && from > to {
				return usage("--from %d is behind --to %d", from, to)
			}
			return withStore(cmd.Context(), store, func(s cold.Store) error {
				list, err := entriesAt(cmd.Context(), s, from, to)
				if err != nil {
					return err
				}
				return g.print(cmd, list, func(t *table) {
					t.row("ENTRY", "PUT", "WRITER", "COMMAND")
					for _, e := range list {
						for _, c := range e.Commands {
							t.row(e.Entry, e.Put.UTC().Format(time.RFC3339), e.Writer[:8], c)
						}
					}
				})
			})
		},
	}
	storeFlag(cmd, &store)
	cmd.Flags().Uint64Var(&from, "from", 0, "number of the first entry")
	cmd.Flags().Uint64Var(&to, "to", 0, "number of the last entry; 0 is the newest")
	return cmd
}

// entriesAt reads the entries that are there. LIST is good enough for people: nothing
// is decided by it.
func entriesAt(ctx context.Context, s cold.Store, from, to uint64) ([]entryAt, error) {
	list := []entryAt{}
	for info, err := range s.List(ctx, journal.PrefixEntries, "") {
		if err != nil {
			return nil, err
		}
		n, err := strconv.ParseUint(strings.TrimPrefix(info.Name, journal.PrefixEntries), 10, 64)
		if err != nil || n < from || to > 0 && n > to {
			continue
		}
		list = append(list, entryAt{entryLine{Entry: n}, info.Modified})
	}
	slices.SortFunc(list, func(a, b entryAt) int { return cmp.Compare(a.Entry, b.Entry) })
	read := list[:0]
	for _, l := range list {
		e, err := journal.ReadEntry(ctx, s, l.Entry)
		if errors.Is(err, cold.ErrNotFound) {
			continue // deleted since it was listed
		}
		if err != nil {
			return nil, err
		}
		l.Writer = hex.EncodeToString(e.Writer[:])
		for _, c := range e.Commands {
			l.Commands = append(l.Commands, catalog.Describe(c))
		}
		read = append(read, l)
	}
	return read, nil
}
