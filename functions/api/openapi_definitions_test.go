package api

import (
	"encoding/json"
	"strings"
	"testing"

	"carillon/shared/recur"
	"carillon/shared/schedule"
)

// The document and the decoder take the same definitions, as far as a schema can tell; what the decoder gives back
// conforms as well.
func TestContractDefinitions(t *testing.T) {
	definition := readDocument(t).at("components", "schemas", "Definition")
	with := func(fields string) string {
		return `{"name": "a", "pipeline": {"kind": "local", "id": "x"}, "experiment": "e"` + fields + `}`
	}
	on := func(trigger string) string { return with(`, "trigger": ` + trigger) }
	minutely := `, "trigger": {"type": "recurrence", "frequency": "minute", "interval": 1}`
	for _, c := range []struct {
		text string
		good bool
	}{
		{with(minutely), true},
		{with(minutely + `, "description": "d", "parameters": {"a.b": "x", "n": 1, "b": true}, "status": "Disabled", "continue_on_step_failure": true`), true},
		{with(minutely + `, "outputs": {"model": "uri_folder(upload):azureml://datastores/d/paths/{{ .Nominal }}"}, "settings": {"force_rerun": true, "x": {"y": [1]}}, "tags": {"team": "x", "n": 1}`), true},
		{with(minutely + `, "catch_up": {"policy": "all", "window": "1d12h"}`), true},
		{with(minutely + `, "jitter": "1h30m", "calendars": ["holidays", "Blackout-2"], "max_runs": 1000`), true},
		{with(minutely + `, "calendars": []`), true},
		{on(`{"type": "recurrence", "frequency": "week", "interval": 2, "week_days": ["Monday"], "hours": [1, 2], "minutes": []}`), true},
		{on(`{"type": "recurrence", "frequency": "day", "interval": 1, "time_of_day": "07:30", "start_time": "2026-01-01T00:00:00+01:00", "end_time": "2027-01-01T00:00", "time_zone": "W. Europe Standard Time"}`), true},
		{on(`{"type": "recurrence", "frequency": "month", "interval": 1, "start_time": "2026-01-01T00:00:00.000Z", "schedule": {"month_days": [-1, 5], "hours": [3]}}`), true},
		{on(`{"type": "recurrence", "frequency": "month", "interval": 1, "start_time": "2026-01-01T00:00", "schedule": {"monthly_occurrences": [{"day": "Friday"}, {"day": "Monday", "occurrence": -2}]}}`), true},
		{on(`{"type": "cron", "expression": "0 6 * * 1-5", "time_zone": "UTC", "start_time": "2026-01-01T00:00", "end_time": "2027-01-01T00:00"}`), true},
		{on(`{"type": "at", "at": "2030-01-01T00:00", "time_zone": "Europe/Vienna"}`), true},
		{with(minutely + `, "overlap": "buffer_one", "pause_after_failures": 3`), true},
		{on(`{"type": "datastore", "datastore": "inbox"}`), true},
		{on(`{"type": "datastore", "datastore": "inbox", "path_on_datastore": "incoming", "recursive": false, "include": ["*.csv"], "polling_interval": 5, "mode": "each", "data_path_parameter_name": "input_data"}`), true},
		{on(`{"type": "datastore", "datastore": "inbox", "path_on_datastore": "a b/c/", "recursive": true, "include": "**/x/*.csv", "exclude": [], "time_zone": "Europe/Vienna", "process_existing": true}`), true},
		{on(`{"type": "datastore", "datastore": "inbox", "mode": "batch", "quiet_period": "5m", "max_wait": "1h30m"}`), true},
		{on(`{"type": "datastore", "datastore": "inbox", "mode": "batch", "polling_interval": 1440}`), true},
		{on(`{"type": "datastore", "all_of": [{"datastore": "a"}, {"datastore": "a", "path_on_datastore": "b", "recursive": true, "include": ["*"]}], "within": "1d"}`), true},
		{`{}`, false},
		{`[]`, false},
		{with(""), false},
		{with(minutely + `, "outputs": {"model": ["x"]}`), false},
		{with(minutely + `, "settings": {"continue_on_step_failure": true}`), false},
		{with(minutely + `, "continue_on_step_failure": false`), true},
		{with(minutely + `, "continue_on_step_failure": "no"`), false},
		{with(minutely + `, "settings": [1]`), false},
		{with(minutely + `, "tags": {"team": ""}`), false},
		{with(minutely + `, "overlap": "queue"`), false},
		{with(minutely + `, "pause_after_failures": 0`), false},
		{on(`{"type": "datastore"}`), false},
		{on(`{"type": "datastore", "datastore": "in box"}`), false},
		{on(`{"type": "datastore", "datastore": "inbox", "interval": 1}`), false},
		{on(`{"type": "datastore", "datastore": "inbox", "path_on_datastore": "/incoming"}`), false},
		{on(`{"type": "datastore", "datastore": "inbox", "path_on_datastore": "in\\coming"}`), false},
		{on(`{"type": "datastore", "datastore": "inbox", "path_on_datastore": "in//coming"}`), false},
		{on(`{"type": "datastore", "datastore": "inbox", "include": [""]}`), false},
		{on(`{"type": "datastore", "datastore": "inbox", "include": 5}`), false},
		{on(`{"type": "datastore", "datastore": "inbox", "recursive": "yes"}`), false},
		{on(`{"type": "datastore", "datastore": "inbox", "polling_interval": 0}`), false},
		{on(`{"type": "datastore", "datastore": "inbox", "polling_interval": 1441}`), false},
		{on(`{"type": "datastore", "datastore": "inbox", "polling_interval": "5m"}`), false},
		{on(`{"type": "datastore", "datastore": "inbox", "mode": "all"}`), false},
		{on(`{"type": "datastore", "datastore": "inbox", "quiet_period": "5m"}`), false},
		{on(`{"type": "datastore", "datastore": "inbox", "mode": "batch", "max_wait": "5m"}`), false},
		{on(`{"type": "datastore", "datastore": "inbox", "within": "1d"}`), false},
		{on(`{"type": "datastore", "datastore": "inbox", "data_path_parameter_name": "1st"}`), false},
		{on(`{"type": "datastore", "datastore": "inbox", "all_of": [{"datastore": "a"}, {"datastore": "b"}]}`), false},
		{on(`{"type": "datastore", "all_of": [{"datastore": "a"}]}`), false},
		{on(`{"type": "datastore", "all_of": [{"datastore": "a"}, {"path_on_datastore": "b"}]}`), false},
		{on(`{"type": "datastore", "all_of": [{"datastore": "a"}, {"datastore": "b"}], "mode": "each"}`), false},
		{with(minutely + `, "colour": "red"`), false},
		{with(minutely + `, "status": "Paused"`), false},
		{with(minutely + `, "catch_up": {"policy": "some"}`), false},
		{with(minutely + `, "catch_up": {"window": "soon"}`), false},
		{with(minutely + `, "catch_up": {"length": "1h"}`), false},
		{with(minutely + `, "jitter": "soon"`), false},
		{with(minutely + `, "jitter": 5`), false},
		{with(minutely + `, "calendars": "holidays"`), false},
		{with(minutely + `, "calendars": ["a b"]`), false},
		{with(minutely + `, "calendars": ["a", "a"]`), false},
		{with(minutely + `, "calendars": ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"]`), false},
		{with(minutely + `, "max_runs": 0`), false},
		{with(minutely + `, "max_runs": "5"`), false},
		{with(minutely + `, "parameters": {"1st": "x"}`), false},
		{with(minutely + `, "parameters": {"a": {}}`), false},
		{with(minutely + `, "description": 1`), false},
		{strings.Replace(with(minutely), `"a"`, `"-a"`, 1), false},
		{strings.Replace(with(minutely), `"local"`, `"Local"`, 1), false},
		{strings.Replace(with(minutely), `, "id": "x"`, ``, 1), false},
		{strings.Replace(with(minutely), `"e"`, `""`, 1), false},
		{on(`{"type": "sometimes"}`), false},
		{on(`{"frequency": "day", "interval": 1}`), false},
		{on(`{"type": "recurrence", "frequency": "minute"}`), false},
		{on(`{"type": "recurrence", "frequency": "minute", "interval": 0}`), false},
		{on(`{"type": "recurrence", "frequency": "minute", "interval": 72001}`), false},
		{on(`{"type": "recurrence", "frequency": "year", "interval": 1}`), false},
		{on(`{"type": "recurrence", "frequency": "minute", "interval": 1, "at": "2030-01-01T00:00"}`), false},
		{on(`{"type": "recurrence", "frequency": "day", "interval": 1, "time_of_day": "24:00"}`), false},
		{on(`{"type": "recurrence", "frequency": "day", "interval": 1, "start_time": "tomorrow"}`), false},
		{on(`{"type": "recurrence", "frequency": "day", "interval": 1, "schedule": {"hours": [24]}}`), false},
		{on(`{"type": "recurrence", "frequency": "day", "interval": 1, "schedule": {"hours": [1], "minutes": [-1]}}`), false},
		{on(`{"type": "recurrence", "frequency": "day", "interval": 1, "schedule": {"hours": [1], "seconds": [1]}}`), false},
		{on(`{"type": "recurrence", "frequency": "week", "interval": 1, "week_days": ["Someday"]}`), false},
		{on(`{"type": "recurrence", "frequency": "month", "interval": 1, "schedule": {"month_days": [0], "hours": [1]}}`), false},
		{on(`{"type": "recurrence", "frequency": "month", "interval": 1, "schedule": {"monthly_occurrences": [{"day": "Friday", "occurrence": 6}], "hours": [1]}}`), false},
		{on(`{"type": "cron"}`), false},
		{on(`{"type": "cron", "expression": "0 6 * * *", "interval": 1}`), false},
		{on(`{"type": "at", "at": "2030-01-01"}`), false},
	} {
		schemaErr := definition.check(decoded(t, []byte(c.text)))
		got, errs := schedule.Decode([]byte(c.text))
		if (schemaErr == nil) != c.good || (len(errs) == 0) != c.good {
			t.Errorf("%s: the schema says %v, the decoder %v; want good: %v", c.text, schemaErr, errs, c.good)
		}
		if canonical, _ := json.Marshal(got); c.good && definition.check(decoded(t, canonical)) != nil {
			t.Errorf("the canonical form does not conform: %s: %v", canonical, definition.check(decoded(t, canonical)))
		}
	}
}

