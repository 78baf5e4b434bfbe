package cli

import (
	"strings"
	"testing"
)

const (
	filledOne = `{"runs":[{"id":"5r2-20261122T000000Z-b1d20261122","nominal":"2026-11-22T00:00:00Z"}],"left_out":[{"nominal":"2026-11-22T00:15:00Z","why":"run 5r2-20261122T001500Z has completed"}],"notices":["calendars exclude 2 times of the range"]}`
	filledTwo = `{"runs":[{"id":"5r2-20261122T003000Z-b1d20261122","nominal":"2026-11-22T00:30:00Z"}],"more":{"from":"2026-11-22T00:45:00Z","to":"2026-11-22T01:00:00Z"},"notices":["calendars exclude 2 times of the range"]}`
	dryRun    = `{"dry_run":true,"runs":[]}`
)

func TestBackfill(t *testing.T) {
	const asked = `{"from":"2026-11-22T00:30","to":"2026-11-22T01:00","at_once":1}`
	runCommands(t, []commandTest{
		{
			name: "all that can be said", args: "schedules backfill every-15-minutes --from 2026-11-22 --to 2026-11-22T01:00 --newest-first --at-once 3 --again --param who=me",
			exchanges: []exchange{{
				request: "POST " + quarter + "/backfill", body: `{"from":"2026-11-22","to":"2026-11-22T01:00","order":"newest","at_once":3,"again":true,"parameters":{"who":"me"}}`,
				status: 202, answer: filledOne,
			}},
			stdout: "TIME                      RUN                                NOTE\n" +
				"2026-11-22 00:00:00 UTC   5r2-20261122T000000Z-b1d20261122\n" +
				"2026-11-22 00:15:00 UTC   -                                  run 5r2-20261122T001500Z has completed\n" +
				"1 runs wait for their turn, 1 times are left out; carillon runs list --schedule every-15-minutes shows how it goes\n" +
				"  note: calendars exclude 2 times of the range\n",
		},
		{
			name: "in parts", args: "schedules backfill every-15-minutes --from 2026-11-22T00:30 --to 2026-11-22T01:00",
			exchanges: []exchange{
				{request: "POST " + quarter + "/backfill", body: asked, status: 202, answer: filledTwo},
				{request: "POST " + quarter + "/backfill", body: `{"from":"2026-11-22T00:45:00Z","to":"2026-11-22T01:00:00Z","at_once":1}`, status: 202, answer: filledOne},
			},
			stdout: "TIME                      RUN                                NOTE\n" +
				"2026-11-22 00:30:00 UTC   5r2-20261122T003000Z-b1d20261122\n" +
				"2026-11-22 00:00:00 UTC   5r2-20261122T000000Z-b1d20261122\n" +
				"2026-11-22 00:15:00 UTC   -                                  run 5r2-20261122T001500Z has completed\n" +
				"2 runs wait for their turn, 1 times are left out; carillon runs list --schedule every-15-minutes shows how it goes\n" +
				"  note: calendars exclude 2 times of the range\n",
		},
		{
			name: "more than it may make", args: "schedules backfill every-15-minutes --from 2026-11-22T00:30 --to 2026-11-22T01:00 --max 1",
			exchanges: []exchange{{request: "POST " + quarter + "/backfill", body: asked, status: 202, answer: filledTwo}},
			stdout: "TIME                      RUN                                NOTE\n" +
				"2026-11-22 00:30:00 UTC   5r2-20261122T003000Z-b1d20261122\n" +
				"1 runs wait for their turn, 0 times are left out; carillon runs list --schedule every-15-minutes shows how it goes\n" +
				"  note: calendars exclude 2 times of the range\n",
			stderr: "carillon: the range has more than 1 runs: from 2026-11-22T00:45:00Z to 2026-11-22T01:00:00Z is left. Give the same command again with --max for more of it\n", code: 1,
		},
		{
			name: "in parts, as JSON", args: "schedules backfill every-15-minutes --from 2026-11-22T00:30 --to 2026-11-22T01:00 -o json",
			exchanges: []exchange{
				{request: "POST " + quarter + "/backfill", body: asked, status: 202, answer: filledTwo},
				{request: "POST " + quarter + "/backfill", body: `{"from":"2026-11-22T00:45:00Z","to":"2026-11-22T01:00:00Z","at_once":1}`, status: 202, answer: filledOne},
			},
			stdout: indented(`{"runs":[{"id":"5r2-20261122T003000Z-b1d20261122","nominal":"2026-11-22T00:30:00Z"},{"id":"5r2-20261122T000000Z-b1d20261122","nominal":"2026-11-22T00:00:00Z"}],"left_out":[{"nominal":"2026-11-22T00:15:00Z","why":"run 5r2-20261122T001500Z has completed"}],"notices":["calendars exclude 2 times of the range"]}`),
		},
		{
			name: "a part is refused", args: "schedules backfill every-15-minutes --from 2026-11-22T00:30 --to 2026-11-22T01:00",
			exchanges: []exchange{
				{request: "POST " + quarter + "/backfill", body: asked, status: 202, answer: filledTwo},
				{request: "POST " + quarter + "/backfill", body: `{"from":"2026-11-22T00:45:00Z","to":"2026-11-22T01:00:00Z","at_once":1}`, status: 503, answer: `{"code":"unavailable","title":"the store is busy; try again","status":503}`},
			},
			stdout: "TIME                      RUN                                NOTE\n2026-11-22 00:30:00 UTC   5r2-20261122T003000Z-b1d20261122\n",
			stderr: "carillon: after 1 runs: the store is busy; try again\n", code: 1,
		},
		{
			name: "a dry run of nothing", args: "schedules backfill every-15-minutes --from 2026-11-22 --to 2026-11-22 --dry-run",
			exchanges: []exchange{{request: "POST " + quarter + "/backfill", body: `{"from":"2026-11-22","to":"2026-11-22","at_once":1,"dry_run":true}`, answer: dryRun}},
			stdout:    "0 runs would be made, 0 times left out; without --dry-run they are\n",
		},
		{
			name: "wrong fields", args: "schedules backfill every-15-minutes --from soon --to 2026-11-22",
			exchanges: []exchange{{request: "POST " + quarter + "/backfill", body: `{"from":"soon","to":"2026-11-22","at_once":1}`, status: 422, answer: `{"code":"invalid_fields","title":"the document has 1 wrong field(s)","status":422,"fields":[{"field":"from","message":"is no time"}]}`}},
			stderr:    "carillon: the document has 1 wrong field(s)\n  from: is no time\n", code: 1,
		},
		{name: "no range", args: "schedules backfill every-15-minutes --from 2026-11-22", stderr: "carillon: required flag(s) \"to\" not set\n  carillon schedules backfill --help says how it is used\n", code: 2},
		{
			name: "trigger of a time", args: "schedules trigger every-15-minutes --nominal 2026-11-20T10:00 --param who=me",
			exchanges: []exchange{{
				request: "POST " + quarter + "/trigger", header: map[string]string{"Idempotency-Key": "*"}, body: `{"nominal":"2026-11-20T10:00","parameters":{"who":"me"}}`, status: 202, answer: manual,
			}},
			stdout: "run 5r273vovq2zx-20261122T191024Z-m35spk73o is Waiting\n  look at it with: carillon runs get 5r273vovq2zx-20261122T191024Z-m35spk73o\n",
		},
	})
}

