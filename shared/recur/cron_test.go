package recur

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func cronRow(name, expression, zone, created, want string) row {
	return row{name: name, created: created, want: want,
		json: fmt.Sprintf(`{"type":"cron","expression":%q,"time_zone":%q}`, expression, zone)}
}

func TestCron(t *testing.T) {
	for _, r := range []row{
		cronRow("every 15 minutes", "*/15 * * * *", "", "2026-01-01T10:07:42Z", "2026-01-01T10:15:00Z 2026-01-01T10:30:00Z"),
		cronRow("nothing at creation", "*/15 * * * *", "", "2026-01-01T10:15:00Z", "2026-01-01T10:30:00Z"),
		cronRow("list, range, steps", "0,30 8-10/2,20/2 * * *", "", "2026-01-01T08:30:00Z",
			"2026-01-01T10:00:00Z 2026-01-01T10:30:00Z 2026-01-01T20:00:00Z 2026-01-01T20:30:00Z 2026-01-01T22:00:00Z"),
		cronRow("a/n goes to the end", "50/5 0 * * *", "", "2025-12-31T12:00:00Z", "2026-01-01T00:50:00Z 2026-01-01T00:55:00Z 2026-01-02T00:50:00Z"),
		cronRow("months and weekdays by name", "30 10 * jan,FEBRUARY mon-Wednesday", "", "2026-01-26T12:00:00Z",
			"2026-01-27T10:30:00Z 2026-01-28T10:30:00Z 2026-02-02T10:30:00Z"),
		cronRow("weekday 7 is Sunday", "0 6 * * 7", "", "2026-01-01T00:00:00Z", "2026-01-04T06:00:00Z 2026-01-11T06:00:00Z"),
		cronRow("weekday 5-7", "0 6 * * 5-7", "", "2026-01-01T00:00:00Z", "2026-01-02T06:00:00Z 2026-01-03T06:00:00Z 2026-01-04T06:00:00Z 2026-01-09T06:00:00Z"),
		cronRow("weekday steps end at 6", "0 6 * * */2", "", "2026-01-01T00:00:00Z", "2026-01-01T06:00:00Z 2026-01-03T06:00:00Z 2026-01-04T06:00:00Z 2026-01-06T06:00:00Z"),
		cronRow("weekday 5/1", "0 6 * * 5/1", "", "2026-01-01T00:00:00Z", "2026-01-02T06:00:00Z 2026-01-03T06:00:00Z 2026-01-09T06:00:00Z"),
		cronRow("weekday 7/4 begins on Sunday", "0 6 * * 7/4", "", "2026-01-01T00:00:00Z", "2026-01-01T06:00:00Z 2026-01-04T06:00:00Z 2026-01-08T06:00:00Z"),
		cronRow("weekday 5-7/2", "0 6 * * 5-7/2", "", "2026-01-01T00:00:00Z", "2026-01-02T06:00:00Z 2026-01-04T06:00:00Z 2026-01-09T06:00:00Z"),
		cronRow("day and weekday have to match", "0 6 13 * 5", "", "2026-01-01T00:00:00Z", "2026-02-13T06:00:00Z 2026-03-13T06:00:00Z 2026-11-13T06:00:00Z"),
		cronRow("29 February on a Monday", "0 0 29 2 1", "America/New_York", "2028-01-01T00:00:00Z", "2044-02-29T00:00:00-05:00 2072-02-29T00:00:00-05:00 2112-02-29T00:00:00-05:00"),
		cronRow("days and months are honoured", "0 6 1 */6 *", "", "2026-01-02T00:00:00Z", "2026-07-01T06:00:00Z 2027-01-01T06:00:00Z"),

		cronRow("hours given: a gap moves", "30 2 * * *", "Europe/Vienna", "2026-03-28T12:00:00Z", "2026-03-29T03:30:00+02:00 2026-03-30T02:30:00+02:00"),
		cronRow("hours given: the first coming", "30 1-2 * * *", "Europe/Vienna", "2026-10-24T12:00:00Z",
			"2026-10-25T01:30:00+02:00 2026-10-25T02:30:00+02:00 2026-10-26T01:30:00+01:00"),
		cronRow("* in the hour: each real minute, in a gap", "30 * * * *", "Europe/Vienna", "2026-03-29T00:00:00Z",
			"2026-03-29T01:30:00+01:00 2026-03-29T03:30:00+02:00"),
		cronRow("* in the hour: twice", "30 * * * *", "Europe/Vienna", "2026-10-25T00:00:00Z",
			"2026-10-25T02:30:00+02:00 2026-10-25T02:30:00+01:00 2026-10-25T03:30:00+01:00"),
		cronRow("a step in the hour: what does not come does not fire", "30 */2 * * *", "Europe/Vienna", "2026-03-28T23:00:00Z",
			"2026-03-29T00:30:00+01:00 2026-03-29T04:30:00+02:00"),
		cronRow("a step in the hour: twice", "30 */2 * * *", "Europe/Vienna", "2026-10-24T23:00:00Z",
			"2026-10-25T02:30:00+02:00 2026-10-25T02:30:00+01:00 2026-10-25T04:30:00+01:00"),
		cronRow("a step in one item is enough", "30 2,10-12/2 * * *", "Europe/Vienna", "2026-03-28T23:00:00Z",
			"2026-03-29T10:30:00+02:00 2026-03-29T12:30:00+02:00 2026-03-30T02:30:00+02:00"),
		cronRow("Lord Howe, every quarter", "*/15 * * * *", "Australia/Lord_Howe", "2026-10-03T15:15:00Z",
			"2026-10-04T02:30:00+11:00 2026-10-04T02:45:00+11:00"),
		{name: "start_time is inclusive", json: `{"type":"cron","expression":"0 6 * * *","start_time":"2026-02-01T06:00","end_time":"2026-02-02T06:00"}`,
			want: "2026-02-01T06:00:00Z 2026-02-02T06:00:00Z end"},
	} {
		t.Run(r.name, r.check)
	}
}

