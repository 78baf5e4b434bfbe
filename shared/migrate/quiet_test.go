package migrate_test

import (
	"testing"
	"time"

	"carillon/shared/migrate"
	"carillon/shared/recur"
)

func TestQuiet(t *testing.T) {
	for _, c := range []struct{ spec, now, want string }{
		{`{"type":"cron","expression":"0 10 * * *"}`, "09:00:00", "09:00:00"},
		{`{"type":"cron","expression":"0 10 * * *"}`, "09:57:00", "09:57:00"},
		{`{"type":"cron","expression":"0 10 * * *"}`, "09:58:00", "10:01:30"}, // comes while it is being disabled
		{`{"type":"cron","expression":"0 10 * * *"}`, "10:00:00", "10:01:30"}, // may not have been started yet
		{`{"type":"cron","expression":"0 10 * * *"}`, "10:01:29", "10:01:30"},
		{`{"type":"cron","expression":"*/5 * * * *"}`, "10:00:00", "10:01:30"},
		{`{"type":"cron","expression":"*/5 * * * *"}`, "10:03:45", "10:03:45"},
		{`{"type":"cron","expression":"*/5 * * * *"}`, "10:04:00", "10:06:30"},
		{`{"type":"cron","expression":"* * * * *"}`, "10:00:10", "10:00:30"},
		{`{"type":"cron","expression":"* * * * *"}`, "10:00:44", "10:00:44"},
		{`{"type":"cron","expression":"* * * * *"}`, "10:00:50", "10:01:30"},
		{`{"type":"cron","expression":"59 9 * * *","end_time":"2026-07-01T09:59"}`, "10:00:00", "10:00:00"}, // is over
		{`{"type":"recurrence","frequency":"day","interval":1,"start_time":"2026-07-01T10:02"}`, "10:00:00", "10:00:00"},
		{`{"type":"recurrence","frequency":"day","interval":1,"start_time":"2026-07-01T10:02"}`, "10:02:00", "10:03:30"},
	} {
		s, errs := recur.Decode([]byte(c.spec))
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		rule, errs := s.Compile(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		now, _ := time.Parse(time.DateTime, "2026-07-01 "+c.now)
		if got := migrate.Quiet(rule, now).UTC().Format(time.TimeOnly); got != c.want {
			t.Errorf("%s at %s: %s, want %s", c.spec, c.now, got, c.want)
		}
	}
}