func TestAll(t *testing.T) {
	runCommands(t, []commandTest{
		{
			name: "disable all, in parts", args: "disable-all --note fire",
			exchanges: []exchange{
				{request: "POST /api/disable-all", body: `{"note":"fire"}`, answer: `{"changed":100,"next":"m"}`},
				{request: "POST /api/disable-all?token=m", body: `{"note":"fire"}`, answer: `{"changed":3}`},
			},
			stdout: "103 schedules are disabled\n",
		},
		{
			name: "enable all, some not", args: "enable-all",
			exchanges: []exchange{{request: "POST /api/enable-all", answer: `{"changed":2,"left_out":[{"schedule":"once","why":"its time came while all schedules were disabled"}]}`}},
			stdout:    "2 schedules are enabled\nonce is left as it is: its time came while all schedules were disabled\n",
			stderr:    "carillon: 1 schedules are left as they were\n", code: 1,
		},
		{
			name: "as JSON", args: "enable-all -o json",
			exchanges: []exchange{
				{request: "POST /api/enable-all", answer: `{"changed":2,"next":"m"}`},
				{request: "POST /api/enable-all?token=m", answer: `{"changed":0}`},
			},
			stdout: indented(`{"changed":2}`),
		},
		{name: "not one", args: "disable-all a", stderr: "carillon: carillon disable-all takes no arguments, and got \"a\"\n  carillon disable-all --help says how it is used\n", code: 2},
		{
			name: "one that is disabled with all", args: "schedules disable every-15-minutes",
			exchanges: []exchange{{request: "POST " + quarter + "/disable", answer: `{"name":"a","status":"Disabled","when":"every 15 minutes","status_note":{"note":"fire","at":"2026-11-22T19:10:24Z","all":true}}`}},
			stdout:    "a is Disabled with all (fire), every 15 minutes\n",
		},
	})
}