// The document and the decoder take the same calendars, too.
func TestContractCalendars(t *testing.T) {
	calendar := readDocument(t).at("components", "schemas", "Calendar")
	days := func(recurrence string) string { return `{"recurrences": [` + recurrence + `]}` }
	for _, c := range []struct {
		text string
		good bool
	}{
		{`{"time_zone": "Europe/Vienna", "dates": ["2026-12-08"], "date_ranges": [{"first": "2026-12-24", "last": "2027-01-06"}]}`, true},
		{`{"dates": [], "spans": [{"from": "2026-07-01T18:00", "to": "2026-07-02T06:00:00Z"}]}`, true},
		{days(`{"frequency": "week", "interval": 1, "schedule": {"week_days": ["Saturday"]}}, {"type": "recurrence", "frequency": "month", "interval": 1, "schedule": {"month_days": [-1]}}`), true},
		{days(`{"frequency": "week", "interval": 2, "start_time": "2026-01-05T00:00", "end_time": "2027-01-01T00:00", "week_days": ["Monday"], "time_of_day": "10:00"}`), true},
		{days(`{"frequency": "day", "interval": 3, "start_time": "2026-01-05T00:00", "hours": [1], "minutes": [2]}`), true},
		{`{}`, false},
		{`[]`, false},
		{`{"time_zone": "UTC"}`, false},
		{`{"dates": [], "spans": []}`, false},
		{`{"dates": "2026-12-08"}`, false},
		{`{"dates": ["2026-02-30"]}`, false},
		{`{"dates": ["2026-12-08T00:00"]}`, false},
		{`{"dates": [20261208]}`, false},
		{`{"dates": ["2026-12-08"], "holidays": []}`, false},
		{`{"date_ranges": [{"first": "2026-12-24"}]}`, false},
		{`{"date_ranges": [{"first": "2026-12-24", "last": "2027-01-06", "to": "x"}]}`, false},
		{`{"spans": [{"from": "2026-07-01", "to": "2026-07-02"}]}`, false},
		{`{"spans": [{"from": "2026-07-01T18:00"}]}`, false},
		{days(`{"frequency": "week"}`), false},
		{days(`{"frequency": "year", "interval": 1}`), false},
		{days(`{"frequency": "day", "interval": 1, "time_zone": "UTC"}`), false},
		{days(`{"type": "cron", "expression": "0 6 * * *"}`), false},
	} {
		schemaErr := calendar.check(decoded(t, []byte(c.text)))
		got, errs := recur.DecodeCalendar([]byte(c.text))
		if (schemaErr == nil) != c.good || (len(errs) == 0) != c.good {
			t.Errorf("%s: the schema says %v, the decoder %v; want good: %v", c.text, schemaErr, errs, c.good)
		}
		if canonical, _ := json.Marshal(got); c.good && calendar.check(decoded(t, canonical)) != nil {
			t.Errorf("the canonical form does not conform: %s: %v", canonical, calendar.check(decoded(t, canonical)))
		}
	}
}
