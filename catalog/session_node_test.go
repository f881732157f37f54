package catalog

import "testing"

// TestBrokersThatStartTogetherGetDifferentNodeIDs: a session that asks for none gets
// the lowest id that no session has, those of brokers among them that were killed and come
// back in a moment with what their folders remember.
func TestBrokersThatStartTogetherGetDifferentNodeIDs(t *testing.T) {
	s, number := NewState(), uint64(0)
	commit := func(cmd Command) Result {
		number++
		results := s.Apply(number, []Command{cmd})
		if results[0].Err != nil {
			t.Fatal(results[0].Err)
		}
		return results[0]
	}
	commit(&CreateCluster{ID: "c"})
	node := func(r Result) int32 { v, _ := s.Session(r.ID); return v.Node }
	first := commit(&RegisterSession{Nonce: [16]byte{1}, Node: -1})
	set := commit(&RegisterSession{Nonce: [16]byte{2}, Node: 2})
	third := commit(&RegisterSession{Nonce: [16]byte{3}, Node: -1})
	if a, b, c := node(first), node(set), node(third); a != 1 || b != 2 || c != 3 {
		t.Fatalf("nodes %d, %d, %d, want 1, 2, 3", a, b, c)
	}
	commit(&SealSession{Session: first.ID})
	if n := node(commit(&RegisterSession{Nonce: [16]byte{4}, Node: -1})); n != 4 {
		t.Fatalf("node %d, want 4: that of 1 may come back", n)
	}
	commit(&SweepSession{Session: first.ID})
	commit(&ForgetSession{Session: first.ID})
	if n := node(commit(&RegisterSession{Nonce: [16]byte{5}, Node: -1})); n != 1 {
		t.Fatalf("node %d, want 1: its former broker is forgotten", n)
	}
}
