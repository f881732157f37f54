package doctor

// promises say what a log loses when a store does not keep what a check tries.
var promises = map[string]string{
	"may put":                  "Every acknowledged record is a put.",
	"may get":                  "History, and the state of a broker that starts, are read from the bucket.",
	"may list":                 "A broker that starts finds the end of the journal by a list.",
	"may delete":               "What retention drops and compaction replaces is deleted.",
	"refuses a second put":     "A name is bound to one object for ever: it is how two brokers cannot both own a partition.",
	"stores whole bodies":      "A broker may die in the middle of a put. What it has sent of it is no object.",
	"reads after a write":      "Who takes over a partition must see what was acknowledged a moment ago.",
	"lists after a write":      "A broker that starts must not start in the past.",
	"reads ranges":             "Footers and single runs are read out of large objects.",
	"deletes":                  "What is deleted is gone, and a new object is not confused with it.",
	"one winner, small bodies": "Of all brokers that race for a name at most one is told that it won.",
	"one winner, large bodies": "The same while bodies are still on their way.",
	"clock":                    "Requests are signed with the time; retention by time is as right as the clock.",
	Latency:                    "An acknowledgement takes one put.",
	"keeps what it took":       "An acknowledged put stays.",
	"the bucket's own rules":   "Nobody but Firn deletes what Firn has put.",
	"cleans up":                "The examination leaves nothing behind.",
}
