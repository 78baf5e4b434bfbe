package api

import (
	"slices"
	"strings"
	"testing"
	"time"

	"carillon/shared/host"
)

// changing is a request that changes something: what is asked before, each as "POST /path body" (what that makes is THAT in
// the path), and what its record says has been done, and with whom.
type changing struct {
	before   []string
	path     string
	body     string
	what, of string
}

const (
	disabled  = "POST /api/schedules/every-15-minutes/disable"
	stopped   = `POST /api/pipelines/local/disable?id=hello {"with_schedules": true}`
	triggered = "POST /api/schedules/every-15-minutes/trigger"
)

// recorded are all operations of the document that are no GET; nil are those that change nothing.
var recorded = map[string]*changing{
	"post /api/schedules":                {path: "/api/schedules", body: `{"name": "new", "pipeline": {"kind": "local", "id": "hello"}, "experiment": "e", "trigger": {"type": "cron", "expression": "0 6 * * *"}}`, what: "created", of: "new"},
	"patch " + one:                       {path: mine, body: `{"experiment": "e"}`, what: "changed", of: "every-15-minutes"},
	"delete " + one:                      {path: mine, what: "deleted", of: "every-15-minutes"},
	"post " + one + "/enable":            {before: []string{disabled}, path: mine + "/enable", what: "enabled", of: "every-15-minutes"},
	"post " + one + "/disable":           {path: mine + "/disable", what: "disabled", of: "every-15-minutes"},
	"post " + one + "/trigger":           {path: mine + "/trigger", what: "triggered", of: "every-15-minutes"},
	"post " + one + "/backfill":          {path: mine + "/backfill", body: `{"from": "2026-01-05T09:00", "to": "2026-01-05T10:00"}`, what: "backfilled", of: "every-15-minutes"},
	"post /api/disable-all":              {path: "/api/disable-all", what: "disabled", of: "every-15-minutes"},
	"post /api/enable-all":               {before: []string{"POST /api/disable-all"}, path: "/api/enable-all", what: "enabled", of: "every-15-minutes"},
	"post /api/import":                   {path: "/api/import", what: "created", of: "weekly"},
	"put " + named:                       {path: "/api/calendars/new", body: `{"dates": ["2026-12-24"]}`, what: "created", of: "new"},
	"delete " + named:                    {path: "/api/calendars/blackout", what: "deleted", of: "blackout"},
	"post " + aRun + "/cancel":           {before: []string{triggered}, path: "/api/runs/THAT/cancel", what: "cancelled", of: "every-15-minutes"},
	"post /api/pipelines/{kind}/enable":  {before: []string{stopped}, path: "/api/pipelines/local/enable?id=hello", what: "enabled", of: "hello"},
	"post /api/pipelines/{kind}/disable": {path: "/api/pipelines/local/disable?id=strict", what: "disabled", of: "strict"},

	"post /api/preview":           nil,
	"post " + host.WebhookPath:    nil, // what datastores tell, and nobody else
	"options " + host.WebhookPath: nil,
}

// Whatever changes something leaves a record of who has done it, and when: every operation that the document has.
func TestEveryChangeIsRecorded(t *testing.T) {
	d := readDocument(t)
	for operation := range recorded {
		if method, path, _ := strings.Cut(operation, " "); d.at("paths", path, method).value == nil {
			t.Errorf("the document has no %s", operation)
		}
	}
	for _, path := range d.at("paths").names() {
		for _, method := range d.at("paths", path).names() {
			operation := method + " " + path
			c, known := recorded[operation]
			switch {
			case method == "get" || method == "parameters":
			case !known:
				t.Errorf("%s is not among those that are known to leave a record", operation)
			case c != nil:
				t.Run(operation, func(t *testing.T) { c.isRecorded(t, operation) })
			}
		}
	}
}

func (c changing) isRecorded(t *testing.T, operation string) {
	l := newLive(t)
	l.calendars()
	l.create()
	asks := func(who, method, path, body string) reply {
		t.Helper()
		r := (&site{t: t, server: l.handler}).call(method, path, body, ActorHeader, who)
		if r.status >= 300 {
			t.Fatalf("%s %s: %d %s", method, path, r.status, r.text)
		}
		return r
	}
	path, body := c.path, c.body
	for _, request := range c.before {
		words := append(strings.SplitN(request, " ", 3), "")
		if id, made := asks("somebody", words[0], words[1], words[2]).json["id"].(string); made {
			path = strings.Replace(path, "THAT", id, 1)
		}
	}
	if operation == "post /api/import" {
		body = l.document.example("/api/import", "file")
	}
	l.now = noon.Add(time.Minute)
	method, _, _ := strings.Cut(operation, " ")
	asks("ann", strings.ToUpper(method), path, body)
	rows := asks("ann", "GET", "/api/audit?by=ann&limit=200", "")
	found := slices.ContainsFunc(rows.list("items"), func(a map[string]any) bool {
		of := []any{a["schedule"], a["calendar"]}
		if p, ok := a["pipeline"].(map[string]any); ok {
			of = append(of, p["id"])
		}
		return a["what"] == c.what && a["at"] == "2026-01-05T12:01:30Z" && slices.Contains(of, any(c.of))
	})
	if !found {
		t.Errorf("there is no record that ann has %s %s at that time: %s", c.what, c.of, rows.text)
	}
}