func TestCronRejected(t *testing.T) {
	for _, c := range []struct{ expression, want string }{
		{"0 0 12 * * *", "seconds are not supported"},
		{"0 0 12 * * * 2026", "7 fields"},
		{"* * * *", "4 fields"},
		{"@daily", "macros"},
		{"0 0 ? * *", "day: \"?\" is not supported"},
		{"0 0 L * *", "day: \"L\" is not supported"},
		{"0 0 15W * *", "day: \"15W\" is not supported"},
		{"0 0 * * 5#2", "weekday: \"5#2\" is not supported"},
		{"0 17-9 * * *", "hour: \"17-9\" is a reversed range"},
		{"0 0 * * FRI-SUN", "weekday: \"FRI-SUN\" is a reversed range"},
		{"*/0 * * * *", "minute: \"*/0\""},
		{"*/x * * * *", "minute: \"*/x\""},
		{"60 * * * *", "minute: 60 is outside 0 to 59"},
		{"* 24 * * *", "hour: 24 is outside 0 to 23"},
		{"* * 0 * *", "day: 0 is outside 1 to 31"},
		{"* * * 13 *", "month: 13 is outside 1 to 12"},
		{"* * * * 8", "weekday: 8 is outside 0 to 6"},
		{"* * * Janu *", "month: \"Janu\""},
		{"1,,2 * * * *", "minute: \"\""},
		{"-5 * * * *", "minute: \"-5\""},
		{"+5 * * * *", "minute: \"+5\""},
		{"5- * * * *", "minute: \"5-\""},
		{"1-2-3 * * * *", "minute: \"1-2-3\""},
		{"1/2/3 * * * *", "minute: \"1/2/3\""},
		{"99999999999999999999 * * * *", "minute: \"99999999999999999999\""},
		{"mon * * * *", "minute: \"mon\""},
		{"0 0 30 2 *", "never fires"},
		{"0 0 31 4,6,9,11 *", "never fires"},
		{"", "required"},
	} {
		_, errs := Spec{Kind: KindCron, Expression: c.expression}.Compile(benchCreated)
		if len(errs) != 1 || errs[0].Field != "expression" || !strings.Contains(errs[0].Message, c.want) {
			t.Errorf("%q: got %v, want %s", c.expression, errs, c.want)
		}
	}
	if _, errs := (Spec{Kind: KindCron, Expression: "60 24 0 13 8"}).Compile(benchCreated); len(errs) != 5 {
		t.Errorf("not every field is reported: %v", errs)
	}
}

func TestCronNotices(t *testing.T) {
	for _, c := range []struct {
		expression string
		want       int
	}{
		{"0 6 13 * 5", 1}, {"0 6 13 * *", 0}, {"0 6 * * 5", 0}, {"0 6 1-31 * 0-6", 0}, {"0 6 */2 * 7", 1}, {"*/90 * * * *", 1}, {"*/90 * 1 * 1", 2},
	} {
		rule, errs := Spec{Kind: KindCron, Expression: c.expression}.Compile(benchCreated)
		if errs != nil || len(rule.Notices()) != c.want {
			t.Errorf("%q: %v %q", c.expression, errs, rule.Notices())
		}
	}
}

// FuzzCron: whatever is written, the answer comes, and what is accepted fires when its fields say so.
func FuzzCron(f *testing.F) {
	for _, s := range []string{"*/15 * * * *", "0 0 29 2 1", "5/20 1,3-5/2 1-7 MAR-oct sun", "0 0 30 2 *", "@daily", "* */24 25-31 3 7"} {
		f.Add(s, int64(1774746000))
	}
	loc, err := LoadZone("Asia/Beirut")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, expression string, unix int64) {
		created := time.Unix(unix%(1<<33), 0)
		s := Spec{Kind: KindCron, Expression: expression, TimeZone: "Asia/Beirut"}
		rule, errs := s.Compile(created)
		if errs != nil {
			return
		}
		next, ok := rule.Next(created)
		if !ok || !next.After(created) {
			t.Fatalf("%q: after %v: %v, %t", expression, created, next, ok)
		}
		x := parseCron(expression)
		if !cronHas(x, next.In(loc)) && !rule.Moved(next) {
			t.Fatalf("%q: %v does not match", expression, next)
		}
		if s.String() == "" {
			t.Fatalf("%q: no sentence", expression)
		}
	})
}
