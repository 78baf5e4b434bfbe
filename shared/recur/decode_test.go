package recur

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestDecodeCanonical(t *testing.T) {
	const nested = `{"type":"recurrence","frequency":"week","interval":2,"start_time":"2026-01-05T10:30","time_zone":"Europe/Vienna",` +
		`"schedule":{"minutes":[0,30],"hours":[9,10],"week_days":["Monday","Friday"]}}`
	for _, c := range []struct{ name, in, want string }{
		{"as it is", nested, nested},
		{"flat, as v1", `{"type":"recurrence","frequency":"Week","interval":2,"start_time":"2026-01-05T10:30","time_zone":"Europe/Vienna",
			"hours":[10,9],"minutes":[30,0],"week_days":["fri","MONDAY"]}`, nested},
		{"mixed", `{"type":"RECURRENCE","frequency":"WEEK","interval":2,"start_time":"2026-01-05T10:30","time_zone":"Europe/Vienna",
			"hours":[10,9,9],"schedule":{"minutes":[0,30,0],"week_days":["Mon","Friday","friday"]}}`, nested},
		{"time_of_day", `{"type":"recurrence","frequency":"day","interval":1,"time_of_day":"07:05"}`,
			`{"type":"recurrence","frequency":"day","interval":1,"schedule":{"minutes":[5],"hours":[7]}}`},
		{"null and empty", `{"type":"recurrence","frequency":"minute","interval":15,"start_time":null,"end_time":null,"time_zone":null,
			"time_of_day":null,"hours":[],"schedule":{"hours":[],"minutes":null,"monthly_occurrences":[]},"expression":null}`,
			`{"type":"recurrence","frequency":"minute","interval":15}`},
		{"month", `{"type":"recurrence","frequency":"month","interval":1,"schedule":{"monthly_occurrences":[{"day":"sun","occurrence":null},{"occurrence":-1,"day":"fri"},{"day":"FRI","occurrence":-1}]}}`,
			`{"type":"recurrence","frequency":"month","interval":1,"schedule":{"monthly_occurrences":[{"day":"Friday","occurrence":-1},{"day":"Sunday"}]}}`},
		{"month days", `{"type":"recurrence","frequency":"month","interval":1,"schedule":{"month_days":[15,-1,1,15]}}`,
			`{"type":"recurrence","frequency":"month","interval":1,"schedule":{"month_days":[-1,1,15]}}`},
		{"cron", ` {"type":"Cron","expression":"  0 6\t* * Mon "} `, `{"type":"cron","expression":"0 6 * * Mon"}`},
		{"at", `{"type":"at","at":"2026-06-01T10:00:00.000Z"}`, `{"type":"at","at":"2026-06-01T10:00:00.000Z"}`},
		{"escapes", `{"\u0074ype":"at","at":"2026-06-01T10:00:00\u005a"}`, `{"type":"at","at":"2026-06-01T10:00:00Z"}`},
	} {
		s, errs := Decode([]byte(c.in))
		got, _ := json.Marshal(s)
		if errs != nil || string(got) != c.want {
			t.Errorf("%s: %v\ngot  %s\nwant %s", c.name, errs, got, c.want)
		}
		if again, errs := Decode(got); errs != nil || !reflect.DeepEqual(again, s) {
			t.Errorf("%s: not stable: %v %v", c.name, again, errs)
		}
	}
}

