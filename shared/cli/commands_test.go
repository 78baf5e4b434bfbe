package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const quarterYAML = `name: every-15-minutes
description: optional
pipeline: {kind: local, id: hello}
experiment: demo
parameters: {who: world, n: 1.10}
trigger: {type: recurrence, frequency: minute, interval: 15}
`

const quarterJSON = `{"name":"every-15-minutes","description":"optional","pipeline":{"kind":"local","id":"hello"},"experiment":"demo","parameters":{"who":"world","n":1.10},"trigger":{"type":"recurrence","frequency":"minute","interval":15}}`

// quarter is where the schedule of most of these tests is.
const quarter = "/api/schedules/every-15-minutes"

// commandTest is a command line, what it asks, and what it says.
type commandTest struct {
	name      string
	args      string
	stdin     string
	exchanges []exchange
	stdout    string
	stderr    string
	code      int
}

var commandTests = []commandTest{
	{
		name: "create", args: "schedules create -f -", stdin: quarterYAML,
		exchanges: []exchange{{request: "POST /api/schedules", body: quarterJSON, status: 201, answer: created}},
		stdout: "created: every-15-minutes is Active, every 15 minutes, next run 2026-11-22 19:15:00 UTC (in 4m)\n" +
			"  note: day and weekday must both match\n",
	},
	{
		name: "create from JSON", args: "schedules create -f -", stdin: quarterJSON + "\n",
		exchanges: []exchange{{request: "POST /api/schedules", body: quarterJSON, status: 201, answer: disabled}},
		stdout:    "created: every-15-minutes is Disabled (data feed is down), every 15 minutes\n",
	},
	{
		name: "create, wrong fields", args: "schedules create -f -", stdin: "{x: 1, trigger: {interval: 0}}",
		exchanges: []exchange{{request: "POST /api/schedules", body: `{"x":1,"trigger":{"interval":0}}`, status: 422, answer: wrongFields}},
		stderr:    "carillon: the document has 2 wrong field(s)\n  trigger.interval: 0 is too small: the smallest is 1\n  x: is not a field here\n",
		code:      1,
	},
	{
		name: "create, wrong fields as JSON", args: "schedules create -f - -o json", stdin: "x: 1",
		exchanges: []exchange{{request: "POST /api/schedules", body: `{"x":1}`, status: 422, answer: wrongFields}},
		stderr:    indented(wrongFields), code: 1,
	},
	{
		name: "create several, some refused", args: "schedules create -f -", stdin: "a: 1\n---\n" + quarterYAML + "---\nx: 1\n",
		exchanges: []exchange{
			{request: "POST /api/schedules", body: `{"a":1}`, status: 409, answer: exists},
			{request: "POST /api/schedules", body: quarterJSON, status: 201, answer: created},
			{request: "POST /api/schedules", body: `{"x":1}`, status: 422, answer: wrongFields},
		},
		stdout: "created: every-15-minutes is Active, every 15 minutes, next run 2026-11-22 19:15:00 UTC (in 4m)\n" +
			"  note: day and weekday must both match\n",
		stderr: "carillon: stdin:1: schedule every-15-minutes: it exists already\n" +
			"carillon: stdin:10: the document has 2 wrong field(s)\n  trigger.interval: 0 is too small: the smallest is 1\n  x: is not a field here\n" +
			"carillon: 2 of 3 schedules were not created\n",
		code: 1,
	},
	{
		name: "create several, without a key", args: "schedules create -f -", stdin: "a: 1\n---\nb: 1\n",
		exchanges: []exchange{{request: "POST /api/schedules", body: `{"a":1}`, status: 401, answer: `{"code":"unauthorized","title":"a key is needed","status":401}`}},
		stderr:    "carillon: stdin:1: a key is needed\n  give a key in CARILLON_KEY, or with --key\n", code: 1,
	},
	{
		name: "list", args: "schedules list --active --pipeline local:hello --key not-a-secret",
		exchanges: []exchange{{
			request: "GET /api/schedules?active=true&limit=100&pipeline=local%3Ahello", header: map[string]string{"x-functions-key": "not-a-secret"},
			answer: `{"items":[` + listed + `,` + vienna + `,` + disabled + `]}`,
		}},
		stdout: strings.Join([]string{
			`NAME               PIPELINE      TRIGGER                                        STATUS                         LAST RUN                          NEXT RUN`,
			`every-15-minutes   local:hello   every 15 minutes                               Active                         Running 2026-11-22 19:00:00 UTC   2026-11-22 19:15:00 UTC (in 4m)`,
			`vienna             local:hello   every week on Monday at 10:30, Europe/Vienna   Active                         -                                 2026-11-23 10:30:00 CET (in 14h)`,
			`every-15-minutes   local:hello   every 15 minutes                               Disabled (data feed is down)   -                                 -`,
			"",
		}, "\n"),
	},
	{
		name: "list as JSON", args: "schedules list -o json -n 1",
		exchanges: []exchange{{request: "GET /api/schedules?limit=1", answer: `{"items":[{"name":"a","n":1.10,"odd":"<&\u0007>"}],"next":"a"}`}},
		stdout:    "[\n  {\n    \"name\": \"a\",\n    \"n\": 1.10,\n    \"odd\": \"<&\\u0007>\"\n  }\n]\n",
	},
	{
		name: "list of nothing", args: "schedules list",
		exchanges: []exchange{{request: "GET /api/schedules?limit=100", answer: `{"items":[]}`}},
		stderr:    "There are no such schedules; carillon schedules create -f FILE makes one.\n",
	},
	{
		name: "list of nothing as JSON", args: "schedules list -o json",
		exchanges: []exchange{{request: "GET /api/schedules?limit=100", answer: `{"items":[]}`}},
		stdout:    "[]\n",
	},
	{
		name: "get", args: "schedules get every-15-minutes",
		exchanges: []exchange{{request: "GET " + quarter, answer: limited, sends: map[string]string{"ETag": `"5r273vovq2zx.1"`}}},
		stdout: `Name:         every-15-minutes
Description:  optional
Pipeline:     local:hello
Experiment:   demo
Parameters:   n=1.10
              who=world
Trigger:      every 15 minutes
Catch-up:     all 2h
Jitter:       up to 5m
Calendars:    holidays, blackout
Max runs:     52; 7 so far
Steps:        a failed one does not end the run
Status:       Active
Revision:     1 (etag 5r273vovq2zx.1)
Created:      2026-11-22 19:00:07 UTC
Updated:      2026-11-22 19:00:07 UTC by root@vm
Last run:     Running 2026-11-22 19:00:00 UTC  5r273vovq2zx-20261122T190000Z
Running:      Running 2026-11-22 19:00:00 UTC  5r273vovq2zx-20261122T190000Z
Next:         2026-11-22 19:15:00 UTC (in 4m)
              2026-11-22 19:30:00 UTC (in 19m) excluded by calendar holidays
`,
	},
	{
		name: "get a disabled one", args: "schedules get every-15-minutes",
		exchanges: []exchange{{request: "GET " + quarter, answer: disabledSkipped, sends: map[string]string{"ETag": `"5r273vovq2zx.2"`}}},
		stdout: `Name:         every-15-minutes
Description:  optional
Pipeline:     local:hello
Experiment:   demo
Parameters:   n=1.10
              who=world
Trigger:      every 15 minutes
Status:       Disabled since 2026-11-22 19:10:24 UTC by root@vm: data feed is down
Revision:     2 (etag 5r273vovq2zx.2)
Created:      2026-11-22 19:00:07 UTC
Updated:      2026-11-22 19:10:24 UTC by root@vm
Last run:     Skipped (catch_up_window) 2026-11-22 18:00:00 UTC  5r273vovq2zx-20261121T201500Z
`,
	},
	{
		name: "get as it was", args: "schedules get every-15-minutes --revision 1",
		exchanges: []exchange{{request: "GET " + quarter + "/revisions/1", answer: `{"name":"every-15-minutes","pipeline":{"kind":"local","id":"hello"},"experiment":"demo",
			"trigger":{"type":"recurrence","frequency":"minute","interval":15},"status":"Active","id":"5r","revision":1,"created":"2026-11-22T19:00:07Z","updated":"2026-11-22T19:00:07Z","when":"every 15 minutes"}`}},
		stdout: `Name:         every-15-minutes
Pipeline:     local:hello
Experiment:   demo
Trigger:      every 15 minutes
Status:       Active
Revision:     1
Created:      2026-11-22 19:00:07 UTC
Updated:      2026-11-22 19:00:07 UTC
`,
	},
	{
		name: "get as JSON", args: "schedules get every-15-minutes -o json",
		exchanges: []exchange{{request: "GET " + quarter, answer: got}}, stdout: indented(got),
	},
	{
		name: "get what is not there", args: "schedules get nothing",
		exchanges: []exchange{{request: "GET /api/schedules/nothing", status: 404, answer: `{"code":"not_found","title":"schedule nothing does not exist","status":404}`}},
		stderr:    "carillon: schedule nothing does not exist\n", code: 1,
	},
	{
		name: "update", args: "schedules update every-15-minutes -f - --if-match 5r273vovq2zx.1", stdin: "trigger: {interval: 15}\nparameters: ~",
		exchanges: []exchange{{
			request: "PATCH " + quarter, body: `{"trigger":{"interval":15},"parameters":null}`, answer: created,
			header: map[string]string{"Content-Type": "application/merge-patch+json", "If-Match": `"5r273vovq2zx.1"`},
		}},
		stdout: "updated: every-15-minutes is Active, every 15 minutes, next run 2026-11-22 19:15:00 UTC (in 4m)\n" +
			"  note: day and weekday must both match\n",
	},
	{
		name: "update of another revision", args: "schedules update every-15-minutes -f -", stdin: "x: 1",
		exchanges: []exchange{{
			request: "PATCH " + quarter, header: map[string]string{"Content-Type": "application/merge-patch+json"}, body: `{"x":1}`, status: 412,
			answer: `{"code":"changed","title":"schedule every-15-minutes has changed since","status":412}`,
		}},
		stderr: "carillon: schedule every-15-minutes has changed since\n", code: 1,
	},
	{
		name: "disable", args: "schedules disable every-15-minutes --note feed<down>",
		exchanges: []exchange{{request: "POST " + quarter + "/disable", body: `{"note":"feed\u003cdown\u003e"}`, answer: disabled}},
		stdout:    "every-15-minutes is Disabled (data feed is down), every 15 minutes\n",
	},
	{
		name: "enable", args: "schedules enable every-15-minutes",
		exchanges: []exchange{{request: "POST " + quarter + "/enable", answer: listed}},
		stdout:    "every-15-minutes is Active, every 15 minutes, next run 2026-11-22 19:15:00 UTC (in 4m)\n",
	},
	{
		name: "delete", args: "schedules delete every-15-minutes",
		exchanges: []exchange{{request: "DELETE " + quarter, answer: "{}\n"}}, stdout: "deleted: every-15-minutes\n",
	},
	{
		name: "next", args: "schedules next vienna -n 2",
		exchanges: []exchange{{request: "GET /api/schedules/vienna/next?n=2", answer: `{"items":[{"time":"2026-11-23T10:30:00+01:00","utc":"2026-11-23T09:30:00Z"},{"time":"2027-03-28T03:30:00+02:00","utc":"2027-03-28T01:30:00Z","moved":true}]}`}},
		stdout: "TIME                         UTC                       AWAY      NOTE\n" +
			"2026-11-23 10:30:00 +01:00   2026-11-23 09:30:00 UTC   in 14h\n" +
			"2027-03-28 03:30:00 +02:00   2027-03-28 01:30:00 UTC   in 125d   moved by daylight saving\n",
	},
	{
		name: "next of a disabled one", args: "schedules next vienna",
		exchanges: []exchange{{request: "GET /api/schedules/vienna/next?n=5", answer: `{"items":[]}`}},
		stderr:    "vienna does not fire again as it stands: it is disabled, or over.\n",
	},
	{
		name: "next as JSON", args: "schedules next vienna -o json",
		exchanges: []exchange{{request: "GET /api/schedules/vienna/next?n=5", answer: `{"items":[{"time":"t"}]}`}},
		stdout:    "[\n  {\n    \"time\": \"t\"\n  }\n]\n",
	},
	{
		name: "trigger", args: "schedules trigger every-15-minutes --param who=me,you --param eq=a=b --param empty=",
		exchanges: []exchange{{
			request: "POST " + quarter + "/trigger", header: map[string]string{"Idempotency-Key": "*"},
			body: `{"parameters":{"empty":"","eq":"a=b","who":"me,you"}}`, status: 202, answer: manual,
		}},
		stdout: "run 5r273vovq2zx-20261122T191024Z-m35spk73o is Waiting\n  look at it with: carillon runs get 5r273vovq2zx-20261122T191024Z-m35spk73o\n",
	},
	{
		name: "trigger as it is", args: "schedules trigger every-15-minutes -o json",
		exchanges: []exchange{{request: "POST " + quarter + "/trigger", header: map[string]string{"Idempotency-Key": "*"}, status: 202, answer: manual}},
		stdout:    indented(manual),
	},
	{
		name: "runs", args: "runs list --schedule every-15-minutes --status running,Failed -n 4",
		exchanges: []exchange{{
			request: "GET /api/runs?limit=4&schedule=every-15-minutes&status=running%2CFailed",
			answer:  `{"items":[` + manual + `,` + lastRun + `,` + failed + `,` + skipped + `],"next":"251606923192|5r273vovq2zx-20261122T190000Z"}`,
		}},
		stdout: strings.Join([]string{
			`ID                                        SCHEDULE           STATUS                      TIME                      TOOK            NOTE`,
			`5r273vovq2zx-20261122T191024Z-m35spk73o   every-15-minutes   Waiting                     2026-11-22 19:10:24 UTC   -               manual by root@vm`,
			`5r273vovq2zx-20261122T190000Z             every-15-minutes   Running                     2026-11-22 19:00:00 UTC   10m23s so far`,
			`5r273vovq2zx-20261122T184500Z             every-15-minutes   Failed                      2026-11-22 18:45:00 UTC   1m31s           step greet ended with 1`,
			`5r273vovq2zx-20261121T201500Z             every-15-minutes   Skipped (catch_up_window)   2026-11-21 20:15:00 UTC   -               88 occurrences, the last 2026-11-22 18:00:00 UTC`,
			"",
		}, "\n"),
		stderr: "There are more than these 4; --limit 0 lists all.\n",
	},
	{
		name: "run", args: "runs get 5r273vovq2zx-20261122T184500Z",
		exchanges: []exchange{{request: "GET /api/runs/5r273vovq2zx-20261122T184500Z", answer: failed}},
		stdout: `ID:           5r273vovq2zx-20261122T184500Z
Schedule:     every-15-minutes (revision 1)
Status:       Failed
Error:        step greet ended with 1
Kind:         scheduled
Pipeline:     local:hello
Experiment:   demo
Parameters:   n=1.10
              who=world
Time:         2026-11-22 18:45:00 UTC
Recorded:     2026-11-22 18:44:52 UTC
Submitted:    2026-11-22 18:45:00 UTC (2 attempts)
Started:      2026-11-22 18:45:00 UTC
Ended:        2026-11-22 18:46:31 UTC
Took:         1m31s
Run:          run-6
Link:         http://127.0.0.1:7071/api/studio/runs/run-6

STEP    STATUS     TOOK    EXIT   NOTE
greet   Failed     1m30s   1      exit status 1
when    Canceled   -       -
`,
	},
	{
		name: "run elsewhere, of many steps", args: "runs get 5r273vovq2zx-20261122T190000Z",
		exchanges: []exchange{{request: "GET /api/runs/5r273vovq2zx-20261122T190000Z", answer: manySteps}},
		stdout: `ID:           5r273vovq2zx-20261122T190000Z
Schedule:     every-15-minutes (revision 1)
Status:       Running
Kind:         scheduled
Pipeline:     published:3f1c
Time:         2026-11-22 19:00:00 UTC
Recorded:     2026-11-22 18:59:52 UTC
Submitted:    2026-11-22 19:00:00 UTC
Started:      2026-11-22 19:00:00 UTC
Took:         10m24s so far
Run:          9a0b

STEP      STATUS      TOOK   EXIT   NOTE
prepare   Completed   1m     -
train     Running     -      -
`,
		stderr: "There are more steps than these 2.\n",
	},
	{
		name: "skipped run", args: "runs get 5r273vovq2zx-20261121T201500Z",
		exchanges: []exchange{{request: "GET /api/runs/5r273vovq2zx-20261121T201500Z", answer: skipped}},
		stdout: `ID:           5r273vovq2zx-20261121T201500Z
Schedule:     every-15-minutes (revision 1)
Status:       Skipped (catch_up_window)
Stands for:   88 occurrences, the last 2026-11-22 18:00:00 UTC
Kind:         scheduled
Time:         2026-11-21 20:15:00 UTC
Recorded:     2026-11-22 18:40:24 UTC
Ended:        2026-11-22 18:40:24 UTC
`,
	},
	{
		name: "run that was to end", args: "runs get 5r273vovq2zx-20261122T184500Z",
		exchanges: []exchange{{request: "GET /api/runs/5r273vovq2zx-20261122T184500Z", answer: `{"id":"5r273vovq2zx-20261122T184500Z","schedule":"s","kind":"scheduled",
			"status":"Canceled","nominal":"2026-11-22T18:45:00Z","recorded":"2026-11-22T18:44:52Z","revision":1,"cancel_by":"ann","makes_room_for":"5r273vovq2zx-20261122T190000Z"}`}},
		stdout: `ID:           5r273vovq2zx-20261122T184500Z
Schedule:     s (revision 1)
Status:       Canceled
Kind:         scheduled
Cancelled by: ann
Gives way to: 5r273vovq2zx-20261122T190000Z (overlap: cancel_running)
Time:         2026-11-22 18:45:00 UTC
Recorded:     2026-11-22 18:44:52 UTC
`,
	},
	{
		name: "run as JSON", args: "runs get a/b -o json",
		exchanges: []exchange{{request: "GET /api/runs/a%2Fb", answer: failed}}, stdout: indented(failed),
	},
	{
		name: "output", args: "runs output 5r273vovq2zx-20261122T184500Z",
		exchanges: []exchange{{
			request: "GET /api/runs/5r273vovq2zx-20261122T184500Z/output", sends: map[string]string{"Content-Type": "text/plain; charset=utf-8"},
			answer: "hello, \x1b[31mworld\x1b[0m\nno end of line",
		}},
		stdout: "hello, \x1b[31mworld\x1b[0m\nno end of line",
	},
	{
		name: "cancel", args: "runs cancel 5r273vovq2zx-20261122T190000Z",
		exchanges: []exchange{{request: "POST /api/runs/5r273vovq2zx-20261122T190000Z/cancel", status: 202, answer: lastRun}},
		stdout:    "run 5r273vovq2zx-20261122T190000Z is Running; it is asked to end\n",
	},
	{
		name: "cancel while it is being submitted", args: "runs cancel x",
		exchanges: []exchange{{request: "POST /api/runs/x/cancel", status: 202, answer: `{"id":"x","status":"Submitting","cancel_by":"ann"}`}},
		stdout:    "run x is Submitting; it is asked to end as soon as it is known to be under way\n",
	},
	{
		name: "cancel too late", args: "runs cancel x -o json",
		exchanges: []exchange{{request: "POST /api/runs/x/cancel", status: 409, answer: exists}},
		stderr:    indented(exists), code: 1,
	},
	{name: "version", args: "version", stdout: "carillon 1.2.3\n"},
	{name: "version as JSON", args: "version -o json", stdout: "{\n  \"version\": \"1.2.3\"\n}\n"},
}

