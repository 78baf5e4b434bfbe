package api

import (
	"encoding/json"
	"strings"
)

// backfills fill times of the past.
func (l *live) backfills() {
	t := l.document.t
	const backfill = "post " + one + "/backfill"
	example, _ := json.Marshal(l.document.at("paths", one+"/backfill", "post", "requestBody", "content", "application/json", "example").value)
	dry := l.ask(200, backfill, mine+"/backfill", string(example)).(map[string]any)
	if runs := dry["runs"].([]any); len(runs) != 45 { // every quarter of an hour from midnight to eleven
		t.Errorf("%d runs would be made", len(runs))
	}
	l.ask(202, backfill, mine+"/backfill", `{"from": "2026-01-05T09:00", "to": "2026-01-05T10:00:00Z", "again": true, "parameters": {"who": "me"}}`)
	again := l.ask(202, backfill, mine+"/backfill", `{"from": "2026-01-05T09:00", "to": "2026-01-05T10:00:00+00:00", "order": "oldest"}`).(map[string]any)
	if left := again["left_out"].([]any); len(left) != 5 {
		t.Errorf("%d times are left out", len(left))
	}
	more := l.ask(200, backfill, mine+"/backfill", `{"from": "2025-01-01", "to": "2026-01-01", "dry_run": true}`).(map[string]any)
	if more["more"] == nil {
		t.Error("a year has no more than one request makes")
	}
	l.ask(200, backfill, "/api/schedules/mondays/backfill", `{"from": "2025-12-29", "to": "2025-12-29", "dry_run": true}`)
	l.ask(404, backfill, unknown+"/backfill", string(example))
	l.ask(409, backfill, "/api/schedules/score/backfill", string(example))
	l.ask(422, backfill, mine+"/backfill", `{"from": "soon", "order": "any", "at_once": 0, "again": 1, "colour": "red"}`)
	l.badBodies(backfill, mine+"/backfill")
	l.ask(202, "post "+one+"/trigger", mine+"/trigger", `{"nominal": "2026-01-04T10:00"}`)
	l.ask(422, "post "+one+"/trigger", mine+"/trigger", `{"nominal": "soon"}`)
}

// everything is disabled and enabled again, and all of it is recorded.
func (l *live) everything() {
	t := l.document.t
	for _, verb := range []string{"disable", "enable"} {
		operation, path := "post /api/"+verb+"-all", "/api/"+verb+"-all"
		l.ask(400, operation, path+"?token=a/b", "")
		l.ask(422, operation, path, `{"note": "`+strings.Repeat("n", 5000)+`"}`)
		l.badBodies(operation, path)
	}
	off := l.ask(200, "post /api/disable-all", "/api/disable-all", `{"note": "data feed is down"}`)
	l.ask(200, "get "+one, mine, "")
	on := l.ask(200, "post /api/enable-all", "/api/enable-all?token=a", "")
	if got, _ := json.Marshal([]any{off, on}); string(got) != `[{"changed":7},{"changed":7}]` {
		t.Errorf("disabled and enabled: %s", got)
	}
	n, next := l.items("get /api/audit", "/api/audit?limit=5")
	if n != 5 || next == "" {
		t.Errorf("a page of %d changes, then %q", n, next)
	}
	l.items("get /api/audit", "/api/audit?limit=200&token="+strings.ReplaceAll(next, "|", "%7C"))
	if n, _ = l.items("get /api/audit", "/api/audit?schedule=mondays&by=tester"); n != 3 {
		t.Errorf("%d changes of one schedule", n)
	}
	l.ask(400, "get /api/audit", "/api/audit?limit=0", "")
}
