package cli

import "testing"

const (
	scoreYAML = `name: score
pipeline: {kind: local, id: score}
experiment: scores
trigger: {type: datastore, datastore: inbox, path_on_datastore: incoming, recursive: false, include: ["*.csv"],
          polling_interval: 5, mode: each, data_path_parameter_name: input_data}
`
	scoreJSON = `{"name":"score","pipeline":{"kind":"local","id":"score"},"experiment":"scores","trigger":{"type":"datastore","datastore":"inbox","path_on_datastore":"incoming","recursive":false,"include":["*.csv"],"polling_interval":5,"mode":"each","data_path_parameter_name":"input_data"}}`

	scoreFields = `"name":"score","pipeline":{"kind":"local","id":"score"},"experiment":"scores","trigger":{"type":"datastore","time_zone":"Europe/Vienna","datastore":"inbox","path_on_datastore":"incoming","include":["*.csv"]},"overlap":"buffer_all","pause_after_failures":3,"id":"22o6difdyujc","revision":1,"created":"2026-11-22T19:00:07Z","updated":"2026-11-22T19:00:07Z","when":"when a file changes in inbox/incoming (*.csv)"`
	polled      = `{` + scoreFields + `,"status":"Active","watch":{"looked":"2026-11-22T19:08:00Z","next_look":"2026-11-22T19:13:00Z"}}`
	awaiting    = `{` + scoreFields + `,"status":"Active","watch":{}}`
	denied      = `{` + scoreFields + `,"status":"Active","watch":{"looked":"2026-11-22T19:03:00Z","next_look":"2026-11-22T19:13:00Z","problem":"list inbox/incoming: the datastore may not be read","problem_since":"2026-11-22T19:08:00Z"}}`
	batching    = `{` + scoreFields + `,"status":"Active","notices":["overlap"],"watch":{"window":{"opened":"2026-11-22T19:09:00Z","closes":"2026-11-22T19:14:00Z","changes":12}}}`
	holding     = `{` + scoreFields + `,"status":"Active","watch":{"window":{"opened":"2026-11-22T19:09:00Z","changes":1,"waits_for":["inbox/a","inbox/b (*.csv)"]}}}`
	watchesNot  = `{` + scoreFields + `,"status":"Disabled","watch":{"looked":"2026-11-22T19:08:00Z"}}`

	aChange   = `{"datastore":"inbox","path":"incoming/ä b.csv","etag":"0x8D4","modified":"2026-11-22T19:09:58Z","recorded":"2026-11-22T19:10:00.25Z"}`
	oneChange = `{"id":"22o6difdyujc-20261122T191000Z-c01","schedule":"score","kind":"change","status":"Running","nominal":"2026-11-22T19:10:00Z","recorded":"2026-11-22T19:10:00.25Z","submitted":"2026-11-22T19:10:01Z","started":"2026-11-22T19:10:02Z","pipeline":{"kind":"local","id":"score"},"experiment":"scores","revision":1,"attempts":1,"run":"run-9","change":` + aChange + `,"changes":1,"data_path":{"parameter":"input_data","datastore":"inbox","path":"incoming/ä b.csv"}}`
	inWindow  = `{"id":"22o6difdyujc-20261122T190900Z-wx","schedule":"score","kind":"change","status":"Skipped","reason":"disabled","nominal":"2026-11-22T19:14:00Z","recorded":"2026-11-22T19:14:00Z","ended":"2026-11-22T19:14:00Z","revision":1,"changes":12,"window":{"start":"2026-11-22T19:09:00Z","end":"2026-11-22T19:14:00Z"}}`

	explained = `{"datastore":"inbox","path":"incoming/a.csv","exists":true,"etag":"0x8D4","modified":"2026-11-22T19:09:58Z","matches":[{"schedule":"score","status":"Active","folder":"inbox/incoming (*.csv)","verdict":"fired","says":"It fired: \u001b[31mrun."},{"schedule":"all","status":"Disabled","folder":"inbox/ (with subfolders)","verdict":"disabled","says":"It does not fire."}],"near":[{"schedule":"images","folder":"inbox/incoming (*.png)","why":"none of include (*.png) matches a.csv"}],"notices":["datastore warm is the same container: ask for it, too"]}`
)

