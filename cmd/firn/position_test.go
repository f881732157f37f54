package main

import (
	"testing"
	"time"
)

func TestPositionsMeanWhatTheySay(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.FixedZone("", 3600))
	day := time.Date(2026, 11, 22, 0, 0, 0, 0, now.Location()).UnixMilli()
	for s, want := range map[string]position{
		"start":             {kind: atStart},
		"end":               {kind: atEnd},
		"0":                 {kind: atOffset},
		"42":                {kind: atOffset, n: 42},
		"-7":                {kind: beforeEnd, n: 7},
		"@1700000000000":    {kind: atTime, from: 1700000000000},
		"@now":              {kind: atTime, from: now.UnixMilli()},
		"@-1h30m":           {kind: atTime, from: now.Add(-90 * time.Minute).UnixMilli()},
		"@2026-11-22":       {kind: atTime, from: day},
		"@2026-11-22T10":    {},
		"@2026-11-22 10:30": {kind: atTime, from: day + 10*3600_000 + 30*60_000},
		"@2026-11-22T10:30:15:2026-11-22T10:31:15":   {kind: atTime, from: day + 10*3600_000 + 30*60_000 + 15_000, until: day + 10*3600_000 + 31*60_000 + 15_000},
		"@2026-11-22T10:30:15Z:2026-11-22T10:31:15Z": {kind: atTime, from: day + 11*3600_000 + 30*60_000 + 15_000, until: day + 11*3600_000 + 31*60_000 + 15_000},
		"@-2h:-1h":             {kind: atTime, from: now.Add(-2 * time.Hour).UnixMilli(), until: now.Add(-time.Hour).UnixMilli()},
		"@2026-11-22:now":      {kind: atTime, from: day, until: now.UnixMilli()},
		"@-1h:-2h":             {},
		"@":                    {},
		"@tomorrow":            {},
		"":                     {},
		"1.5":                  {},
		"99999999999999999999": {},
	} {
		got, err := parsePosition(s, now)
		if bad := want == (position{}) && s != "start"; bad != (err != nil) || got != want {
			t.Errorf("%q: %+v %v, want %+v", s, got, err, want)
		}
	}
}
