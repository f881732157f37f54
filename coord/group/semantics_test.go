package group

import "testing"

func TestSemantic38MemberIDRequired(t *testing.T)   { transcript(t, "38_member_id") }
func TestSemantic38InitialDelay(t *testing.T)       { transcript(t, "38_initial_delay") }
func TestSemantic38Refusals(t *testing.T)           { transcript(t, "38_refusals") }
func TestSemantic39ProtocolVote(t *testing.T)       { transcript(t, "39_protocols") }
func TestSemantic39AnyProtocolType(t *testing.T)    { transcript(t, "39_types") }
func TestSemantic40StaticMemberRejoin(t *testing.T) { transcript(t, "40_static_rejoin") }
func TestSemantic40StaticMemberChanged(t *testing.T) {
	transcript(t, "40_static_changed")
}
func TestSemantic40FencedInstance(t *testing.T)    { transcript(t, "40_fenced") }
func TestSemantic40StaticMemberAway(t *testing.T)  { transcript(t, "40_static_away") }
func TestSemantic41OffsetCommit(t *testing.T)      { transcript(t, "41_commit") }
func TestSemantic41CommitIsHeartbeat(t *testing.T) { transcript(t, "41_heartbeat") }
func TestSemantic42OffsetFetch(t *testing.T)       { transcript(t, "42_fetch") }
func TestSemantic42RequireStable(t *testing.T)     { transcript(t, "42_stable") }
func TestSemantic43OffsetExpiry(t *testing.T)      { transcript(t, "43_expiry") }
func TestSemantic44DescribeAndDelete(t *testing.T) { transcript(t, "44_describe_delete") }
func TestSemantic44OffsetDelete(t *testing.T)      { transcript(t, "44_offset_delete") }

func TestRebalance(t *testing.T)          { transcript(t, "rebalance") }
func TestSilentMembers(t *testing.T)      { transcript(t, "silence") }
func TestSyncChecksProtocol(t *testing.T) { transcript(t, "sync_protocol") }
func TestLeave(t *testing.T)              { transcript(t, "leave") }
func TestMaxSize(t *testing.T)            { transcript(t, "max_size") }
func TestTooLarge(t *testing.T)           { transcript(t, "too_large") }
func TestCrash(t *testing.T)              { transcript(t, "crash") }
