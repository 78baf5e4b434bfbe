package cli

import "testing"

const importPlan = `{"items":[
  {"source":{"kind":"v1","id":"55","name":"My schedule","enabled":true},"name":"My-schedule",
   "definition":{"name":"My-schedule","pipeline":{"kind":"published","id":"aa"},"experiment":"night","parameters":{"who":"me","n":"1"},"trigger":{},"status":"Active"},
   "when":"every day at 10:00","differences":["its name has characters","it is\u001b[31m red"],"problems":[]},
  {"source":{"kind":"v1","id":"56","name":"x","enabled":false},"name":"","definition":{"name":"x","trigger":null},"differences":[],"problems":["its type is not known"]}],
  "notes":["a note"]}`

const importDone = `{"items":[{"source":{"kind":"v2","id":"cron","name":"cron","enabled":true,"disabled":true},"name":"cron",
   "definition":{"pipeline":{"kind":"pipeline_job","id":"job:one"},"experiment":"e"},"when":"every day at 10:00","differences":[],"problems":[],
   "created":true,"status":"Active","begins":"2026-11-22T19:20:00Z","done":["the old schedule has been disabled, and seen to be"]}],"notes":[],"cut_over":"2026-11-22T19:20:00Z"}`

const importLater = `{"items":[{"source":{"kind":"v2","id":"cron","name":"cron","enabled":true},"name":"cron","definition":{},"differences":[],"problems":[],
   "done":["a run is due just now"],"again_at":"2026-11-22T19:00:00Z"}],"notes":[],"again_at":"2026-11-22T19:00:00Z"}`

const importFailed = `{"items":[{"source":{"kind":"v2","id":"cron","name":"cron","enabled":true},"name":"cron","definition":{},"differences":[],
   "problems":["the old schedule v2:cron is not known to be disabled"],"created":true,"status":"Disabled"}],"notes":[]}`

func TestImportCommands(t *testing.T) {
	runCommands(t, []commandTest{
		{
			name: "a plan", args: "import v1",
			exchanges: []exchange{{request: "POST /api/import", body: `{"from":"v1"}`, answer: importPlan}},
			stdout: `Name:         My-schedule
From:         v1 schedule My schedule (55), which fires
Pipeline:     published:aa
Experiment:   night
Parameters:   n=1
              who=me
Trigger:      every day at 10:00
Differences:  its name has characters
              it is\x1b[31m red

From:         v1 schedule x (56), disabled
Problems:     its type is not known

note: a note
1 of 2 schedules can be imported. Nothing has been changed: --yes does it.
`,
		},
		{
			name: "a plan as JSON", args: "import v1 -o json",
			exchanges: []exchange{{request: "POST /api/import", body: `{"from":"v1"}`, answer: importPlan}},
			stdout:    indented(importPlan),
		},
		{
			name: "a file", args: "import v1-yaml -f - --name n --pipeline published:aa --experiment e", stdin: "Schedule: <&>\n",
			exchanges: []exchange{{request: "POST /api/import", body: `{"from":"v1-yaml","document":"Schedule: \u003c\u0026\u003e\n","name":"n","pipeline":"published:aa","experiment":"e"}`, answer: `{"items":[],"notes":[]}`}},
			stdout:    "There are no old schedules.\n",
		},
		{
			name: "a change-over", args: "import v2 cron --yes --disable-source --cut-over 2026-11-22T19:20:00Z",
			exchanges: []exchange{
				{request: "POST /api/import", body: `{"from":"v2","only":["cron"],"create":true,"disable_source":true,"cut_over":"2026-11-22T19:20:00Z"}`, answer: importLater},
				{request: "POST /api/import", body: `{"from":"v2","only":["cron"],"create":true,"disable_source":true,"cut_over":"2026-11-22T19:20:00Z"}`, answer: importDone},
			},
			stdout: `Name:         cron
From:         v2 schedule cron (cron), disabled now
Pipeline:     pipeline_job:job:one
Experiment:   e
Trigger:      every day at 10:00
Done:         the old schedule has been disabled, and seen to be
Created:      Active, begins 2026-11-22 19:20:00 UTC

`,
			stderr: "cron: a run is due just now\n",
		},
		{
			name: "a change-over in doubt", args: "import v2 --yes --disable-source",
			exchanges: []exchange{{request: "POST /api/import", body: `{"from":"v2","create":true,"disable_source":true}`, answer: importFailed}},
			stdout: `Name:         cron
From:         v2 schedule cron (cron), which fires
Problems:     the old schedule v2:cron is not known to be disabled
Created:      Disabled

`,
			stderr: "carillon: 1 of 1 schedules were not imported\n", code: 1,
		},
		{name: "a plan disables nothing", args: "import v2 --disable-source", stderr: "carillon: --disable-source and --cut-over go with --yes\n  carillon import v2 --help says how it is used\n", code: 2},
	})
}
