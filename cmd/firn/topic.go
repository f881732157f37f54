package main

import "github.com/spf13/cobra"

// newTopic groups what is done to topics.
func newTopic(g *globals) *cobra.Command {
	return newGroup("topic", "List, create, describe, change and delete topics",
		topicList(g), topicCreate(g), topicDescribe(g), topicAlter(g), topicAddPartitions(g), topicTrim(g), topicDelete(g), topicStorage(g))
}

// topicLine is one topic in a list.
type topicLine struct {
	Name       string `json:"name"`
	ID         string `json:"id"`
	Partitions int    `json:"partitions"`
	Replicas   int    `json:"replicas"`
	Internal   bool   `json:"internal"`
}
