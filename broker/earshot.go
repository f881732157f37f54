package broker

import "github.com/firnlog/firn/catalog"

// deafAfter is for how many seconds a broker may answer that gossip does not hear of: one
// that starts is in the bucket before everybody has met it.
const deafAfter = 10

// earshot counts, by session, for how many looks a broker has answered that gossip does not
// hear of.
type earshot map[uint64]int

// notice takes one look, a second after the last: at the sessions, of which silent are those
// whose brokers did not answer. It returns those that are to be told of now, once each:
// nothing is wrong with them but that work is shared by gossip, and nobody else would say so.
func (e earshot) notice(sessions []*catalog.Session, self int32, hears func(*catalog.Session) bool, silent map[uint64]int) []*catalog.Session {
	var deaf []*catalog.Session
	for _, v := range sessions {
		if v.Sealed || v.Node == self || silent[v.ID] > 0 || hears(v) {
			delete(e, v.ID)
			continue
		}
		if e[v.ID]++; e[v.ID] == deafAfter {
			deaf = append(deaf, v)
		}
	}
	return deaf
}
