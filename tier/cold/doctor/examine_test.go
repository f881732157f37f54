package doctor_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/firnlog/firn/tier/cold"
	"github.com/firnlog/firn/tier/cold/coldtest/s3server"
	"github.com/firnlog/firn/tier/cold/doctor"
	"github.com/firnlog/firn/tier/cold/fault"
	"github.com/firnlog/firn/tier/cold/file"
	"github.com/firnlog/firn/tier/cold/mem"
	"github.com/firnlog/firn/tier/cold/minio"
	"github.com/firnlog/firn/tier/cold/s3"
	"github.com/firnlog/firn/tier/cold/trace"
)

func isEmpty(t *testing.T, s cold.Store) {
	t.Helper()
	for info, err := range s.List(t.Context(), "", "") {
		t.Errorf("left behind: %s, %v", info.Name, err)
	}
}

func approves(t *testing.T, s cold.Store, o doctor.Options) doctor.Report {
	t.Helper()
	r := doctor.Examine(t.Context(), s, o)
	if r.Verdict != doctor.Approved || r.Err() != nil || len(r.Warnings()) > 0 {
		t.Errorf("a sound store is not approved:\n%s", r)
	}
	isEmpty(t, s)
	return r
}

func TestDoctorApprovesSoundStores(t *testing.T) {
	t.Run("mem", func(t *testing.T) {
		r := approves(t, mem.New(), doctor.Options{})
		t.Logf("\n%s", r)
	})
	t.Run("file", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "bucket")
		one, err := file.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		other, err := file.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		approves(t, one, doctor.Options{Quick: true, Others: []cold.Store{other}})
	})
	t.Run("s3", func(t *testing.T) {
		server := s3server.Start(t)
		s, err := s3.Open(t.Context(), s3.Options{Bucket: server.Bucket, Endpoint: server.URL, PathStyle: true})
		if err != nil {
			t.Fatal(err)
		}
		approves(t, s, doctor.Options{Quick: true})
	})
	t.Run("minio", func(t *testing.T) {
		server := s3server.Start(t)
		s, err := minio.Open(t.Context(), minio.Options{Bucket: server.Bucket, Endpoint: server.Host})
		if err != nil {
			t.Fatal(err)
		}
		approves(t, s, doctor.Options{Quick: true})
	})
}

// Each flaw fails the checks that it should, with a text that says what it means
// and what to do, at start-up already.
func TestDoctorRefusesEveryFlaw(t *testing.T) {
	expected := map[fault.Flaw]struct {
		verdict doctor.Verdict
		check   string
		says    string
	}{
		fault.IgnoresCondition:   {doctor.Refused, "refuses a second put", "the condition is ignored"},
		fault.ChecksThenWrites:   {doctor.Refused, "one winner, small bodies", "not atomically"},
		fault.RefusesCondition:   {doctor.Refused, "may put", "If-None-Match"},
		fault.EverybodyConflicts: {doctor.Approved, "", ""}, // slow, and safe: the losers' next attempts decide
		fault.TellsLosersTheyWon: {doctor.Refused, "one winner, small bodies", "both told"},
		fault.LosesPuts:          {doctor.Refused, "reads after a write", "was not found right after its put"},
		fault.LosesLargePuts:     {doctor.Refused, "reads after a write", "was not found right after its put"},
		fault.DamagesBodies:      {doctor.Refused, "reads after a write", "other bytes"},
		fault.KeepsHalves:        {doctor.Refused, "stores whole bodies", "died in the middle"},
		fault.ReadsStale:         {doctor.Refused, "reads after a write", "strong consistency"},
		fault.ReadsDeleted:       {doctor.Refused, "deletes", "can still be read"},
		fault.ListsStale:         {doctor.Refused, "lists after a write", "find the end of the journal by a list"},
		fault.IgnoresRange:       {doctor.Refused, "reads ranges", "footers"},
		fault.IgnoresTail:        {doctor.Refused, "reads ranges", "last 64"},
		fault.KeepsDeleted:       {doctor.Refused, "deletes", "object lock"},
		fault.NeverForgets:       {doctor.Approved, "deletes", "cannot be created again"},
		fault.DeniesPut:          {doctor.Refused, "may put", "Allow s3:PutObject"},
		fault.DeniesGet:          {doctor.Refused, "may get", "Allow s3:GetObject"},
		fault.DeniesList:         {doctor.Refused, "may list", "Allow s3:ListBucket"},
		fault.DeniesDelete:       {doctor.Approved, "may delete", "nothing is ever cleaned up"},
		fault.ClockAnHourOff:     {doctor.Approved, "clock", "NTP"},
	}
	for _, flaw := range fault.Flaws() {
		t.Run(flaw.String(), func(t *testing.T) {
			want, ok := expected[flaw]
			if !ok {
				t.Fatal("no expectation")
			}
			synctest.Test(t, func(t *testing.T) {
				r := doctor.Examine(t.Context(), fault.Break(mem.New(), flaw), doctor.Options{Quick: true})
				if r.Verdict != want.verdict {
					t.Fatalf("verdict %s, want %s:\n%s", r.Verdict, want.verdict, r)
				}
				if want.check == "" {
					return
				}
				at := slices.IndexFunc(r.Checks, func(c doctor.Check) bool { return c.Name == want.check && !c.OK })
				if at < 0 {
					t.Fatalf("%s did not fail:\n%s", want.check, r)
				}
				c := r.Checks[at]
				if !strings.Contains(c.Detail+" "+c.Advice, want.says) || len(c.Advice) < 40 {
					t.Errorf("says %q, %q", c.Detail, c.Advice)
				}
				if want.verdict == doctor.Refused && (!errors.Is(r.Err(), doctor.ErrRefused) || !strings.Contains(r.Err().Error(), c.Advice)) {
					t.Errorf("the error does not say why: %v", r.Err())
				}
			})
		})
	}
}

