package main

import "github.com/spf13/cobra"

// newGroups groups what is done to consumer groups.
func newGroups(g *globals) *cobra.Command {
	return newGroup("group", "List, describe, move and delete consumer groups",
		groupList(g), groupDescribe(g), groupSeek(g), groupDelete(g))
}
