package cli

import "testing"

const (
	helloPipeline = `{"pipeline":{"kind":"local","id":"hello"},"name":"Hello","description":"Greets somebody and says when.","parameters":{"empty":"","path":"","who":"world"},"required":["path"],"status":"Active","schedules":[{"name":"every-15-minutes","status":"Active"},{"name":"old","status":"Disabled"}],"last_run":` + lastRun + `}`
	trainPipeline = `{"pipeline":{"kind":"batch_endpoint","id":"train/blue"},"name":"train","deployments":["blue","green"],"default_deployment":"blue","status":"Disabled","disabled_in":["carillon"],"status_note":{"note":"wrong\u001b data","by":"ann@vm","at":"2026-11-22T19:10:24Z"},"schedules":[{"name":"a","status":"Disabled"},{"name":"b","status":"Disabled"}],"more_schedules":true}`
	scorePipeline = `{"pipeline":{"kind":"batch_endpoint","id":"score"},"name":"score","description":"Scores","also":[{"kind":"batch_endpoint","id":"score/blue"}],"status":"Disabled","disabled_in":["carillon"],"disabled_as":{"kind":"batch_endpoint","id":"score/blue"},"status_note":{"by":"ann","at":"2026-11-22T19:10:24Z"},"schedules":[{"name":"a","status":"Active"},{"name":"b","status":"Disabled","as":{"kind":"batch_endpoint","id":"score/blue"}},{"name":"c","status":"Active","as":{"kind":"other","id":"x"}}]}`
)

