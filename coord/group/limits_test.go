package group

import "testing"

// A consumer may be subscribed to thousands of topics by a pattern, and what it owns may
// name them all again, for each of its protocols.
func TestAMemberMayNameThousandsOfTopics(t *testing.T) {
	m := New(Config{}, func(prefix string) string { return prefix + "-1" })
	m.Loaded(1, 1)
	names := make([]byte, 2*5000*64)
	m.Join(1, 1, &JoinRequest{
		Group: "g", SessionTimeoutMs: 10_000, RebalanceTimeoutMs: 10_000, ProtocolType: consumers,
		Protocols: []Protocol{{"range", names}, {"cooperative-sticky", names}},
	}, "join")
	answers := m.Take().Answers
	if len(answers) != 1 || answers[0].Response.(JoinResponse).Err != nil {
		t.Errorf("joined: %+v", answers)
	}
}
