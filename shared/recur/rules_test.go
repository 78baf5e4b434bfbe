package recur

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// row is a definition, looked at from an instant, and its next occurrences in its zone.
type row struct {
	name    string
	json    string // after {"type":"recurrence", unless it begins with a brace
	created string // default 2026-01-01T00:00:00Z
	from    string // default created
	want    string // the occurrences; "end" where there are no more
}

func (r row) check(t *testing.T) {
	t.Helper()
	created := mustTime(t, cmpOr(r.created, "2026-01-01T00:00:00Z"))
	from := created
	if r.from != "" {
		from = mustTime(t, r.from)
	}
	rule, errs := mustDecode(t, r.json).Compile(created)
	if errs != nil {
		t.Fatal(errs)
	}
	want := strings.Fields(r.want)
	var got []string
	for o := range rule.All(from) {
		if len(got) == len(want) {
			break
		}
		got = append(got, o.Format(time.RFC3339))
	}
	if len(got) < len(want) {
		got = append(got, "end")
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %s\nwant %s", strings.Join(got, " "), strings.Join(want, " "))
	}
}

func cmpOr(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

func mustTime(t *testing.T, s string) time.Time {
	t.Helper()
	u, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func mustDecode(t *testing.T, text string) Spec {
	t.Helper()
	if !strings.HasPrefix(text, "{") {
		text = `{"type":"recurrence",` + text + `}`
	}
	s, errs := Decode([]byte(text))
	if errs != nil {
		t.Fatal(text, errs)
	}
	return s
}

func TestRules(t *testing.T) {
	for _, r := range slices.Concat(anchorRows, defaultRows, periodRows, boundRows) {
		t.Run(r.name, r.check)
	}
}

func TestDaylightSaving(t *testing.T) {
	for _, r := range slices.Concat(elapsedRows, gapRows, overlapRows, strangeRows) {
		t.Run(r.name, r.check)
	}
}

// Rules 1 and 2.
var anchorRows = []row{
	{"every 15 minutes from creation", `"frequency":"minute","interval":15`, "2026-01-01T10:07:42.5Z", "",
		"2026-01-01T10:22:00Z 2026-01-01T10:37:00Z"},
	{"no drift: the definition alone counts", `"frequency":"minute","interval":7,"start_time":"2026-01-01T00:00"`, "", "2026-03-01T12:00:01Z",
		"2026-03-01T12:07:00Z 2026-03-01T12:14:00Z"},
	{"start_time itself fires", `"frequency":"hour","interval":5,"start_time":"2026-01-01T08:30:15"`, "", "",
		"2026-01-01T08:30:15Z 2026-01-01T13:30:15Z"},
	{"start_time itself fires when it matches", `"frequency":"day","interval":1,"start_time":"2026-01-05T10:30","time_of_day":"10:30"`, "", "",
		"2026-01-05T10:30:00Z 2026-01-06T10:30:00Z"},
	{"start_time that does not match", `"frequency":"day","interval":1,"start_time":"2026-01-05T10:31","time_of_day":"10:30"`, "", "",
		"2026-01-06T10:30:00Z"},
	{"start_time before creation", `"frequency":"day","interval":1,"start_time":"2020-01-01T10:00"`, "", "2019-01-01T00:00:00Z",
		"2020-01-01T10:00:00Z 2020-01-02T10:00:00Z"},
	{"nothing at creation", `"frequency":"day","interval":1,"time_of_day":"10:00"`, "2026-01-01T10:00:00Z", "2025-01-01T00:00:00Z",
		"2026-01-02T10:00:00Z"},
	{"nothing before creation, in the same minute", `"frequency":"day","interval":1,"time_of_day":"10:00"`, "2026-01-01T10:00:30Z", "2025-01-01T00:00:00Z",
		"2026-01-02T10:00:00Z"},
	{"later on the day of creation", `"frequency":"day","interval":1,"time_of_day":"10:00"`, "2026-01-01T09:59:59.9Z", "2025-01-01T00:00:00Z",
		"2026-01-01T10:00:00Z"},
	{"neither start_time nor schedule: one interval after", `"frequency":"day","interval":3`, "2026-01-01T10:15:59Z", "2025-01-01T00:00:00Z",
		"2026-01-04T10:15:00Z 2026-01-07T10:15:00Z"},
	{"neither, hours", `"frequency":"hour","interval":1`, "2026-01-01T10:15:59Z", "2025-01-01T00:00:00Z",
		"2026-01-01T11:15:00Z"},
	{"an empty schedule is none", `"frequency":"day","interval":1,"schedule":{"hours":[],"minutes":null}`, "2026-01-01T10:15:30Z", "",
		"2026-01-02T10:15:00Z"},
	{"start_time as an instant, shown in the zone", `"frequency":"day","interval":1,"start_time":"2026-01-05T23:30:00-02:00","time_zone":"Europe/Vienna"`, "", "",
		"2026-01-06T02:30:00+01:00 2026-01-07T02:30:00+01:00"},
	{"start_time with Z", `"frequency":"hour","interval":12,"start_time":"2026-01-05T00:00:00Z","time_zone":"Asia/Kathmandu"`, "", "",
		"2026-01-05T05:45:00+05:45 2026-01-05T17:45:00+05:45"},
	{"a Windows zone", `"frequency":"day","interval":1,"time_of_day":"10:30","time_zone":"W. Europe Standard Time"`, "", "",
		"2026-01-01T10:30:00+01:00"},
}

// Rules 4 and 6.
var defaultRows = []row{
	{"minute of start_time", `"frequency":"day","interval":1,"start_time":"2026-01-05T10:17:20","schedule":{"hours":[9,12]}`, "", "",
		"2026-01-05T12:17:00Z 2026-01-06T09:17:00Z 2026-01-06T12:17:00Z"},
	{"hour of start_time", `"frequency":"day","interval":1,"start_time":"2026-01-05T10:17:20","schedule":{"minutes":[10,50]}`, "", "",
		"2026-01-05T10:50:00Z 2026-01-06T10:10:00Z"},
	{"both of start_time, second 0 with a schedule part", `"frequency":"week","interval":1,"start_time":"2026-01-05T10:17:20","schedule":{"week_days":["Monday"]}`, "", "",
		"2026-01-12T10:17:00Z"},
	{"second of start_time without one", `"frequency":"week","interval":1,"start_time":"2026-01-05T10:17:20"`, "", "",
		"2026-01-05T10:17:20Z 2026-01-12T10:17:20Z"},
	{"minute 0 without start_time", `"frequency":"day","interval":1,"schedule":{"hours":[9]}`, "2026-01-01T00:17:00Z", "",
		"2026-01-01T09:00:00Z"},
	{"the anchor's time without both", `"frequency":"week","interval":1,"schedule":{"week_days":["Tue"]}`, "2026-01-01T08:17:44Z", "",
		"2026-01-06T08:17:00Z 2026-01-13T08:17:00Z"},
	{"the anchor's time in the zone", `"frequency":"month","interval":1,"time_zone":"Asia/Kathmandu","schedule":{"month_days":[2]}`, "2026-01-01T20:17:44Z", "",
		"2026-02-02T02:02:00+05:45"},
	{"cross product, in any order, with repeats", `"frequency":"day","interval":1,"schedule":{"hours":[12,9,12],"minutes":[30,0]}`, "", "",
		"2026-01-01T09:00:00Z 2026-01-01T09:30:00Z 2026-01-01T12:00:00Z 2026-01-01T12:30:00Z 2026-01-02T09:00:00Z"},
	{"the anchor's day of the month", `"frequency":"month","interval":1,"start_time":"2026-01-31T06:00"`, "", "",
		"2026-01-31T06:00:00Z 2026-03-31T06:00:00Z 2026-05-31T06:00:00Z 2026-07-31T06:00:00Z"},
	{"29 February", `"frequency":"month","interval":12,"start_time":"2024-02-29T06:00"`, "", "2024-03-01T00:00:00Z",
		"2028-02-29T06:00:00Z 2032-02-29T06:00:00Z"},
	{"29 February over 2100", `"frequency":"month","interval":12,"start_time":"2024-02-29T06:00"`, "", "2096-03-01T00:00:00Z",
		"2104-02-29T06:00:00Z"},
	{"first and last day", `"frequency":"month","interval":1,"schedule":{"hours":[6],"month_days":[-1,1]}`, "", "",
		"2026-01-01T06:00:00Z 2026-01-31T06:00:00Z 2026-02-01T06:00:00Z 2026-02-28T06:00:00Z 2026-03-01T06:00:00Z"},
	{"a day from the end that short months lack", `"frequency":"month","interval":1,"schedule":{"hours":[6],"month_days":[-31]}`, "", "",
		"2026-01-01T06:00:00Z 2026-03-01T06:00:00Z 2026-05-01T06:00:00Z"},
	{"the same day from both ends once", `"frequency":"month","interval":1,"schedule":{"hours":[6],"month_days":[28,-1]}`, "2026-02-01T00:00:00Z", "",
		"2026-02-28T06:00:00Z 2026-03-28T06:00:00Z 2026-03-31T06:00:00Z"},
	{"second Tuesday and last Friday", `"frequency":"month","interval":1,"schedule":{"hours":[6],"monthly_occurrences":[{"day":"tuesday","occurrence":2},{"day":"FRI","occurrence":-1}]}`, "", "",
		"2026-01-13T06:00:00Z 2026-01-30T06:00:00Z 2026-02-10T06:00:00Z 2026-02-27T06:00:00Z"},
	{"an absent fifth weekday", `"frequency":"month","interval":1,"schedule":{"hours":[6],"monthly_occurrences":[{"day":"Monday","occurrence":5}]}`, "", "",
		"2026-03-30T06:00:00Z 2026-06-29T06:00:00Z 2026-08-31T06:00:00Z"},
	{"the fifth from the end is the first", `"frequency":"month","interval":1,"schedule":{"hours":[6],"monthly_occurrences":[{"day":"Monday","occurrence":-5}]}`, "", "",
		"2026-03-02T06:00:00Z 2026-06-01T06:00:00Z"},
	{"every such weekday", `"frequency":"month","interval":2,"schedule":{"hours":[6],"monthly_occurrences":[{"day":"Sunday"}]}`, "2026-01-17T00:00:00Z", "",
		"2026-01-18T06:00:00Z 2026-01-25T06:00:00Z 2026-03-01T06:00:00Z"},
}

// Rule 5.
var periodRows = []row{
	{"weeks begin on Monday", `"frequency":"week","interval":2,"start_time":"2026-01-07T00:00","schedule":{"hours":[10],"minutes":[30],"week_days":["Sunday","Monday"]}`, "", "",
		"2026-01-11T10:30:00Z 2026-01-19T10:30:00Z 2026-01-25T10:30:00Z 2026-02-02T10:30:00Z"},
	{"the days of week 0 are over", `"frequency":"week","interval":2,"start_time":"2026-01-10T00:00","schedule":{"hours":[10],"week_days":["Monday","Friday"]}`, "", "",
		"2026-01-19T10:00:00Z 2026-01-23T10:00:00Z 2026-02-02T10:00:00Z"},
	{"an anchor on Sunday", `"frequency":"week","interval":2,"start_time":"2026-01-11T12:00","schedule":{"hours":[10],"week_days":["Monday"]}`, "", "",
		"2026-01-19T10:00:00Z 2026-02-02T10:00:00Z"},
	{"the week of creation, in the zone", `"frequency":"week","interval":2,"time_zone":"Pacific/Auckland","schedule":{"hours":[10],"week_days":["Monday"]}`, "2026-01-11T20:00:00Z", "",
		"2026-01-12T10:00:00+13:00 2026-01-26T10:00:00+13:00"},
	{"the anchor's weekday", `"frequency":"week","interval":3,"start_time":"2026-01-08T10:00"`, "", "",
		"2026-01-08T10:00:00Z 2026-01-29T10:00:00Z"},
	{"every third day", `"frequency":"day","interval":3,"start_time":"2026-01-05T12:00","schedule":{"hours":[10]}`, "", "",
		"2026-01-08T10:00:00Z 2026-01-11T10:00:00Z"},
	{"every second month", `"frequency":"month","interval":2,"start_time":"2026-01-20T12:00","schedule":{"hours":[10],"month_days":[15]}`, "", "",
		"2026-03-15T10:00:00Z 2026-05-15T10:00:00Z"},
	{"longest intervals", `"frequency":"month","interval":1000,"start_time":"2026-01-20T12:00"`, "", "",
		"2026-01-20T12:00:00Z 2109-05-20T12:00:00Z"},
	{"most minutes", `"frequency":"minute","interval":72000,"start_time":"2026-01-20T12:00"`, "", "",
		"2026-01-20T12:00:00Z 2026-03-11T12:00:00Z"},
}

var boundRows = []row{
	{"end_time is inclusive", `"frequency":"hour","interval":1,"start_time":"2026-01-05T10:00","end_time":"2026-01-05T12:00"`, "", "",
		"2026-01-05T10:00:00Z 2026-01-05T11:00:00Z 2026-01-05T12:00:00Z end"},
	{"end_time is start_time", `"frequency":"hour","interval":1,"start_time":"2026-01-05T10:00","end_time":"2026-01-05T10:00"`, "", "",
		"2026-01-05T10:00:00Z end"},
	{"end_time that is over", `"frequency":"day","interval":1,"end_time":"2020-01-01T00:00"`, "", "", "end"},
	{"end_time as an instant", `"frequency":"day","interval":1,"time_of_day":"01:00","time_zone":"Europe/Vienna","end_time":"2026-01-02T00:00:00Z"`, "", "",
		"2026-01-02T01:00:00+01:00 end"},
	{"the end of the year 9999", `"frequency":"month","interval":1,"start_time":"9999-10-31T06:00"`, "", "",
		"9999-10-31T06:00:00Z 9999-12-31T06:00:00Z end"},
	{"at", `{"type":"at","at":"2026-06-01T10:00","time_zone":"Europe/Vienna"}`, "", "", "2026-06-01T10:00:00+02:00 end"},
	{"at as an instant", `{"type":"At","at":"2026-06-01T10:00:30Z","time_zone":"Europe/Vienna"}`, "", "", "2026-06-01T12:00:30+02:00 end"},
	{"at in a gap", `{"type":"at","at":"2026-03-29T02:30","time_zone":"Europe/Vienna"}`, "", "", "2026-03-29T03:30:00+02:00 end"},
}

// Rule 3.
var elapsedRows = []row{
	{"hours over a gap", `"frequency":"hour","interval":12,"start_time":"2026-03-28T12:00","time_zone":"Europe/Vienna"`, "", "",
		"2026-03-28T12:00:00+01:00 2026-03-29T00:00:00+01:00 2026-03-29T13:00:00+02:00"},
	{"minutes over an overlap", `"frequency":"minute","interval":30,"start_time":"2026-10-25T02:00","time_zone":"Europe/Vienna"`, "", "",
		"2026-10-25T02:00:00+02:00 2026-10-25T02:30:00+02:00 2026-10-25T02:00:00+01:00 2026-10-25T02:30:00+01:00"},
	{"from a start_time in a gap", `"frequency":"hour","interval":1,"start_time":"2026-03-29T02:30","time_zone":"Europe/Vienna"`, "", "",
		"2026-03-29T03:30:00+02:00 2026-03-29T04:30:00+02:00"},
	{"days keep the wall time", `"frequency":"day","interval":1,"start_time":"2026-03-28T12:00","time_zone":"Europe/Vienna"`, "", "",
		"2026-03-28T12:00:00+01:00 2026-03-29T12:00:00+02:00"},
}

// Rule 7.
var gapRows = []row{
	{"02:30 becomes 03:30", `"frequency":"day","interval":1,"time_of_day":"02:30","time_zone":"Europe/Vienna"`, "2026-03-28T00:00:00Z", "",
		"2026-03-28T02:30:00+01:00 2026-03-29T03:30:00+02:00 2026-03-30T02:30:00+02:00"},
	{"times that become one instant", `"frequency":"day","interval":1,"time_zone":"Europe/Vienna","schedule":{"hours":[2,3],"minutes":[30]}`, "2026-03-28T12:00:00Z", "",
		"2026-03-29T03:30:00+02:00 2026-03-30T02:30:00+02:00 2026-03-30T03:30:00+02:00"},
	{"the order is that of the instants", `"frequency":"day","interval":1,"time_zone":"Europe/Vienna","schedule":{"hours":[2,3],"minutes":[10,20]}`, "2026-03-28T12:00:00Z", "",
		"2026-03-29T03:10:00+02:00 2026-03-29T03:20:00+02:00 2026-03-30T02:10:00+02:00"},
	{"a moved time after an unmoved one", `"frequency":"week","interval":1,"time_zone":"America/New_York","schedule":{"hours":[2,3],"minutes":[15,45],"week_days":["Sunday"]}`, "2026-03-08T06:59:00Z", "",
		"2026-03-08T03:15:00-04:00 2026-03-08T03:45:00-04:00 2026-03-15T02:15:00-04:00"},
	{"a gap of 30 minutes", `"frequency":"day","interval":1,"time_zone":"Australia/Lord_Howe","schedule":{"hours":[2],"minutes":[0,15,30,40]}`, "2026-10-03T12:00:00Z", "",
		"2026-10-04T02:30:00+11:00 2026-10-04T02:40:00+11:00 2026-10-04T02:45:00+11:00 2026-10-05T02:00:00+11:00"},
	{"a gap of two hours", `"frequency":"day","interval":1,"time_of_day":"01:30","time_zone":"Antarctica/Troll"`, "2026-03-28T12:00:00Z", "",
		"2026-03-29T03:30:00+02:00 2026-03-30T01:30:00+02:00"},
	{"over midnight, to the next day", `"frequency":"week","interval":1,"time_zone":"America/Nuuk","schedule":{"hours":[23],"minutes":[30],"week_days":["Saturday"]}`, "2026-03-27T00:00:00Z", "",
		"2026-03-29T00:30:00-01:00 2026-04-04T23:30:00-01:00"},
	{"a gap at midnight", `"frequency":"day","interval":1,"time_of_day":"00:00","time_zone":"Asia/Beirut"`, "2026-03-28T12:00:00Z", "",
		"2026-03-29T01:00:00+03:00 2026-03-30T00:00:00+03:00"},
	{"a gap of 24 hours is skipped", `"frequency":"day","interval":1,"time_of_day":"10:00","time_zone":"Pacific/Apia"`, "2011-12-29T12:00:00Z", "",
		"2011-12-29T10:00:00-10:00 2011-12-31T10:00:00+14:00 2012-01-01T10:00:00+14:00"},
	{"but its date counts", `"frequency":"day","interval":2,"start_time":"2011-12-28T10:00","time_zone":"Pacific/Apia"`, "", "2011-12-01T00:00:00Z",
		"2011-12-28T10:00:00-10:00 2012-01-01T10:00:00+14:00"},
	{"and in weeks", `"frequency":"week","interval":1,"time_zone":"Pacific/Apia","schedule":{"hours":[10],"week_days":["Friday"]}`, "2011-12-25T00:00:00Z", "",
		"2012-01-06T10:00:00+14:00"},
	{"start_time in the gap, the hour stays", `"frequency":"day","interval":1,"start_time":"2026-03-29T02:30","time_zone":"Europe/Vienna"`, "", "",
		"2026-03-29T03:30:00+02:00 2026-03-30T02:30:00+02:00"},
	{"start_time in the gap is the later instant", `"frequency":"day","interval":1,"start_time":"2026-03-29T02:30","time_zone":"Europe/Vienna","schedule":{"hours":[3],"minutes":[15]}`, "", "",
		"2026-03-30T03:15:00+02:00"},
	{"end_time in the gap", `"frequency":"day","interval":1,"end_time":"2026-03-29T02:30","time_of_day":"03:30","time_zone":"Europe/Vienna"`, "2026-03-28T12:00:00Z", "",
		"2026-03-29T03:30:00+02:00 end"},
}

var overlapRows = []row{
	{"twice is the first coming", `"frequency":"day","interval":1,"time_of_day":"02:30","time_zone":"Europe/Vienna"`, "2026-10-24T12:00:00Z", "",
		"2026-10-25T02:30:00+02:00 2026-10-26T02:30:00+01:00"},
	{"from between its comings", `"frequency":"day","interval":1,"time_of_day":"02:30","time_zone":"Europe/Vienna"`, "2026-10-24T12:00:00Z", "2026-10-25T00:45:00Z",
		"2026-10-26T02:30:00+01:00"},
	{"start_time is the first coming", `"frequency":"hour","interval":1,"start_time":"2026-11-01T01:30","time_zone":"America/New_York"`, "", "",
		"2026-11-01T01:30:00-04:00 2026-11-01T01:30:00-05:00 2026-11-01T02:30:00-05:00"},
	{"start_time at the second coming", `"frequency":"day","interval":1,"start_time":"2026-11-01T01:30:00-05:00","time_zone":"America/New_York"`, "", "",
		"2026-11-02T01:30:00-05:00"},
	{"end_time is the first coming", `"frequency":"minute","interval":30,"start_time":"2026-11-01T01:00","end_time":"2026-11-01T01:30","time_zone":"America/New_York"`, "", "",
		"2026-11-01T01:00:00-04:00 2026-11-01T01:30:00-04:00 end"},
	{"an overlap of 30 minutes", `"frequency":"day","interval":1,"time_zone":"Australia/Lord_Howe","schedule":{"hours":[1,2],"minutes":[0,45]}`, "2026-04-04T12:00:00Z", "",
		"2026-04-05T01:00:00+11:00 2026-04-05T01:45:00+11:00 2026-04-05T02:00:00+10:30 2026-04-05T02:45:00+10:30"},
	{"the day that came twice", `"frequency":"day","interval":1,"time_of_day":"10:00","time_zone":"Pacific/Kwajalein"`, "1969-09-29T12:00:00Z", "",
		"1969-09-30T10:00:00+11:00 1969-10-01T10:00:00-12:00"},
}

var strangeRows = []row{
	{"Ramadan in Casablanca", `"frequency":"day","interval":1,"time_of_day":"02:30","time_zone":"Africa/Casablanca"`, "2026-02-14T12:00:00Z", "",
		"2026-02-15T02:30:00+01:00 2026-02-16T02:30:00Z"},
	{"and after it", `"frequency":"day","interval":1,"time_of_day":"02:30","time_zone":"Africa/Casablanca"`, "2026-03-21T12:00:00Z", "",
		"2026-03-22T03:30:00+01:00 2026-03-23T02:30:00+01:00"},
	{"Chatham's gap at 02:45", `"frequency":"day","interval":1,"time_zone":"Pacific/Chatham","schedule":{"hours":[2,3],"minutes":[40,50]}`, "2026-09-26T11:00:00Z", "",
		"2026-09-27T02:40:00+12:45 2026-09-27T03:50:00+13:45 2026-09-27T04:40:00+13:45"},
	{"Kathmandu's change of 1986", `"frequency":"day","interval":1,"time_of_day":"00:10","time_zone":"Asia/Kathmandu"`, "1985-12-31T00:00:00Z", "",
		"1986-01-01T00:25:00+05:45 1986-01-02T00:10:00+05:45"},
	{"a far year", `"frequency":"day","interval":1,"time_of_day":"02:30","time_zone":"America/New_York"`, "3026-07-03T12:00:00Z", "",
		"3026-07-04T02:30:00-04:00"},
}

func TestMoved(t *testing.T) {
	s := mustDecode(t, `"frequency":"day","interval":1,"time_zone":"Europe/Vienna","schedule":{"hours":[1,2,3],"minutes":[10,30]}`)
	rule, _ := s.Compile(mustTime(t, "2026-03-28T23:00:00Z"))
	var got []string
	for o := range rule.All(mustTime(t, "2026-03-28T23:00:00Z")) {
		if o.Day() != 29 {
			break
		}
		if rule.Moved(o) {
			got = append(got, o.Format("15:04"))
		}
	}
	if got != nil {
		t.Errorf("moved on to times that are written: %v", got)
	}
	alone := mustDecode(t, `"frequency":"day","interval":1,"time_of_day":"02:30","time_zone":"Europe/Vienna"`)
	rule, _ = alone.Compile(mustTime(t, "2026-03-28T23:00:00Z"))
	if o, _ := rule.Next(mustTime(t, "2026-03-28T23:00:00Z")); !rule.Moved(o) {
		t.Errorf("%v is not marked", o)
	}
	if o, _ := rule.Next(mustTime(t, "2026-03-29T23:00:00Z")); rule.Moved(o) {
		t.Errorf("%v is marked", o)
	}
}

func TestCountBetween(t *testing.T) {
	rule, _ := mustDecode(t, `"frequency":"minute","interval":1,"start_time":"2026-01-01T00:00"`).Compile(time.Time{})
	from, to := mustTime(t, "2026-01-01T00:00:00Z"), mustTime(t, "2027-01-01T00:00:30Z")
	n, first, last := rule.CountBetween(from, to, 1000)
	if n != 1000 || !first.Equal(from.Add(time.Minute)) || !last.Equal(to.Add(-30*time.Second)) {
		t.Error(n, first, last)
	}
	if n, _, _ := rule.CountBetween(from, to, 1e9); n != 525600 {
		t.Error(n)
	}
	if n, first, last := rule.CountBetween(to, to, 10); n != 0 || !first.IsZero() || !last.IsZero() {
		t.Error(n, first, last)
	}
	if n, _, _ := rule.CountBetween(from, to, 0); n != 0 {
		t.Error(n)
	}
}

func TestNextAllocatesNothing(t *testing.T) {
	for _, s := range []Spec{
		every15("America/New_York"), mondays("America/New_York"), monthly("America/New_York"),
		cron("*/15 * * * *", "America/New_York"), cron("0 0 29 2 1", "Pacific/Apia"),
	} {
		rule, errs := s.Compile(benchCreated)
		if errs != nil {
			t.Fatal(errs)
		}
		at := benchCreated
		if n := testing.AllocsPerRun(100, func() { at, _ = rule.Next(at) }); n > 0 {
			t.Errorf("%v: %v allocations", s, n)
		}
	}
}