// TestDecodeErrors: a definition and, in their order, the fields that are wrong with a word of each message.
func TestDecodeErrors(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{`[]`, ":object"},
		{`{"type":"recurrence"`, ":JSON"},
		{`{"type":"recurrence"} x`, ":JSON"},
		{`null`, ":object"},
		{``, ":JSON"},
		{`{}`, "type:recurrence"},
		{`{"type":5}`, "type:string"},
		{`{"type":"weekly","colour":"red"}`, "type:cron colour:unknown"},
		{`{"type":"recurrence"}`, "frequency:required interval:required"},
		{`{"type":"recurrence","frequency":"second","interval":"2"}`, "frequency:minute interval:whole"},
		{`{"type":"recurrence","frequency":"day","interval":0}`, "interval:small"},
		{`{"type":"recurrence","frequency":"day","interval":1.5}`, "interval:whole"},
		{`{"type":"recurrence","frequency":"day","interval":1001}`, "interval:1000"},
		{`{"type":"recurrence","frequency":"minute","interval":72001}`, "interval:72000"},
		{`{"type":"recurrence","frequency":"hour","interval":12001}`, "interval:12000"},
		{`{"type":"recurrence","frequency":"hour","interval":-1}`, "interval:12000"},
		{`{"type":"recurrence","frequency":"day","interval":1,"Interval":2,"interval":3}`, "interval:twice Interval:unknown"},
		{`{"type":"recurrence","frequency":"day","interval":1,"time_zone":"Europe/Wien"}`, "time_zone:IANA"},
		{`{"type":"recurrence","frequency":"day","interval":1,"time_zone":"Local"}`, "time_zone:IANA"},
		{`{"type":"recurrence","frequency":"day","interval":1,"time_zone":"../../etc/passwd"}`, "time_zone:IANA"},
		{`{"type":"recurrence","frequency":"day","interval":1,"start_time":"tomorrow","end_time":"2026-02-30T10:00"}`, "start_time:time end_time:time"},
		{`{"type":"recurrence","frequency":"day","interval":1,"start_time":"2026-02-02T10:00","end_time":"2026-02-02T09:59"}`, "end_time:before"},
		{`{"type":"recurrence","frequency":"day","interval":1,"schedule":{"hours":[24,0,-1],"minutes":[0,"5",60]}}`,
			"schedule.minutes[1]:whole schedule.minutes[2]:59 schedule.hours[0]:23 schedule.hours[2]:23"},
		{`{"type":"recurrence","frequency":"day","interval":1,"hours":[24],"minutes":[null]}`, "hours[0]:23 minutes[0]:whole"},
		{`{"type":"recurrence","frequency":"day","interval":1,"hours":7}`, "hours:list"},
		{`{"type":"recurrence","frequency":"day","interval":1,"hours":[7],"schedule":{"hours":[7]}}`, "hours:schedule"},
		{`{"type":"recurrence","frequency":"week","interval":1,"schedule":{"week_days":["Mo",1,"Friday"],"weekdays":[]}}`,
			"schedule.week_days[0]:Monday schedule.week_days[1]:string schedule.weekdays:week_days"},
		{`{"type":"recurrence","frequency":"day","interval":1,"week_days":["Monday"]}`, "week_days:week"},
		{`{"type":"recurrence","frequency":"month","interval":1,"schedule":{"week_days":["Monday"]}}`, "schedule.week_days:week"},
		{`{"type":"recurrence","frequency":"week","interval":1,"schedule":{"month_days":[1]}}`, "schedule.month_days:month"},
		{`{"type":"recurrence","frequency":"month","interval":1,"schedule":{"month_days":[0,32,-32]}}`,
			"schedule.month_days[0]:31 schedule.month_days[1]:31 schedule.month_days[2]:31"},
		{`{"type":"recurrence","frequency":"month","interval":1,"schedule":{"month_days":[1],"monthly_occurrences":[{"day":"Monday"}]}}`,
			"schedule.monthly_occurrences:together"},
		{`{"type":"recurrence","frequency":"month","interval":1,"schedule":{"monthly_occurrences":[{"day":"Monday","occurrence":6},{"occurrence":1},5,{"day":"Noday","nth":2},{"day":"Monday","occurrence":0}]}}`,
			"schedule.monthly_occurrences[0].occurrence:5 schedule.monthly_occurrences[1].day:required schedule.monthly_occurrences[2]:object " +
				"schedule.monthly_occurrences[3].nth:day schedule.monthly_occurrences[3].day:Monday schedule.monthly_occurrences[4].occurrence:every"},
		{`{"type":"recurrence","frequency":"day","interval":1,"time_of_day":"7:5"}`, "time_of_day:07:30"},
		{`{"type":"recurrence","frequency":"day","interval":1,"time_of_day":"24:00"}`, "time_of_day:07:30"},
		{`{"type":"recurrence","frequency":"day","interval":1,"time_of_day":"07:00","hours":[7]}`, "time_of_day:together"},
		{`{"type":"recurrence","frequency":"hour","interval":1,"time_of_day":"07:00","minutes":[7],"schedule":{"hours":[7]}}`,
			"time_of_day:only minutes:only schedule.hours:only"},
		{`{"type":"recurrence","frequency":"day","interval":1,"schedule":{"minutes":[7]}}`, "schedule.minutes:start_time"},
		{`{"type":"recurrence","frequency":"day","interval":1,"schedule":[]}`, "schedule:object"},
		{`{"type":"recurrence","frequency":"month","interval":12,"start_time":"2026-02-01T00:00","schedule":{"month_days":[30]}}`, "schedule.month_days:never"},
		{`{"type":"recurrence","frequency":"month","interval":12,"start_time":"2026-04-01T00:00","schedule":{"month_days":[31]}}`, "schedule.month_days:never"},
		{`{"type":"recurrence","frequency":"month","interval":24,"start_time":"2027-02-01T00:00","schedule":{"month_days":[29]}}`, "schedule.month_days:never"},
		{`{"type":"recurrence","frequency":"month","interval":24,"start_time":"2027-02-01T00:00","schedule":{"monthly_occurrences":[{"day":"Monday","occurrence":5}]}}`,
			"schedule.monthly_occurrences:never"},
		{`{"type":"cron","expression":"* * * * *","frequency":"day","interval":1,"hours":[1],"schedule":{"minutes":[1]},"at":"2026-01-01T00:00"}`,
			"frequency:expression interval:expression at:expression hours:expression"},
		{`{"type":"cron","expression":"61 * * * *","seconds":5}`, "expression:minute seconds:unknown"},
		{`{"type":"at"}`, "at:required"},
		{`{"type":"at","at":"2026-01-01","start_time":"2026-01-01T00:00"}`, "at:time start_time:at"},
	} {
		_, errs := Decode([]byte(c.in))
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

// TestCompileErrors is what only the instant of creation tells, and what no document can hold.
func TestCompileErrors(t *testing.T) {
	created := time.Date(2027, 2, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		spec  Spec
		field string
	}{
		{Spec{}, "type"},
		{Spec{Kind: "AT"}, "type"},
		{Spec{Kind: KindAt, At: "2027-01-31T23:59"}, "at"},
		{Spec{Kind: KindAt, At: "2027-02-01T00:00"}, "at"},
		{Spec{Kind: KindRecurrence, Frequency: "month", Interval: 24, Schedule: &Pattern{MonthDays: []int{-29}}}, "schedule.month_days"},
		{Spec{Kind: KindRecurrence, Frequency: "month", Interval: 1, Schedule: &Pattern{MonthDays: []int{1 << 40}}}, "schedule.month_days[0]"},
		{Spec{Kind: KindRecurrence, Frequency: "day", Interval: 1, Schedule: &Pattern{Hours: []int{-1 << 40}}}, "schedule.hours[0]"},
		{Spec{Kind: KindRecurrence, Frequency: "day", Interval: 1, StartTime: "9999-12-31T23:59", TimeZone: "Etc/GMT+12"}, "start_time"},
		{Spec{Kind: KindCron, Expression: "30 */24 25-31 3 0", TimeZone: "Asia/Beirut"}, "expression"}, // always in the gap
	} {
		_, errs := c.spec.Compile(created)
		if len(errs) != 1 || errs[0].Field != c.field || errs[0].Message == "" {
			t.Errorf("%+v: got %v, want %s", c.spec, errs, c.field)
		}
	}
	for _, created := range []time.Time{{}, time.Unix(1<<62, 0), time.Unix(-1<<62, 0)} {
		for _, s := range []Spec{mondays(""), every15("Asia/Kathmandu"), monthly("America/New_York"), cron("* * * * *", "Pacific/Apia")} {
			if rule, errs := s.Compile(created); errs == nil {
				rule.Next(time.Unix(1<<62, 0))
				rule.Next(time.Unix(-1<<62, 0))
			}
		}
	}
}

// FuzzDecode: any document gets an answer; what is accepted is stable and compiles into a rule that fires or says
// why not.
func FuzzDecode(f *testing.F) {
	f.Add(`{"type":"recurrence","frequency":"week","interval":2,"hours":[10],"week_days":["mon"],"time_zone":"Europe/Vienna"}`)
	f.Add(`{"type":"recurrence","frequency":"month","interval":1,"schedule":{"monthly_occurrences":[{"day":"Friday","occurrence":-1}]},"start_time":"2026-01-31T10:00:00+05:30"}`)
	f.Add(`{"type":"cron","expression":"*/5 1-3 * * 7","end_time":"2030-01-01T00:00Z"}`)
	f.Add(`{"type":"at","at":"2026-01-01T10:00","":null,"x":"\"}{"}`)
	f.Fuzz(func(t *testing.T, text string) {
		s, errs := Decode([]byte(text))
		if errs != nil {
			return
		}
		data, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if again, errs := Decode(data); errs != nil || !reflect.DeepEqual(s, again) {
			t.Fatalf("%s: %+v, then %+v %v", text, s, again, errs)
		}
		if s.String() == "" {
			t.Fatal("no sentence")
		}
		rule, errs := s.Compile(benchCreated)
		if errs != nil {
			return
		}
		if next, ok := rule.Next(benchCreated); ok && !next.After(benchCreated) {
			t.Fatalf("%s: %v", text, next)
		}
	})
}
