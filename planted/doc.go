// Package planted holds the ways to lose data that the tests must see. A usual build
// has none of them: Is is false, and the compiler drops what it guards. A build with
// the tag "planted" has the one that the linker was told:
//
//	go build -tags planted -ldflags "-X github.com/firnlog/firn/planted.bug=no-fence" ./cmd/firn
//
// docs/testing.md says which ring sees which.
package planted

// Bug names one of them.
type Bug string

// The bugs, each against the rule that it breaks.
const (
	AckBeforePut     Bug = "ack-before-put"       // P1: acks=all is answered when the offset is known
	TakenIsSuccess   Bug = "taken-is-success"     // S3: any 412 is our own success
	TimeoutIsSuccess Bug = "timeout-is-success"   // S3: a put without answer has landed
	AckOverGap       Bug = "ack-over-gap"         // S4: a slot is acknowledged before those below it are filled
	NoFence          Bug = "no-fence"             // S6: who takes over puts no fence
	SealNothing      Bug = "seal-nothing"         // S7: a seal describes nothing of what was committed
	ForgetProducers  Bug = "forget-producers"     // S8: who takes over knows no producers
	LeaveByTwo       Bug = "leave-by-two"         // S9: a broker leaves by two commands, of which one may be rejected
	NoDedupe         Bug = "no-dedupe"            // W6: a batch that was sent again is appended again
	FenceDeleted     Bug = "fence-deleted"        // S10: a session's fence goes with its slots
	SweepEarly       Bug = "sweep-early"          // S10: WAL objects go while extents lie in them
	AckUnsynced      Bug = "ack-unsynced"         // P2: acks=1 is answered when the hot tier has it, synced or not
	RestoreLate      Bug = "restore-late"         // P2: clients append before what acks=1 has acknowledged is restored
	ForgetLeftovers  Bug = "forget-leftovers"     // P2: what could not be restored is forgotten
	RetainEarly      Bug = "retain-early"         // retention.bytes is what may be left after a drop, not what must be
	DeleteUnheard    Bug = "delete-unheard"       // who leads a partition of a topic that is deleted goes on
	LeaseIgnored     Bug = "lease-ignored"        // S13: who does not reach the journal goes on serving
	OwnCalendar      Bug = "own-calendar"         // a machine's clock is believed, whatever the bucket's says
	TombstonesEarly  Bug = "tombstones-early"     // compaction drops what says that there is no value of a key
	NewestDropped    Bug = "newest-dropped"       // compaction drops the newest record of a key that has older ones
	JournalOverrun   Bug = "journal-last-to-come" // S11: an entry that somebody else has written is taken for ours
)

// All are the bugs.
var All = []Bug{
	AckBeforePut, TakenIsSuccess, TimeoutIsSuccess, AckOverGap, NoFence, SealNothing, ForgetProducers, LeaveByTwo, NoDedupe, FenceDeleted, SweepEarly,
	AckUnsynced, RestoreLate, ForgetLeftovers, RetainEarly, DeleteUnheard, LeaseIgnored, OwnCalendar,
	TombstonesEarly, NewestDropped, JournalOverrun,
}