func TestAudit(t *testing.T) {
	runCommands(t, []commandTest{
		{
			name: "list", args: "audit --schedule a --by ann@vm",
			exchanges: []exchange{{
				request: "GET /api/audit?by=ann%40vm&limit=100&schedule=a",
				answer: `{"items":[
					{"at":"2026-11-22T19:10:24.999Z","by":"ann@vm","what":"disabled","schedule":"a","revision":3,"note":"feed is down","before":{"status":"Active"},"after":{"status":"Disabled"}},
					{"at":"2026-11-22T19:10:23Z","by":"ann@vm","what":"changed","schedule":"a","revision":2,"before":{"max_runs":3,"experiment":"demo"},"after":{"max_runs":4,"parameters":{"who":"me"}}},
					{"at":"2026-11-22T19:10:22Z","by":"ann@vm","what":"backfilled","schedule":"a","revision":2,"after":{"from":"2026-11-22T00:00:00Z","runs":4}},
					{"at":"2026-11-22T19:10:21Z","by":"ben","what":"cancelled","schedule":"a","run":"0a-20261122T191021Z-m1","revision":2},
					{"at":"2026-11-22T19:10:21Z","by":"ann@vm","what":"triggered","schedule":"a","run":"0a-20261122T191021Z-m1","revision":2,"after":{"parameters":{"who":"me"}}},
					{"at":"2026-11-22T19:10:21Z","what":"created","calendar":"holidays","after":{"dates":["2026-12-24"]}},
					{"at":"2026-11-22T19:10:20Z","by":"\u001b","what":"disabled","pipeline":{"kind":"local","id":"hello"},"note":"broken"}]}`,
			}},
			stdout: `TIME                      BY       WHAT         OF                     CHANGE
2026-11-22 19:10:24 UTC   ann@vm   disabled     schedule a             feed is down
2026-11-22 19:10:23 UTC   ann@vm   changed      schedule a             experiment: demo -> -; max_runs: 3 -> 4; parameters: - -> {…
2026-11-22 19:10:22 UTC   ann@vm   backfilled   schedule a             from: 2026-11-22T00:00:00Z; runs: 4
2026-11-22 19:10:21 UTC   ben      cancelled    schedule a             0a-20261122T191021Z-m1
2026-11-22 19:10:21 UTC   ann@vm   triggered    schedule a             0a-20261122T191021Z-m1; parameters: {"who":"me"}
2026-11-22 19:10:21 UTC   -        created      calendar holidays
2026-11-22 19:10:20 UTC   \x1b     disabled     pipeline local:hello   broken
`,
		},
		{
			name: "none", args: "audit", exchanges: []exchange{{request: "GET /api/audit?limit=100", answer: `{"items":[]}`}},
			stderr: "There are no such changes.\n",
		},
		{
			name: "as JSON", args: "audit -o json -n 1", exchanges: []exchange{{request: "GET /api/audit?limit=1", answer: `{"items":[{"at":"t","odd":1.10}],"next":"x"}`}},
			stdout: "[\n  {\n    \"at\": \"t\",\n    \"odd\": 1.10\n  }\n]\n",
		},
	})
}

// A server that never says that it is done is not asked for ever.
func TestEndlessParts(t *testing.T) {
	body := `{"from":"2026-11-22T00:45:00Z","to":"2026-11-22T01:00:00Z","at_once":1}`
	for args, exchanges := range map[string][]exchange{
		"schedules backfill every-15-minutes --from 2026-11-22T00:45:00Z --to 2026-11-22T01:00:00Z": {
			{request: "POST " + quarter + "/backfill", body: body, status: 202, answer: filledTwo},
		},
		"disable-all": {
			{request: "POST /api/disable-all", answer: `{"changed":2,"next":"m"}`},
			{request: "POST /api/disable-all?token=m", answer: `{"changed":2,"next":"m"}`},
		},
	} {
		code, _, stderr := run(t, script(t, exchanges...), "", strings.Fields(args)...)
		if code != 1 || !strings.Contains(stderr, "does not answer as a Carillon does") {
			t.Errorf("%s: %d %s", args, code, stderr)
		}
	}
}