// A store that is down, or goes down, is not called unfit (D2).
func TestDoctorDoesNotRefuseAStoreThatDoesNotAnswer(t *testing.T) {
	for what, plan := range map[string]fault.Plan{
		"never answers":           fault.Always(fault.Fault{Kind: fault.Hang}),
		"is overloaded":           fault.Always(fault.Fault{Kind: fault.Unavailable}),
		"loses every answer":      fault.Always(fault.Fault{Kind: fault.AnswerLost}, trace.Put),
		"is slower than patience": fault.Always(fault.Fault{Before: time.Minute}),
		"breaks down after a while": func() fault.Plan {
			return func(c fault.Call) fault.Fault {
				if strings.Contains(c.Name, "/race/") {
					return fault.Fault{Kind: fault.Unavailable}
				}
				return fault.Fault{}
			}
		}(),
		"cannot be read": fault.Always(fault.Fault{Kind: fault.Unavailable}, trace.Get),
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
				defer cancel()
				r := doctor.Examine(ctx, fault.Wrap(mem.New(), plan), doctor.Options{Quick: true})
				if what == "loses every answer" {
					if r.Verdict == doctor.Refused {
						t.Fatalf("\n%s", r)
					}
					return // 412 and a look tell the truth
				}
				if r.Verdict != doctor.Undecided || !errors.Is(r.Err(), doctor.ErrUndecided) || errors.Is(r.Err(), doctor.ErrRefused) {
					t.Fatalf("\n%s", r)
				}
			})
		})
	}
}

func TestDoctorApprovesASoundStoreBehindABadNetwork(t *testing.T) {
	odds := fault.Odds{
		Kinds: map[fault.Kind]float64{fault.RequestLost: 0.03, fault.AnswerLost: 0.05, fault.Conflict: 0.05, fault.Unavailable: 0.02},
		Slow:  0.2, Delay: 300 * time.Millisecond,
	}
	refused, approved := 0, 0
	for seed := range uint64(8) {
		synctest.Test(t, func(t *testing.T) {
			bucket := mem.New()
			r := doctor.Examine(t.Context(), fault.Wrap(bucket, fault.Seeded(seed, odds)), doctor.Options{Quick: true, Nonce: fmt.Sprint(seed)})
			switch r.Verdict {
			case doctor.Refused:
				refused++
				t.Errorf("seed %d:\n%s", seed, r)
			case doctor.Approved:
				approved++
			default:
				t.Logf("seed %d: %v", seed, r.Err())
			}
		})
	}
	if approved < 5 {
		t.Errorf("only %d of 8 were approved", approved)
	}
}

func TestDoctorCleansUpWhenItIsInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bucket := mem.New()
		ctx, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
		defer cancel()
		r := doctor.Examine(ctx, fault.Wrap(bucket, fault.Always(fault.Fault{Before: 10 * time.Millisecond})), doctor.Options{Quick: true})
		if r.Verdict == doctor.Refused {
			t.Errorf("\n%s", r)
		}
		isEmpty(t, bucket)
	})
}

func TestDoctorIsQuickAtStartUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls trace.Counts
		slow := fault.Wrap(mem.New(), fault.Always(fault.Fault{Before: 30 * time.Millisecond, After: 30 * time.Millisecond}))
		r := doctor.Examine(t.Context(), trace.Wrap(slow, &calls), doctor.Options{Quick: true})
		if r.Took > 8*time.Second {
			t.Errorf("took %v where a put takes 60 ms", r.Took)
		}
		if puts := calls.Total(trace.Put); puts > 300 {
			t.Errorf("%d puts", puts)
		}
		t.Logf("%v, %d puts", r.Took, calls.Total(trace.Put))
	})
}

func TestReportIsReadableByPrograms(t *testing.T) {
	r := doctor.Examine(t.Context(), fault.Break(mem.New(), fault.IgnoresCondition), doctor.Options{Quick: true})
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"verdict":"refused"`, `"severity":"fatal"`, `"name":"may put","promise":"Every acknowledged record is a put.","ok":true`} {
		if !strings.Contains(string(b), want) {
			t.Errorf("no %s in %.600s", want, b)
		}
	}
}
