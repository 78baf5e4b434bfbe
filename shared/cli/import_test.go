package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

const importPlan = `{"items":[
  {"source":{"kind":"v1","id":"55","name":"My schedule","enabled":true},"name":"My-schedule",
   "definition":{"name":"My-schedule","pipeline":{"kind":"published","id":"aa"},"experiment":"night","parameters":{"who":"me","n":"1"},"trigger":{},"status":"Active"},
   "when":"every day at 10:00","differences":["its name has characters","it is\u001b[31m red"],"problems":[]},
  {"source":{"kind":"v1","id":"56","name":"x","enabled":false},"name":"","definition":{"name":"x","trigger":null},"differences":[],"problems":["its type is not known"]}],
  "notes":["a note"]}`

const importCron = `{"items":[{"source":{"kind":"v2","id":"cron","name":"cron","enabled":true},"name":"cron",
   "definition":{"pipeline":{"kind":"pipeline_job","id":"job:one"},"experiment":"e","continue_on_step_failure":false},"when":"every day at 10:00","differences":["it differs"],"problems":[]}],"notes":["a note"]}`

const cronSheet = `Name:         cron
From:         v2 schedule cron (cron), which fires
Pipeline:     pipeline_job:job:one
Experiment:   e
Steps:        a failed one ends the run
Trigger:      every day at 10:00
Differences:  it differs

note: a note
1 of 1 schedules can be imported. It is done now:

`

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
			name: "a change-over, of which the plan is shown first", args: "import v2 cron --yes --disable-source --cut-over 2026-11-22T19:20:00Z",
			exchanges: []exchange{
				{request: "POST /api/import", body: `{"from":"v2","only":["cron"]}`, answer: importCron},
				{request: "POST /api/import", body: `{"from":"v2","only":["cron"],"create":true,"disable_source":true,"cut_over":"2026-11-22T19:20:00Z"}`, answer: importLater},
				{request: "POST /api/import", body: `{"from":"v2","only":["cron"],"create":true,"disable_source":true,"cut_over":"2026-11-22T19:20:00Z"}`, answer: importDone},
			},
			stdout: cronSheet + `Name:         cron
From:         v2 schedule cron (cron), disabled now
Done:         a run is due just now
              the old schedule has been disabled, and seen to be
Created:      Active, begins 2026-11-22 19:20:00 UTC

`,
			stderr: "cron: a run is due just now\n",
		},
		{
			name: "a change-over as JSON", args: "import v2 --yes -o json",
			exchanges: []exchange{
				{request: "POST /api/import", body: `{"from":"v2"}`, answer: importCron},
				{request: "POST /api/import", body: `{"from":"v2","create":true}`, answer: importDone},
			},
			stdout: indented(importDone), stderr: cronSheet,
		},
		{
			name: "a change-over in doubt", args: "import v2 --yes --disable-source",
			exchanges: []exchange{
				{request: "POST /api/import", body: `{"from":"v2"}`, answer: importCron},
				{request: "POST /api/import", body: `{"from":"v2","create":true,"disable_source":true}`, answer: importFailed},
			},
			stdout: cronSheet + `Name:         cron
From:         v2 schedule cron (cron), which fires
Problems:     the old schedule v2:cron is not known to be disabled
Created:      Disabled

`,
			stderr: "carillon: 1 of 1 schedules were not imported\n", code: 1,
		},
		{
			name: "nothing to be done", args: "import v2 --yes",
			exchanges: []exchange{{request: "POST /api/import", body: `{"from":"v2"}`, answer: `{"items":[],"notes":["a note"]}`}},
			stdout:    "There are no old schedules.\n",
		},
		{name: "a plan disables nothing", args: "import v2 --disable-source", stderr: "carillon: --disable-source and --cut-over go with --yes\n  carillon import v2 --help says how it is used\n", code: 2},
	})
}

// step is an answer about two schedules: the first has done and problems as given, the second waits until it is done.
func step(done, problems string, second bool) string {
	end := `"done":["b waits"],"again_at":"2026-11-22T19:10:30Z"}],"again_at":"2026-11-22T19:10:30Z"`
	if second {
		end = `"created":true,"status":"Active","done":["b is done"]}]`
	}
	return `{"items":[{"source":{"kind":"v1","id":"1","name":"a","enabled":true},"name":"a","created":true,"status":"Active","done":` + done + `,"problems":` + problems + `},
		{"source":{"kind":"v1","id":"2","name":"b","enabled":true},"name":"b","problems":[],` + end + `,"notes":[]}`
}