func TestPipelines(t *testing.T) {
	runCommands(t, []commandTest{
		{
			name: "list", args: "pipelines list",
			exchanges: []exchange{{
				request: "GET /api/pipelines?limit=100",
				answer:  `{"items":[` + trainPipeline + `,` + helloPipeline + `,{"pipeline":{"kind":"published","id":"x"},"name":"x","problem":"it is disabled in the workspace","status":"Disabled","disabled_in":["service"],"schedules":[]}],"notices":["pipelines of kind pipeline_job cannot be listed: no answer"]}`,
			}},
			stdout: "PIPELINE                    NAME    STATUS     SCHEDULES                          LAST RUN                          NOTE\n" +
				"batch_endpoint:train/blue   train   Disabled   a (Disabled), b (Disabled), …      -                                 disabled by ann@vm: wrong\\x1b data\n" +
				"local:hello                 Hello   Active     every-15-minutes, old (Disabled)   Running 2026-11-22 19:00:00 UTC   Greets somebody and says when.\n" +
				"published:x                 x       Disabled   -                                  -                                 cannot run: it is disabled in the workspace\n",
			stderr: "  note: pipelines of kind pipeline_job cannot be listed: no answer\n",
		},
		{
			name: "list in pages, the notices of all", args: "pipelines list --kind local --disabled --limit 0",
			exchanges: []exchange{
				{request: "GET /api/pipelines?active=false&kind=local&limit=200", answer: `{"items":[],"next":"local:a","notices":["one"]}`},
				{request: "GET /api/pipelines?active=false&kind=local&limit=200&token=local%3Aa", answer: `{"items":[],"notices":["two","one"]}`},
			},
			stderr: "There are no such pipelines.\n  note: one\n  note: two\n",
		},
		{
			name: "get", args: "pipelines get batch_endpoint:train/blue",
			exchanges: []exchange{{request: "GET /api/pipelines/batch_endpoint?id=train%2Fblue", answer: trainPipeline}},
			stdout: `Pipeline:     batch_endpoint:train/blue
Name:         train
Status:       Disabled (in: carillon)
              disabled by ann@vm: wrong\x1b data at 2026-11-22 19:10:24 UTC
Deployments:  blue (the default)
              green
Schedules:    a (Disabled)
              b (Disabled)
              …
`,
		},
		{
			name: "under another reference", args: "pipelines get batch_endpoint:score",
			exchanges: []exchange{{request: "GET /api/pipelines/batch_endpoint?id=score", answer: scorePipeline}},
			stdout: `Pipeline:     batch_endpoint:score
Same as:      batch_endpoint:score/blue, at the moment
Name:         score
Description:  Scores
Status:       Disabled (in: carillon)
              disabled as score/blue by ann at 2026-11-22 19:10:24 UTC
Schedules:    a
              b (Disabled, as score/blue)
              c (as other:x)
`,
		},
		{
			name: "enable one that stays disabled", args: "pipelines enable batch_endpoint:score",
			exchanges: []exchange{{request: "POST /api/pipelines/batch_endpoint/enable?id=score", answer: scorePipeline[:len(scorePipeline)-1] + `,"notices":["it stays disabled"]}`}},
			stdout:    "batch_endpoint:score is Disabled\n  schedules: a, b (Disabled, as score/blue), c (as other:x)\n  note: it stays disabled\n",
		},
		{
			name: "get another", args: "pipelines get local:hello",
			exchanges: []exchange{{request: "GET /api/pipelines/local?id=hello", answer: helloPipeline}},
			stdout: `Pipeline:     local:hello
Name:         Hello
Description:  Greets somebody and says when.
Status:       Active
Parameters:   empty=
              path (required)
              who=world
Schedules:    every-15-minutes
              old (Disabled)
Last run:     Running 2026-11-22 19:00:00 UTC  5r273vovq2zx-20261122T190000Z
`,
		},
		{
			name: "an id with colons", args: "pipelines get pipeline_job:component:train:1 -o json",
			exchanges: []exchange{{request: "GET /api/pipelines/pipeline_job?id=component%3Atrain%3A1", answer: helloPipeline}},
			stdout:    indented(helloPipeline),
		},
		{
			name: "disable", args: "pipelines disable batch_endpoint:train/blue --note why --with-schedules",
			exchanges: []exchange{{
				request: "POST /api/pipelines/batch_endpoint/disable?id=train%2Fblue", body: `{"note":"why","with_schedules":true}`,
				answer: trainPipeline[:len(trainPipeline)-1] + `,"notices":["late"]}`,
			}},
			stdout: "batch_endpoint:train/blue is Disabled\n  schedules: a (Disabled), b (Disabled), …\n  note: late\n",
		},
		{
			name: "disable, refused", args: "pipelines disable local:hello",
			exchanges: []exchange{{
				request: "POST /api/pipelines/local/disable?id=hello", status: 409,
				answer: `{"code":"conflict","title":"pipeline local:hello is started by 2 active schedule(s): a, b","status":409,"detail":"Disable them first."}`,
			}},
			stderr: "carillon: pipeline local:hello is started by 2 active schedule(s): a, b\n  Disable them first.\n", code: 1,
		},
		{
			name: "enable", args: "pipelines enable local:hello --note fixed",
			exchanges: []exchange{{request: "POST /api/pipelines/local/enable?id=hello", body: `{"note":"fixed"}`, answer: helloPipeline}},
			stdout:    "local:hello is Active\n  schedules: every-15-minutes, old (Disabled)\n",
		},
		{
			name: "no pipeline", args: "pipelines disable hello",
			stderr: "carillon: \"hello\" is no pipeline: give it as KIND:ID, such as local:hello\n  carillon pipelines disable --help says how it is used\n", code: 2,
		},
		{
			name: "a kind that leads elsewhere", args: "pipelines get ../schedules:x",
			stderr: "carillon: \"../schedules:x\" is no pipeline: give it as KIND:ID, such as local:hello\n  carillon pipelines get --help says how it is used\n", code: 2,
		},
	})
}

func TestExperiments(t *testing.T) {
	pages := []exchange{
		{request: "GET /api/experiments?limit=200", answer: `{"items":[{"name":"demo","schedules":3,"active":2},{"name":"night","schedules":1,"active":1}],"next":"s4"}`},
		{request: "GET /api/experiments?limit=200&token=s4", answer: `{"items":[{"name":"b","schedules":1,"active":0},{"name":"demo","schedules":2,"active":2}]}`},
	}
	runCommands(t, []commandTest{
		{
			name: "list", args: "experiments list", exchanges: pages,
			stdout: "EXPERIMENT   SCHEDULES   ACTIVE\nb            1           0\ndemo         5           4\nnight        1           1\n",
		},
		{
			name: "list as JSON", args: "experiments list -o json", exchanges: pages,
			stdout: indented(`[{"name":"b","schedules":1,"active":0},{"name":"demo","schedules":5,"active":4},{"name":"night","schedules":1,"active":1}]`),
		},
		{
			name: "list of nothing", args: "experiments list", exchanges: []exchange{{request: "GET /api/experiments?limit=200", answer: `{"items":[]}`}},
			stderr: "There are no schedules, and so no experiments.\n",
		},
	})
}
