package recur

import "testing"

func TestSentence(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{`"frequency":"minute","interval":15`, "every 15 minutes"},
		{`"frequency":"hour","interval":1`, "every hour"},
		{`"frequency":"hour","interval":6,"start_time":"2026-01-01T02:00","end_time":"2026-02-01T00:00Z","time_zone":"Asia/Tokyo"`,
			"every 6 hours, Asia/Tokyo, from 2026-01-01T02:00 until 2026-02-01T00:00Z"},
		{`"frequency":"week","interval":2,"time_zone":"Europe/Vienna","schedule":{"hours":[10],"minutes":[30],"week_days":["Friday","Monday"]}`,
			"every 2 weeks on Monday and Friday at 10:30, Europe/Vienna"},
		{`"frequency":"week","interval":1,"schedule":{"hours":[9,17],"week_days":["mon","tue","wed","thu","fri"]}`,
			"every week on Monday to Friday at 09:00 and 17:00, UTC"},
		{`"frequency":"day","interval":1,"time_of_day":"07:05"`, "every day at 07:05, UTC"},
		{`"frequency":"day","interval":1`, "every day, UTC"},
		{`"frequency":"day","interval":3,"start_time":"2026-01-05T10:15"`, "every 3 days at 10:15, UTC, from 2026-01-05T10:15"},
		{`"frequency":"day","interval":3,"start_time":"2026-01-05T10:15:20Z","time_zone":"W. Europe Standard Time"`,
			"every 3 days at 11:15:20, W. Europe Standard Time, from 2026-01-05T10:15:20Z"},
		{`"frequency":"day","interval":1,"schedule":{"hours":[8,9,10,12],"minutes":[0,15,30,45]}`,
			"every day at minutes 0, 15, 30 and 45 of hours 8 to 10 and 12, UTC"},
		{`"frequency":"month","interval":1,"schedule":{"hours":[6],"month_days":[1,2,3,15,22,-1,-2]}`,
			"every month on the 1st to 3rd, 15th and 22nd, the last day and the 2nd last day at 06:00, UTC"},
		{`"frequency":"month","interval":3,"schedule":{"hours":[6],"monthly_occurrences":[{"day":"Tuesday","occurrence":2},{"day":"Friday","occurrence":-1},{"day":"Sunday"}]}`,
			"every 3 months on the 2nd Tuesday, the last Friday and every Sunday at 06:00, UTC"},
		{`{"type":"at","at":"2026-06-01T10:00","time_zone":"Europe/Vienna"}`, "once at 2026-06-01T10:00, Europe/Vienna"},
		{`{"type":"cron","expression":"* * * * *"}`, "every minute, UTC"},
		{`{"type":"cron","expression":"*/15 * * * *"}`, "every 15 minutes, UTC"},
		{`{"type":"cron","expression":"*/15 9-17 * * Mon-Fri"}`, "every 15 minutes of hours 9 to 17 on Monday to Friday, UTC"},
		{`{"type":"cron","expression":"5 * * * *"}`, "at minute 5 of every hour, UTC"},
		{`{"type":"cron","expression":"* 5 * * *"}`, "every minute of hour 5, UTC"},
		{`{"type":"cron","expression":"5 */6 * * *"}`, "at 00:05, 06:05, 12:05 and 18:05, UTC"},
		{`{"type":"cron","expression":"5 */2 * * *"}`, "at minute 5 of every 2 hours, UTC"},
		{`{"type":"cron","expression":"30 10 * * 1,5","time_zone":"Europe/Vienna"}`, "at 10:30 on Monday and Friday, Europe/Vienna"},
		{`{"type":"cron","expression":"0 6 1,15 1-3 *"}`, "at 06:00 on days 1 and 15 of the month in January to March, UTC"},
		{`{"type":"cron","expression":"0 6 13 * Fri"}`, "at 06:00 on day 13 of the month if that is a Friday, UTC"},
	} {
		if got := mustDecode(t, c.in).String(); got != c.want {
			t.Errorf("%s\ngot  %s\nwant %s", c.in, got, c.want)
		}
	}
	for _, s := range []Spec{{}, {Kind: KindCron, Expression: "x"}, {Kind: KindRecurrence, Frequency: "day", StartTime: "x", TimeZone: "x"}} {
		if s.String() == "" {
			t.Errorf("%+v: nothing", s)
		}
	}
}
