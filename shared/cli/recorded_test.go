package cli

// Answers as functions/api gives them.
const (
	quarterFields = `"name":"every-15-minutes","description":"optional","pipeline":{"kind":"local","id":"hello"},"experiment":"demo","parameters":{"n":"1.10","who":"world"},"trigger":{"type":"recurrence","frequency":"minute","interval":15}`
	quarterKept   = `"id":"5r273vovq2zx","revision":1,"created":"2026-11-22T19:00:07Z","updated":"2026-11-22T19:00:07Z","updated_by":"root@vm"`
	nextFive      = `"next_five":[{"time":"2026-11-22T19:15:00Z","utc":"2026-11-22T19:15:00Z"},{"time":"2026-11-22T19:30:00Z","utc":"2026-11-22T19:30:00Z"}]`

	lastRun = `{"id":"5r273vovq2zx-20261122T190000Z","schedule":"every-15-minutes","kind":"scheduled","status":"Running","nominal":"2026-11-22T19:00:00Z","recorded":"2026-11-22T18:59:52Z","submitted":"2026-11-22T19:00:00Z","started":"2026-11-22T19:00:00.687933562Z","pipeline":{"kind":"local","id":"hello"},"experiment":"demo","parameters":{"n":"1.10","who":"world"},"revision":1,"attempts":1,"run":"run-7"}`

	created = `{` + quarterFields + `,"status":"Active",` + quarterKept + `,"when":"every 15 minutes","next":"2026-11-22T19:15:00Z",` + nextFive + `,"notices":["day and weekday must both match"]}`
	got     = `{` + quarterFields + `,"catch_up":{"policy":"all","window":"2h"},"continue_on_step_failure":true,"status":"Active",` + quarterKept + `,"when":"every 15 minutes","next":"2026-11-22T19:15:00Z",` + nextFive + `,"last_run":` + lastRun + `,"running":[` + lastRun + `]}`
	limited = `{` + quarterFields + `,"catch_up":{"policy":"all","window":"2h"},"jitter":"5m","calendars":["holidays","blackout"],"max_runs":52,"submitted":7,"continue_on_step_failure":true,"status":"Active",` + quarterKept + `,"when":"every 15 minutes","next":"2026-11-22T19:15:00Z","next_five":[{"time":"2026-11-22T19:15:00Z","utc":"2026-11-22T19:15:00Z"},{"time":"2026-11-22T19:30:00Z","utc":"2026-11-22T19:30:00Z","excluded":"holidays"}],"last_run":` + lastRun + `,"running":[` + lastRun + `]}`
	listed  = `{` + quarterFields + `,"status":"Active",` + quarterKept + `,"when":"every 15 minutes","next":"2026-11-22T19:15:00Z","last_run":` + lastRun + `}`
	vienna  = `{"name":"vienna","pipeline":{"kind":"local","id":"hello"},"experiment":"demo","trigger":{"type":"recurrence","frequency":"week","interval":1,"time_zone":"Europe/Vienna","schedule":{"minutes":[30],"hours":[10],"week_days":["Monday"]}},"catch_up":{"policy":"none"},"status":"Active","id":"22o6difdyujc","revision":1,"created":"2026-11-22T19:00:07Z","updated":"2026-11-22T19:00:07Z","when":"every week on Monday at 10:30, Europe/Vienna","next":"2026-11-23T10:30:00+01:00"}`

	disabled        = `{` + quarterFields + `,"status":"Disabled","id":"5r273vovq2zx","revision":2,"created":"2026-11-22T19:00:07Z","updated":"2026-11-22T19:10:24Z","updated_by":"root@vm","status_note":{"note":"data feed is down","by":"root@vm","at":"2026-11-22T19:10:24Z"},"when":"every 15 minutes"}`
	disabledSkipped = `{` + quarterFields + `,"status":"Disabled","id":"5r273vovq2zx","revision":2,"created":"2026-11-22T19:00:07Z","updated":"2026-11-22T19:10:24Z","updated_by":"root@vm","status_note":{"note":"data feed is down","by":"root@vm","at":"2026-11-22T19:10:24Z"},"when":"every 15 minutes","last_run":` + skipped + `}`

	manual    = `{"id":"5r273vovq2zx-20261122T191024Z-m35spk73o","schedule":"every-15-minutes","kind":"manual","status":"Waiting","nominal":"2026-11-22T19:10:24Z","recorded":"2026-11-22T19:10:24Z","parameters":{"who":"me"},"revision":1,"by":"root@vm"}`
	manySteps = `{"id":"5r273vovq2zx-20261122T190000Z","schedule":"every-15-minutes","kind":"scheduled","status":"Running","nominal":"2026-11-22T19:00:00Z","recorded":"2026-11-22T18:59:52Z","submitted":"2026-11-22T19:00:00Z","started":"2026-11-22T19:00:00Z","pipeline":{"kind":"published","id":"3f1c"},"revision":1,"attempts":1,"run":"9a0b","steps":[{"name":"prepare","status":"Completed","started":"2026-11-22T19:00:00Z","ended":"2026-11-22T19:01:00Z"},{"name":"train","status":"Running"}],"more_steps":true}`
	failed    = `{"id":"5r273vovq2zx-20261122T184500Z","schedule":"every-15-minutes","kind":"scheduled","status":"Failed","error":"step greet ended with 1","nominal":"2026-11-22T18:45:00Z","recorded":"2026-11-22T18:44:52Z","submitted":"2026-11-22T18:45:00Z","started":"2026-11-22T18:45:00.5Z","ended":"2026-11-22T18:46:31Z","pipeline":{"kind":"local","id":"hello"},"experiment":"demo","parameters":{"n":"1.10","who":"world"},"revision":1,"attempts":2,"run":"run-6","link":"http://127.0.0.1:7071/api/studio/runs/run-6","steps":[{"name":"greet","status":"Failed","started":"2026-11-22T18:45:01Z","ended":"2026-11-22T18:46:31Z","exit":1,"error":"exit status 1"},{"name":"when","status":"Canceled"}]}`
	skipped   = `{"id":"5r273vovq2zx-20261121T201500Z","schedule":"every-15-minutes","kind":"scheduled","status":"Skipped","reason":"catch_up_window","nominal":"2026-11-21T20:15:00Z","last":"2026-11-22T18:00:00Z","count":88,"recorded":"2026-11-22T18:40:24Z","ended":"2026-11-22T18:40:24Z","revision":1}`

	wrongFields = `{"code":"invalid_fields","title":"the document has 2 wrong field(s)","status":422,"fields":[{"field":"trigger.interval","message":"0 is too small: the smallest is 1"},{"field":"x","message":"is not a field here"}]}` + "\n"
	exists      = `{"code":"exists","title":"schedule every-15-minutes: it exists already","status":409}` + "\n"
)