const explainPath = "GET /api/explain?datastore=inbox&path=incoming%2Fa.csv"

func TestDataThatChange(t *testing.T) {
	runCommands(t, []commandTest{
		{
			name: "create", args: "schedules create -f -", stdin: scoreYAML,
			exchanges: []exchange{{request: "POST /api/schedules", body: scoreJSON, status: 201, answer: polled}},
			stdout:    "created: score is Active, when a file changes in inbox/incoming (*.csv)\n",
		},
		{
			name: "create with a glob that is none in YAML", args: "schedules create -f -", stdin: "name: s\ntrigger: {include: *csv}\n",
			stderr: "carillon: stdin:2: unknown anchor 'csv' referenced; text that begins with * or & has to be in quotes\n", code: 1,
		},
		{
			name: "create with another", args: "schedules create -f -", stdin: "name: s\ntrigger:\n  include: *.csv\n",
			stderr: "carillon: stdin:3: did not find expected alphabetic or numeric character; text that begins with * or & has to be in quotes\n", code: 1,
		},
		{
			name: "enable what cannot look", args: "schedules enable score",
			exchanges: []exchange{{request: "POST /api/schedules/score/enable", answer: denied}},
			stdout:    "score is Active, when a file changes in inbox/incoming (*.csv); its datastores cannot be looked at: list inbox/incoming: the datastore may not be read\n",
		},
		{
			name: "list", args: "schedules list",
			exchanges: []exchange{{request: "GET /api/schedules?limit=100", answer: `{"items":[` + polled + `,` + awaiting + `,` + denied + `,` + batching + `,` + holding + `,` + watchesNot + `]}`}},
			stdout: "NAME    PIPELINE      TRIGGER                                         STATUS     LAST RUN   NEXT RUN\n" +
				"score   local:score   when a file changes in inbox/incoming (*.csv)   Active     -          looks 2026-11-22 20:13:00 CET (in 2m)\n" +
				"score   local:score   when a file changes in inbox/incoming (*.csv)   Active     -          on an event\n" +
				"score   local:score   when a file changes in inbox/incoming (*.csv)   Active     -          cannot look: list inbox/incoming: the datastore may not be…\n" +
				"score   local:score   when a file changes in inbox/incoming (*.csv)   Active     -          12 changes, until 2026-11-22 20:14:00 CET (in 3m)\n" +
				"score   local:score   when a file changes in inbox/incoming (*.csv)   Active     -          1 change, waiting for inbox/a and inbox/b (*.csv)\n" +
				"score   local:score   when a file changes in inbox/incoming (*.csv)   Disabled   -          -\n",
		},
		{
			name: "get what cannot look", args: "schedules get score",
			exchanges: []exchange{{request: "GET /api/schedules/score", answer: denied, sends: map[string]string{"ETag": `"22o6difdyujc.1"`}}},
			stdout: `Name:         score
Pipeline:     local:score
Experiment:   scores
Trigger:      when a file changes in inbox/incoming (*.csv)
Overlap:      buffer_all
Pauses:       after 3 failed runs in a row
Status:       Active
Revision:     1 (etag 22o6difdyujc.1)
Created:      2026-11-22 19:00:07 UTC
Updated:      2026-11-22 19:00:07 UTC
Looked:       2026-11-22 20:03:00 CET
Looks:        2026-11-22 20:13:00 CET (in 2m)
Problem:      since 2026-11-22 20:08:00 CET: list inbox/incoming: the datastore may not be read
`,
		},
		{
			name: "get with a window", args: "schedules get score",
			exchanges: []exchange{{request: "GET /api/schedules/score", answer: batching, sends: map[string]string{"ETag": `"22o6difdyujc.1"`}}},
			stdout: `Name:         score
Pipeline:     local:score
Experiment:   scores
Trigger:      when a file changes in inbox/incoming (*.csv)
Overlap:      buffer_all
Pauses:       after 3 failed runs in a row
Status:       Active
Revision:     1 (etag 22o6difdyujc.1)
Created:      2026-11-22 19:00:07 UTC
Updated:      2026-11-22 19:00:07 UTC
Looks:        never: its datastores send their changes
Window:       12 changes since 2026-11-22 20:09:00 CET, closes 2026-11-22 20:14:00 CET (in 3m)
Notices:      overlap
`,
		},
		{
			name: "get what waits for folders", args: "schedules get score",
			exchanges: []exchange{{request: "GET /api/schedules/score", answer: holding, sends: map[string]string{"ETag": `"22o6difdyujc.1"`}}},
			stdout: `Name:         score
Pipeline:     local:score
Experiment:   scores
Trigger:      when a file changes in inbox/incoming (*.csv)
Overlap:      buffer_all
Pauses:       after 3 failed runs in a row
Status:       Active
Revision:     1 (etag 22o6difdyujc.1)
Created:      2026-11-22 19:00:07 UTC
Updated:      2026-11-22 19:00:07 UTC
Looks:        never: its datastores send their changes
Window:       1 change since 2026-11-22 20:09:00 CET
Waits for:    inbox/a
              inbox/b (*.csv)
`,
		},
		{
			name: "next", args: "schedules next score",
			exchanges: []exchange{{request: "GET /api/schedules/score/next?n=5", answer: `{"items":[],"notices":["it has no times of its own: it fires when a file changes in inbox/incoming","it is disabled, and does not fire"]}`}},
			stderr:    "score: it has no times of its own: it fires when a file changes in inbox/incoming; it is disabled, and does not fire\n",
		},
		{
			name: "preview", args: "schedules next -f -", stdin: scoreYAML,
			exchanges: []exchange{{request: "POST /api/preview?n=5", body: scoreJSON, answer: `{"when":"when a file changes in inbox/incoming (*.csv)","items":[],"notices":["it has no times of its own"]}`}},
			stdout:    "when a file changes in inbox/incoming (*.csv)\n  note: it has no times of its own\n",
		},
		{
			name: "runs", args: "runs list",
			exchanges: []exchange{{request: "GET /api/runs?limit=100", answer: `{"items":[` + oneChange + `,` + inWindow + `]}`}},
			stdout: "ID                                  SCHEDULE   STATUS               TIME                      TOOK         NOTE\n" +
				"22o6difdyujc-20261122T191000Z-c01   score      Running              2026-11-22 19:10:00 UTC   22s so far   inbox/incoming/ä b.csv\n" +
				"22o6difdyujc-20261122T190900Z-wx    score      Skipped (disabled)   2026-11-22 19:14:00 UTC   -            12 changes\n",
		},
		{
			name: "run of a change", args: "runs get 22o6difdyujc-20261122T191000Z-c01",
			exchanges: []exchange{{request: "GET /api/runs/22o6difdyujc-20261122T191000Z-c01", answer: oneChange}},
			stdout: `ID:           22o6difdyujc-20261122T191000Z-c01
Schedule:     score (revision 1)
Status:       Running
Kind:         change
Pipeline:     local:score
Experiment:   scores
Change:       inbox/incoming/ä b.csv (etag 0x8D4)
Data path:    input_data=inbox/incoming/ä b.csv
Time:         2026-11-22 19:10:00 UTC
Recorded:     2026-11-22 19:10:00 UTC
Submitted:    2026-11-22 19:10:01 UTC
Started:      2026-11-22 19:10:02 UTC
Took:         22s so far
Run:          run-9
`,
		},
		{
			name: "run of a window", args: "runs get 22o6difdyujc-20261122T190900Z-wx",
			exchanges: []exchange{{request: "GET /api/runs/22o6difdyujc-20261122T190900Z-wx", answer: inWindow}},
			stdout: `ID:           22o6difdyujc-20261122T190900Z-wx
Schedule:     score (revision 1)
Status:       Skipped (disabled)
Kind:         change
Changes:      12; carillon runs changes 22o6difdyujc-20261122T190900Z-wx lists them
Window:       2026-11-22 19:09:00 UTC to 2026-11-22 19:14:00 UTC
Time:         2026-11-22 19:14:00 UTC
Recorded:     2026-11-22 19:14:00 UTC
Ended:        2026-11-22 19:14:00 UTC
`,
		},
		{
			name: "changes", args: "runs changes r-1 -n 0",
			exchanges: []exchange{
				{request: "GET /api/runs/r-1/changes?limit=200", answer: `{"items":[` + aChange + `],"next":"1|a"}`},
				{request: "GET /api/runs/r-1/changes?limit=200&token=1%7Ca", answer: `{"items":[]}`},
			},
			stdout: "FILE                     MODIFIED                  RECORDED                  ETAG\n" +
				"inbox/incoming/ä b.csv   2026-11-22 19:09:58 UTC   2026-11-22 19:10:00 UTC   0x8D4\n",
		},
		{
			name: "no changes", args: "runs changes r-1",
			exchanges: []exchange{{request: "GET /api/runs/r-1/changes?limit=100", answer: `{"items":[]}`}},
			stderr:    "No change has fired that run.\n",
		},
		{
			name: "datastores", args: "datastores list",
			exchanges: []exchange{{request: "GET /api/datastores?limit=100", answer: `{"items":[{"name":"hot","account":"acme","container":"raw","events":true},{"name":"inbox","events":false}],"notices":["the workspace's datastores cannot be listed: no answer"]}`}},
			stdout: "NAME    ACCOUNT   CONTAINER   CHANGES\n" +
				"hot     acme      raw         come as events\n" +
				"inbox   -         -           are looked for\n",
			stderr: "  note: the workspace's datastores cannot be listed: no answer\n",
		},
		{
			name: "datastores as JSON", args: "datastores list -o json",
			exchanges: []exchange{{request: "GET /api/datastores?limit=100", answer: `{"items":[],"notices":["no answer"]}`}},
			stdout:    "[]\n", stderr: "  note: no answer\n",
		},
		{
			name: "no datastores", args: "datastores list",
			exchanges: []exchange{{request: "GET /api/datastores?limit=100", answer: `{"items":[]}`}},
			stderr:    "There are no datastores; on Azure the setting CARILLON_DATASTORES names them, on a plain machine a folder DIR/datastores/NAME is one.\n",
		},
		{
			name: "explain", args: "explain --datastore inbox --path incoming/a.csv",
			exchanges: []exchange{{request: explainPath, answer: explained}},
			stdout: `inbox/incoming/a.csv was written at 2026-11-22 19:09:58 UTC (etag 0x8D4)
  note: datastore warm is the same container: ask for it, too

score (Active) watches inbox/incoming (*.csv)
  It fired: \x1b[31mrun.

all (Disabled) watches inbox/ (with subfolders)
  It does not fire.

It does not fire, although they watch its folder or one above it:
  images, inbox/incoming (*.png): none of include (*.png) matches a.csv
`,
		},
		{
			name: "explain as JSON", args: "explain -d inbox -p incoming/a.csv -o json",
			exchanges: []exchange{{request: explainPath, answer: explained}}, stdout: indented(explained),
		},
		{
			name: "explain what nobody watches", args: "explain -d inbox -p incoming/a.csv",
			exchanges: []exchange{{request: explainPath, answer: `{"datastore":"inbox","path":"incoming/a.csv","exists":false,"matches":[],"near":[]}`}},
			stdout:    "inbox/incoming/a.csv does not exist now\nIt fires no schedule.\n",
		},
		{
			name: "explain what cannot be looked at", args: "explain -d inbox -p incoming/a.csv",
			exchanges: []exchange{{request: explainPath, answer: `{"datastore":"inbox","path":"incoming/a.csv","exists":false,"problem":"the datastore may not be read","matches":[],"near":[]}`}},
			stdout:    "inbox/incoming/a.csv cannot be looked at: the datastore may not be read\nIt fires no schedule.\n",
		},
	})
}