// What was said of a schedule in one answer is shown in the end, each once, though later answers do not say it again.
func TestImportGathersWhatWasSaid(t *testing.T) {
	for _, c := range []struct{ output, want string }{
		{"table", `Name:         a
From:         v1 schedule a (1), which fires
Done:         look for runs that came twice
              earlier: a is not known to be disabled
              it is disabled
Created:      Active

Name:         b
From:         v1 schedule b (2), which fires
Done:         b waits
              b is done
Created:      Active

`},
		{"json", ""},
	} {
		url := script(t,
			exchange{request: "POST /api/import", body: `{"from":"v1"}`, answer: step("[]", "[]", false)},
			exchange{request: "POST /api/import", body: `{"from":"v1","create":true}`, answer: step(`["look for runs that came twice"]`, `["a is not known to be disabled"]`, false)},
			exchange{request: "POST /api/import", body: `{"from":"v1","create":true}`, answer: step(`["it is disabled"]`, "[]", false)},
			exchange{request: "POST /api/import", body: `{"from":"v1","create":true}`, answer: step("[]", "[]", true)},
		)
		code, stdout, stderr := run(t, url, "", "import", "v1", "--yes", "-o", c.output)
		if _, told, ok := strings.Cut(stderr, "It is done now:\n\n"); ok {
			stderr = told
		}
		if code != 0 || stderr != "a: look for runs that came twice\na: a is not known to be disabled\nb: b waits\na: it is disabled\n" {
			t.Errorf("%d, stderr %s", code, stderr)
		}
		if _, done, _ := strings.Cut(stdout, "It is done now:\n\n"); c.want != "" {
			compare(t, "the summary", done, c.want)
			continue
		}
		var v importView
		if err := json.Unmarshal([]byte(stdout), &v); err != nil || len(v.Items) != 2 || fmt.Sprint(v.Items[0].Done) != "[look for runs that came twice earlier: a is not known to be disabled it is disabled]" {
			t.Errorf("%v: %s", err, stdout)
		}
	}
}

// An import of which nothing comes any more ends, after longer and longer pauses; one that goes on is gone on with.
func TestImportThatDoesNotGoOn(t *testing.T) {
	exchanges := []exchange{{request: "POST /api/import", body: `{"from":"v1"}`, answer: step("[]", "[]", false)}}
	for range 9 {
		exchanges = append(exchanges, exchange{request: "POST /api/import", body: `{"from":"v1","create":true}`, answer: step(`["a is over"]`, "[]", false)})
	}
	t.Setenv("CARILLON_ENDPOINT", script(t, exchanges...))
	now, pauses := testNow, []time.Duration{}
	c := commands{
		now: func() time.Time { return now },
		pause: func(_ context.Context, d time.Duration) error {
			now, pauses = now.Add(d), append(pauses, d)
			return nil
		},
	}
	code, stdout, stderr := runWith(t.Context(), c, "", "import", "v1", "--yes")
	if code != 1 || !strings.Contains(stdout, "Done:         a is over\n") ||
		!strings.HasSuffix(stderr, "carillon: 8 requests have brought nothing further, and these are not done yet: b. What was done stays; the same command, given again, goes on\n") {
		t.Errorf("%d, %s, %s", code, stdout, stderr)
	}
	if got := fmt.Sprint(pauses); got != "[6s 1s 2s 4s 8s 16s 32s 1m0s]" {
		t.Errorf("it paused for %s", got)
	}
}

// What was done is shown where a later request fails, and a cut-over that has come too near is not sent again.
func TestImportThatIsCutShort(t *testing.T) {
	url := script(t,
		exchange{request: "POST /api/import", body: `{"from":"v1"}`, answer: step("[]", "[]", false)},
		exchange{request: "POST /api/import", body: `{"from":"v1","create":true,"disable_source":true,"cut_over":"2026-11-22T19:16:00Z"}`, answer: step(`["a is over"]`, "[]", false)},
		exchange{request: "POST /api/import", body: `{"from":"v1","create":true,"disable_source":true}`, status: 503, answer: `{"code":"unavailable","title":"the old schedules cannot be had"}`},
	)
	code, stdout, stderr := run(t, url, "", "import", "v1", "--yes", "--disable-source", "--cut-over", "2026-11-22T19:16:00Z")
	if code != 1 || !strings.Contains(stdout, "Done:         a is over\n") || !strings.HasSuffix(stderr, "carillon: the old schedules cannot be had\n") {
		t.Errorf("%d, %s, %s", code, stdout, stderr)
	}
}
