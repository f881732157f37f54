package main

import (
	"fmt"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/firnlog/firn/replay/audit"
	"github.com/firnlog/firn/tier/cold"
)

func newObject(g *globals) *cobra.Command {
	return newGroup("object", "Look at the objects in the bucket", objectList(g), objectInspect(g), objectLocate(g), objectVerify(g), objectGiveUp(g))
}

func objectVerify(g *globals) *cobra.Command {
	var store string
	var parallel int
	cmd := &cobra.Command{
		Use:   "verify --store URL",
		Short: "Prove that everything acknowledged is in the bucket, whole and in order",
		Long: `Read the whole bucket and hold it to the catalog: every object there, every checksum
right, offsets contiguous from log start to end, none twice, groups loadable. It
works with and without brokers running. Exit code 3 when there is a finding.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := openBucket(cmd.Context(), store)
			if err != nil {
				return err
			}
			defer func() { _ = cold.Close(s) }() // nothing was written
			leanHeap()
			o := audit.Options{Parallel: parallel}
			if isTerminal(cmd.ErrOrStderr()) && !g.quiet {
				var bar *progressbar.ProgressBar
				o.Progress = func(done, total int) {
					if bar == nil {
						bar = progressbar.NewOptions(total, progressbar.OptionSetWriter(cmd.ErrOrStderr()), progressbar.OptionClearOnFinish(), progressbar.OptionSetDescription("objects"))
					}
					_ = bar.Set(done)
				}
			}
			began := time.Now()
			r, err := audit.Run(cmd.Context(), s, o)
			if err != nil {
				return err
			}
			err = g.print(cmd, r, func(t *table) {
				for _, f := range r.Findings {
					t.row(f.Where + ": " + f.What)
				}
				if t.Wide {
					for _, o := range r.Orphans {
						t.row(fmt.Sprintf("orphan %s: %d bytes, %v old: %s", o.Name, o.Size, o.Age, o.Why))
					}
				}
				t.row(fmt.Sprintf("verified %d objects, %d runs, %d records, %d bytes of %d partitions in %v: %s, %d orphans",
					r.Objects, r.Runs, r.Records, r.Bytes, r.Partitions, time.Since(began).Round(time.Millisecond), verdict(len(r.Findings)), len(r.Orphans)))
			})
			if err == nil && len(r.Findings) > 0 {
				err = &exit{code: exitProblem}
			}
			return err
		},
	}
	storeFlag(cmd, &store)
	cmd.Flags().IntVar(&parallel, "parallel", 8, "how many objects are read at once")
	return cmd
}
