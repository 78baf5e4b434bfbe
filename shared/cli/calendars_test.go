package cli

import "testing"

const (
	nightYAML = "name: night\ntrigger: {type: recurrence, frequency: day, interval: 1, start_time: 2027-03-27T02:30, time_zone: Europe/Vienna}\ncalendars: [holidays]\n"
	nightJSON = `{"name":"night","trigger":{"type":"recurrence","frequency":"day","interval":1,"start_time":"2027-03-27T02:30","time_zone":"Europe/Vienna"},"calendars":["holidays"]}`

	threeNights = `[{"time":"2027-03-27T02:30:00+01:00","utc":"2027-03-27T01:30:00Z"},{"time":"2027-03-28T03:30:00+02:00","utc":"2027-03-28T01:30:00Z","moved":true,"excluded":"holidays"},{"time":"2027-03-29T02:30:00+02:00","utc":"2027-03-29T00:30:00Z","excluded":"holidays"}]`
	nights      = "TIME                         UTC                       AWAY      NOTE\n" +
		"2027-03-27 02:30:00 +01:00   2027-03-27 01:30:00 UTC   in 124d\n" +
		"2027-03-28 03:30:00 +02:00   2027-03-28 01:30:00 UTC   in 125d   moved by daylight saving, excluded by calendar holidays\n" +
		"2027-03-29 02:30:00 +02:00   2027-03-29 00:30:00 UTC   in 126d   excluded by calendar holidays\n"
	previewed = `{"when":"every day at 02:30, Europe/Vienna","items":` + threeNights + `,"notices":["one thing","\u001b[31manother"]}`

	holidays = `{"name":"holidays","dates":["2026-12-08","2026-12-31"],"date_ranges":[{"first":"2026-12-24","last":"2027-01-06"}]}`
	blackout = `{"name":"blackout","time_zone":"Europe/Vienna","date_ranges":[{"first":"2026-02-01","last":"2026-02-03"},{"first":"2026-03-01","last":"2026-03-03"}],"spans":[{"from":"2026-07-01T18:00","to":"2026-07-02T06:00"}],"recurrences":[{"type":"recurrence","frequency":"week","interval":1,"schedule":{"week_days":["Saturday","Sunday"]}},{"type":"recurrence","frequency":"week","interval":2,"start_time":"2026-01-05T00:00","schedule":{"week_days":["Friday"]}}]}`
)

func TestPreview(t *testing.T) {
	runCommands(t, []commandTest{
		{
			name: "preview", args: "schedules next -f - -n 3", stdin: nightYAML,
			exchanges: []exchange{{request: "POST /api/preview?n=3", body: nightJSON, answer: previewed}},
			stdout:    "every day at 02:30, Europe/Vienna\n  note: one thing\n  note: \\x1b[31manother\n\n" + nights,
		},
		{
			name: "preview as JSON", args: "schedules next -f - -o json", stdin: nightJSON,
			exchanges: []exchange{{request: "POST /api/preview?n=5", body: nightJSON, answer: previewed}},
			stdout:    indented(previewed),
		},
		{
			name: "preview of what is over", args: "schedules next -f -", stdin: nightYAML,
			exchanges: []exchange{{request: "POST /api/preview?n=5", body: nightJSON, answer: `{"when":"every day","items":[]}`}},
			stdout:    "every day\n\n", stderr: "It would not fire: it is over.\n",
		},
		{
			name: "preview, wrong fields", args: "schedules next -f -", stdin: "x: 1",
			exchanges: []exchange{{request: "POST /api/preview?n=5", body: `{"x":1}`, status: 422, answer: wrongFields}},
			stderr:    "carillon: the document has 2 wrong field(s)\n  trigger.interval: 0 is too small: the smallest is 1\n  x: is not a field here\n",
			code:      1,
		},
		{
			name: "preview of a file that is not there", args: "schedules next -f missing.yaml",
			stderr: "carillon: missing.yaml: no such file or directory\n", code: 1,
		},
		{
			name: "next", args: "schedules next night -n 3",
			exchanges: []exchange{{request: "GET /api/schedules/night/next?n=3", answer: `{"items":` + threeNights + `}`}},
			stdout:    nights,
		},
		{
			name: "an excluded run", args: "runs list",
			exchanges: []exchange{{
				request: "GET /api/runs?limit=100",
				answer:  `{"items":[{"id":"a-1","schedule":"night","kind":"scheduled","status":"Skipped","reason":"calendar","error":"calendar holidays excludes it","nominal":"2026-11-22T18:45:00Z"}]}`,
			}},
			stdout: "ID    SCHEDULE   STATUS               TIME                      TOOK   NOTE\n" +
				"a-1   night      Skipped (calendar)   2026-11-22 18:45:00 UTC   -      calendar holidays excludes it\n",
		},
	})
}

