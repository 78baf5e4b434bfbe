package studio

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	yamllib "go.yaml.in/yaml/v3"

	"carillon/shared/schedule"
)

// What the page shows of a definition is read as that definition.
func TestYAML(t *testing.T) {
	for _, definition := range []string{
		`{"name": "null", "description": "a: b # \"c\"\nÄ\u0007\u007f\u2028 {d}", "pipeline": {"kind": "local", "id": "2026-01-01"},
			"experiment": "yes", "parameters": {"who": "world, and all", "on": "", "n": 12, "path": "in/data.csv", "tilde": "~", "star": "*x", "dash": "a - b"},
			"trigger": {"type": "recurrence", "frequency": "month", "interval": 1, "start_time": "2026-01-31T10:30", "time_zone": "W. Europe Standard Time",
				"schedule": {"hours": [10, 12], "minutes": [0], "monthly_occurrences": [{"day": "Monday", "occurrence": -1}, {"day": "Friday"}]}},
			"catch_up": {"policy": "all", "window": "2d"}, "jitter": "1h30m", "calendars": ["on", "holidays", "2026"], "max_runs": 12, "continue_on_step_failure": true, "status": "Disabled"}`,
		`{"name": "d", "pipeline": {"kind": "local", "id": "a"}, "experiment": "e", "parameters": {"since": "{{ .Window.Start }}"}, "trigger": {"type": "datastore",
			"datastore": "inbox", "path_on_datastore": "in/ä b", "recursive": true, "include": ["**/*.csv", "[ab]?.txt"], "exclude": ["_*"], "mode": "batch",
			"quiet_period": "90s", "max_wait": "1d", "data_path_parameter_name": "in", "process_existing": true, "time_zone": "Europe/Vienna"}}`,
		`{"name": "w", "pipeline": {"kind": "local", "id": "a"}, "experiment": "e", "trigger": {"type": "datastore", "within": "2h", "polling_interval": 15,
			"all_of": [{"datastore": "a"}, {"datastore": "b", "path_on_datastore": "2026/01", "include": ["*.csv"]}]}}`,
		`{"name": "c", "pipeline": {"kind": "local", "id": "a"}, "experiment": "e", "trigger": {"type": "cron", "expression": "*/5 * * * Mon-Fri"}}`,
	} {
		want, errs := schedule.Decode([]byte(definition))
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		text := yaml(want)
		var read map[string]any
		if err := yamllib.Unmarshal([]byte(text), &read); err != nil {
			t.Fatalf("%v:\n%s", err, text)
		}
		data, err := json.Marshal(read)
		if err != nil {
			t.Fatal(err)
		}
		got, errs := schedule.Decode(data)
		if len(errs) > 0 || !reflect.DeepEqual(got, want) {
			t.Errorf("read as %+v, want %+v; %v:\n%s", got, want, errs, text)
		}
	}
}

func TestPlaces(t *testing.T) {
	for _, c := range []struct{ path, place, short string }{
		{"in/a b.csv", "inbox/in/a b.csv", "inbox/in/a b.csv"},
		{" a", "inbox/ a", "inbox/ a"},
		{"a ", `"inbox/a "`, `"inbox/a "`},
		{"a  b", `"inbox/a  b"`, `"inbox/a  b"`},
		{"a\nb\u202e", `"inbox/a\nb\u202e"`, `"inbox/a\nb\u202e"`},
		{"ä/" + strings.Repeat("ö", 60), "inbox/ä/" + strings.Repeat("ö", 60), "…" + strings.Repeat("ö", 59)},
	} {
		place := placeOf(schedule.Change{Datastore: "inbox", Path: c.path})
		if place != c.place || short(place) != c.short {
			t.Errorf("%q: %s, short %s", c.path, place, short(place))
		}
	}
}

func TestTook(t *testing.T) {
	for _, c := range []struct {
		d    time.Duration
		want string
	}{
		{0, "0 ms"}, {400 * time.Millisecond, "400 ms"}, {12300 * time.Millisecond, "12.3 s"}, {192 * time.Second, "3 min 12 s"},
		{2*time.Hour + 5*time.Minute, "2 h 05 min"}, {50 * time.Hour, "2 d 02 h"}, {-time.Second, "0 ms"},
	} {
		if got := took(noon, noon.Add(c.d), noon); got != c.want {
			t.Errorf("%v: %q, want %q", c.d, got, c.want)
		}
	}
	if got := took(noon.Add(-time.Minute), time.Time{}, noon); got != "1 min 00 s" {
		t.Errorf("under way: %q", got)
	}
	if got := took(time.Time{}, noon, noon); got != "" {
		t.Errorf("not started: %q", got)
	}
}

func TestAt(t *testing.T) {
	zone := time.FixedZone("ABC", 3600)
	for _, c := range []struct {
		t    time.Time
		want moment
	}{
		{time.Time{}, moment{}},
		{noon, moment{"2026-01-05T12:00:30Z", "Mon 2026-01-05 13:00:30 ABC", "Mon 2026-01-05 12:00:30 UTC", "now"}},
		{noon.Add(90 * time.Second), moment{"2026-01-05T12:02:00Z", "Mon 2026-01-05 13:02 ABC", "Mon 2026-01-05 12:02 UTC", "in 1 min"}},
		{noon.Add(-30 * time.Hour), moment{"2026-01-04T06:00:30Z", "Sun 2026-01-04 07:00:30 ABC", "Sun 2026-01-04 06:00:30 UTC", "30 h 00 min ago"}},
		{noon.Add(72 * time.Hour), moment{"2026-01-08T12:00:30Z", "Thu 2026-01-08 13:00:30 ABC", "Thu 2026-01-08 12:00:30 UTC", "in 3 days"}},
	} {
		if got := at(c.t, zone, noon); got != c.want {
			t.Errorf("%v: %+v, want %+v", c.t, got, c.want)
		}
	}
}
