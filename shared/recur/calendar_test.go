package recur

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestCalendar(t *testing.T) {
	const doc = `{"time_zone":"Europe/Vienna",
		"dates":["2026-12-08","2026-05-01","2026-05-01"],
		"date_ranges":[{"first":"2026-12-24","last":"2027-01-06"}],
		"spans":[{"from":"2026-07-01T18:00","to":"2026-07-02T06:00"},{"from":"2026-08-01T00:00Z","to":"2026-08-01T01:00Z"}],
		"recurrences":[{"frequency":"week","interval":1,"schedule":{"week_days":["sun","Saturday"]}},
			{"type":"recurrence","frequency":"month","interval":1,"schedule":{"month_days":[-1]}},
			{"frequency":"week","interval":2,"start_time":"2026-01-05T23:30","schedule":{"week_days":["Wednesday"]}}]}`
	c, errs := DecodeCalendar([]byte(doc))
	if errs != nil {
		t.Fatal(errs)
	}
	for _, r := range []struct {
		at   string
		want bool
	}{
		{"2026-05-01T00:00:00+02:00", true}, {"2026-04-28T23:59:59+02:00", false}, {"2026-05-01T23:59:59+02:00", true}, // Friday
		{"2026-05-04T00:00:00+02:00", false},
		{"2026-12-23T23:59:59+01:00", true}, // a Wednesday of the second week
		{"2026-12-24T00:00:00+01:00", true}, {"2027-01-06T23:59:59+01:00", true}, {"2027-01-07T00:00:00+01:00", false},
		{"2026-07-01T17:59:59+02:00", false}, {"2026-07-01T18:00:00+02:00", true}, {"2026-07-02T05:59:59+02:00", true}, {"2026-07-02T06:00:00+02:00", false},
		{"2026-08-03T00:30:00Z", false},
		{"2026-07-03T22:00:00Z", true}, {"2026-07-03T21:59:59Z", false}, // Saturday begins
		{"2026-07-05T21:59:59Z", true}, {"2026-07-05T22:00:00Z", false}, // Sunday ends
		{"2026-06-30T12:00:00Z", true}, {"2026-06-29T12:00:00Z", false}, // the last day of the month
		{"2026-01-07T00:00:00+01:00", true}, {"2026-01-14T12:00:00+01:00", false}, {"2026-01-21T12:00:00+01:00", true},
		{"2024-06-01T12:00:00Z", true}, // a Saturday long before
	} {
		if got := c.Excludes(mustTime(t, r.at), time.UTC); got != r.want {
			t.Errorf("%s: %t, want %t", r.at, got, r.want)
		}
	}
	data, _ := json.Marshal(c)
	if again, errs := DecodeCalendar(data); errs != nil || again.TimeZone != c.TimeZone || len(again.Recurrences) != 3 || len(again.Dates) != 2 {
		t.Errorf("%s: %+v %v", data, again, errs)
	}
}

// TestCalendarZone: without a zone of its own a calendar has the schedule's.
func TestCalendarZone(t *testing.T) {
	c, errs := DecodeCalendar([]byte(`{"dates":["2026-05-01"],"recurrences":[{"frequency":"week","interval":1,"schedule":{"week_days":["Monday"]}}]}`))
	if errs != nil {
		t.Fatal(errs)
	}
	tokyo, err := LoadZone("Asia/Tokyo")
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []string{"2026-04-30T16:00:00Z", "2026-05-03T16:00:00Z"} {
		if u := mustTime(t, at); c.Excludes(u, time.UTC) || !c.Excludes(u, tokyo) {
			t.Errorf("%s: UTC %t, Tokyo %t", at, c.Excludes(u, time.UTC), c.Excludes(u, tokyo))
		}
	}
}

// TestCalendarDays goes through days that begin or end strangely.
func TestCalendarDays(t *testing.T) {
	for _, r := range []struct {
		zone, weekday, at string
		want              bool
	}{
		{"Asia/Beirut", "Sunday", "2026-03-29T01:00:00+03:00", true},         // begins at 01:00
		{"America/Nuuk", "Sunday", "2026-03-29T00:00:00-01:00", true},        // begins an hour early
		{"America/Havana", "Sunday", "2026-11-01T00:30:00-05:00", true},      // 00:30 for the second time
		{"America/Sao_Paulo", "Saturday", "2018-02-17T23:30:00-03:00", true}, // 23:30 for the second time
		{"America/Sao_Paulo", "Sunday", "2018-02-17T23:30:00-03:00", false},  //
		{"Pacific/Apia", "Friday", "2011-12-31T00:00:00+14:00", false},       // there was no Friday
		{"Pacific/Apia", "Saturday", "2011-12-31T00:00:00+14:00", true},      //
	} {
		c := Calendar{TimeZone: r.zone, Recurrences: []Spec{{Kind: KindRecurrence, Frequency: "week", Interval: 1, Schedule: &Pattern{WeekDays: []string{r.weekday}}}}}
		if got := c.Excludes(mustTime(t, r.at), nil); got != r.want {
			t.Errorf("%+v: %t", r, got)
		}
	}
}

func TestCalendarErrors(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{`[]`, ":object"},
		{`{}`, "dates:empty"},
		{`{"time_zone":"Mars","dates":"2026-01-01","holidays":[]}`, "time_zone:IANA dates:list holidays:unknown"},
		{`{"dates":["2026-02-30",5,"2026-01-01T00:00"]}`, "dates[1]:string dates[0]:2026 dates[2]:2026"},
		{`{"date_ranges":[{"first":"2026-01-02","last":"2026-01-01"},{"first":"x"},7,{"from":1}]}`,
			"date_ranges[0].last:before date_ranges[1].first:date date_ranges[1].last:date date_ranges[2]:object date_ranges[3].from:unknown date_ranges[3].first:date date_ranges[3].last:date"},
		{`{"spans":[{"from":"2026-01-02T00:00","to":"2026-01-02T00:00"},{"from":"2026-01-02"}]}`, "spans[0].to:after spans[1].from:time spans[1].to:time"},
		{`{"recurrences":[{"frequency":"day","interval":2},{"frequency":"week","interval":1},{"frequency":"month","interval":1},
			{"frequency":"week","interval":1,"week_days":["mon"],"time_zone":"UTC"},{"type":"cron","expression":"* * * * *"},{"frequency":"week","interval":1,"schedule":{"week_days":["x"]}}]}`,
			"recurrences[0].start_time:required recurrences[1].schedule.week_days:required recurrences[2].schedule.month_days:required " +
				"recurrences[3].time_zone:calendar recurrences[4].type:recurrence recurrences[5].schedule.week_days[0]:Monday"},
	} {
		_, errs := DecodeCalendar([]byte(c.in))
		wants := strings.Fields(c.want)
		ok := len(errs) == len(wants)
		for i := 0; ok && i < len(wants); i++ {
			field, word, _ := strings.Cut(wants[i], ":")
			ok = errs[i].Field == field && strings.Contains(errs[i].Message, word)
		}
		if !ok {
			t.Errorf("%s\ngot  %v\nwant %s", c.in, []FieldError(errs), c.want)
		}
	}
}