func TestCalendars(t *testing.T) {
	runCommands(t, []commandTest{
		{
			name: "list", args: "calendars list -n 2",
			exchanges: []exchange{{request: "GET /api/calendars?limit=2", answer: `{"items":[` + blackout + `,` + holidays + `],"next":"holidays"}`}},
			stdout: "NAME       TIME ZONE       EXCLUDES\n" +
				"blackout   Europe/Vienna   2 ranges of dates, 1 span, 2 recurrences\n" +
				"holidays   -               2 dates, 1 range of dates\n",
			stderr: "There are more than these 2; --limit 0 lists all.\n",
		},
		{
			name: "list of nothing", args: "calendars list",
			exchanges: []exchange{{request: "GET /api/calendars?limit=100", answer: `{"items":[]}`}},
			stderr:    "There are no calendars; carillon calendars apply NAME -f FILE makes one.\n",
		},
		{
			name: "get", args: "calendars get blackout",
			exchanges: []exchange{{request: "GET /api/calendars/blackout", answer: blackout}},
			stdout: `Name:         blackout
Time zone:    Europe/Vienna
Date ranges:  2026-02-01 to 2026-02-03
              2026-03-01 to 2026-03-03
Spans:        2026-07-01T18:00 to 2026-07-02T06:00
Days:         every week on Saturday and Sunday
              every 2 weeks on Friday at 00:00, from 2026-01-05T00:00
`,
		},
		{
			name: "get, in the schedules' zone", args: "calendars get holidays",
			exchanges: []exchange{{request: "GET /api/calendars/holidays", answer: holidays}},
			stdout: `Name:         holidays
Time zone:    that of each schedule
Dates:        2026-12-08
              2026-12-31
Date ranges:  2026-12-24 to 2027-01-06
`,
		},
		{
			name: "get as JSON", args: "calendars get holidays -o json",
			exchanges: []exchange{{request: "GET /api/calendars/holidays", answer: holidays}}, stdout: indented(holidays),
		},
		{
			name: "get what is not there", args: "calendars get nothing",
			exchanges: []exchange{{request: "GET /api/calendars/nothing", status: 404, answer: `{"code":"not_found","title":"there is no calendar nothing","status":404}`}},
			stderr:    "carillon: there is no calendar nothing\n", code: 1,
		},
		{
			name: "apply", args: "calendars apply holidays -f -", stdin: "dates: [2026-12-31, 2026-12-08]\ndate_ranges: [{first: 2026-12-24, last: 2027-01-06}]\n",
			exchanges: []exchange{{
				request: "PUT /api/calendars/holidays", answer: holidays,
				body: `{"dates":["2026-12-31","2026-12-08"],"date_ranges":[{"first":"2026-12-24","last":"2027-01-06"}]}`,
			}},
			stdout: "applied: holidays excludes 2 dates, 1 range of dates\n",
		},
		{
			name: "apply what was got", args: "calendars apply holidays -f - -o json", stdin: holidays,
			exchanges: []exchange{{request: "PUT /api/calendars/holidays", body: holidays, answer: holidays}},
			stdout:    indented(holidays),
		},
		{
			name: "apply, wrong fields", args: "calendars apply a -f -", stdin: "dates: [2026-02-30]",
			exchanges: []exchange{{
				request: "PUT /api/calendars/a", body: `{"dates":["2026-02-30"]}`, status: 422,
				answer: `{"code":"invalid_fields","title":"the document has 1 wrong field(s)","status":422,"fields":[{"field":"dates[0]","message":"\"2026-02-30\" is no date"}]}`,
			}},
			stderr: "carillon: the document has 1 wrong field(s)\n  dates[0]: \"2026-02-30\" is no date\n", code: 1,
		},
		{
			name: "delete", args: "calendars delete holidays",
			exchanges: []exchange{{request: "DELETE /api/calendars/holidays", answer: "{}\n"}}, stdout: "deleted: holidays\n",
		},
		{
			name: "delete while it is named", args: "calendars delete holidays",
			exchanges: []exchange{{
				request: "DELETE /api/calendars/holidays", status: 409,
				answer: `{"code":"conflict","title":"calendar holidays is named by schedules: a, b; take it out of them first","status":409}`,
			}},
			stderr: "carillon: calendar holidays is named by schedules: a, b; take it out of them first\n", code: 1,
		},
	})
}
