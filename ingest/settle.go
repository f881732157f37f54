package ingest

// Answer is what came back from one attempt to put or to read.
type Answer uint8

// Answers of a store.
const (
	Created  Answer = iota // 200 for a put
	Exists                 // 412 for a put
	Conflict               // 409: nothing was decided
	Unknown                // timeout, reset, 5xx: may have been applied, or will be
	Denied                 // 401, 403: this attempt was not applied, an earlier one may have been
	Absent                 // 404 for a read
	Found                  // 200 for a read
)

// Owner says whose object a read has found in a slot.
type Owner uint8

// Owners of what is in a slot.
const (
	Nobody   Owner = iota
	Ours           // our nonce, and the checksum of the bytes that we put
	AFence         // a fence, whoever put it
	Stranger       // anything else
)

// Outcome is what became of a slot.
type Outcome uint8

// Outcomes of Settle.
const (
	Undecided Outcome = iota
	Mine              // our bytes are in the slot, for ever
	Fenced            // the session ends here
	Foreign           // see ErrForeign
)

// String names the outcome for logs.
func (o Outcome) String() string {
	return [...]string{"undecided", "mine", "fenced", "foreign"}[o]
}

// Act is what to do next about a put that is not decided.
type Act uint8

// Acts of Settle.
const (
	Done Act = iota // nothing: the outcome is known
	Send            // send the same bytes again, after a pause (S2)
	Look            // read the object that is in the slot
)

// Settle decides what an answer to a put of a slot, or to the read that followed
// one, means (S3). It is the whole of the loop: an outcome when the act is Done,
// and Undecided otherwise. Nothing but a definite answer ends it: neither the
// number of attempts nor time, and a 404 proves nothing.
func Settle(a Answer, who Owner) (Act, Outcome) {
	switch a {
	case Created:
		return Done, Mine
	case Exists:
		return Look, Undecided
	case Found:
		switch who {
		case Ours:
			return Done, Mine
		case AFence:
			return Done, Fenced
		default:
			return Done, Foreign
		}
	}
	return Send, Undecided
}