func TestCommands(t *testing.T) { runCommands(t, commandTests) }

func runCommands(t *testing.T, tests []commandTest) {
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			code, stdout, stderr := run(t, script(t, test.exchanges...), test.stdin, strings.Fields(test.args)...)
			compare(t, "stdout", stdout, test.stdout)
			compare(t, "stderr", stderr, test.stderr)
			if code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
		})
	}
}

func indented(data string) string {
	var b bytes.Buffer
	if err := json.Indent(&b, []byte(strings.TrimSpace(data)), "", "  "); err != nil {
		panic(err)
	}
	return b.String() + "\n"
}

// Nothing is created when one of several files cannot be read.
func TestCreateReadsAllFilesFirst(t *testing.T) {
	folder := t.TempDir()
	good, bad := filepath.Join(folder, "good.yaml"), filepath.Join(folder, "bad.yaml")
	os.WriteFile(good, []byte(quarterYAML), 0o600)
	os.WriteFile(bad, []byte("name: x\n\nname: y\n"), 0o600)
	code, stdout, stderr := run(t, script(t), "", "schedules", "create", "-f", good, "-f", bad)
	if code != 1 || stdout != "" {
		t.Errorf("exit code %d, stdout %q, want 1 and nothing", code, stdout)
	}
	compare(t, "stderr", stderr, "carillon: "+bad+`:3: "name" is given twice, first in line 1`+"\n")

	missing := filepath.Join(folder, "missing.yaml")
	_, _, stderr = run(t, script(t), "", "schedules", "create", "-f", missing)
	compare(t, "stderr", stderr, "carillon: "+missing+": no such file or directory\n")
}

func TestCreateFromSeveralFiles(t *testing.T) {
	folder := t.TempDir()
	one, two := filepath.Join(folder, "one.yaml"), filepath.Join(folder, "two,2.json")
	os.WriteFile(one, []byte("a: 1"), 0o600)
	os.WriteFile(two, []byte("{\"b\": 1}\n\n{\"c\": 1}"), 0o600)
	endpoint := script(t,
		exchange{request: "POST /api/schedules", body: `{"a":1}`, status: 201, answer: listed},
		exchange{request: "POST /api/schedules", body: `{"b": 1}`, status: 201, answer: listed},
		exchange{request: "POST /api/schedules", body: `{"c": 1}`, status: 409, answer: exists})
	code, _, stderr := run(t, endpoint, "", "schedules", "create", "-f", one, "-f", two)
	compare(t, "stderr", stderr, "carillon: "+two+":3: schedule every-15-minutes: it exists already\ncarillon: 1 of 3 schedules were not created\n")
	if code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
}
