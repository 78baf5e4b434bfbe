package schedule

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

const valid = `{
	"name": "every-15-minutes", "pipeline": {"kind": "local", "id": "hello"}, "experiment": "demo",
	"parameters": {"who": "world"}, "trigger": {"type": "recurrence", "frequency": "minute", "interval": 15}, "status": "Active"}`

func TestDecode(t *testing.T) {
	d, errs := Decode([]byte(valid))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	if d.Name != "every-15-minutes" || d.Pipeline != (PipelineRef{"local", "hello"}) || d.Parameters["who"] != "world" || d.Status != Active {
		t.Errorf("decoded %+v", d)
	}
	again, errs := Decode(mustJSON(t, d))
	if len(errs) > 0 || string(mustJSON(t, again)) != string(mustJSON(t, d)) {
		t.Errorf("the canonical form is not read back: %v\n%s\n%s", errs, mustJSON(t, d), mustJSON(t, again))
	}
}

func TestDecodeValues(t *testing.T) {
	for _, row := range []struct {
		name, patch string
		got         func(Definition) any
		want        any
	}{
		{"status in any case", `"status": "disabled"`, func(d Definition) any { return d.Status }, Disabled},
		{"no status is Active", `"status": null`, func(d Definition) any { return d.Status }, Active},
		{"numbers are text as written", `"parameters": {"n": 1.10}`, func(d Definition) any { return d.Parameters["n"] }, "1.10"},
		{"booleans are text", `"parameters": {"n": true}`, func(d Definition) any { return d.Parameters["n"] }, "true"},
		{"a null parameter is absent", `"parameters": {"a": null}`, func(d Definition) any { return d.Parameters == nil }, true},
		{"no parameters", `"parameters": {}`, func(d Definition) any { return d.Parameters == nil }, true},
		{"catch-up policy", `"catch_up": {"policy": "NONE"}`, func(d Definition) any { return d.CatchUp.Policy }, CatchUpNone},
		{"catch-up window", `"catch_up": {"window": "1d12h"}`, func(d Definition) any { return d.CatchUp.window() }, 36 * time.Hour},
		{"default window", `"catch_up": {}`, func(d Definition) any { return d.CatchUp.window() }, time.Hour},
		{"window of nothing", `"catch_up": {"window": "0s"}`, func(d Definition) any { return d.CatchUp.window() }, time.Duration(0)},
		{"an output", `"outputs": {"model": "azureml://datastores/d/paths/{{ .Nominal }}"}`, func(d Definition) any { return d.Outputs["model"] }, "azureml://datastores/d/paths/{{ .Nominal }}"},
		{"a setting is kept as it is", `"settings": {"force_rerun": true, "a": null}`, func(d Definition) any { return string(d.Settings["force_rerun"]) + fmt.Sprint(len(d.Settings)) }, "true1"},
		{"a setting of parts", `"settings": {"limits": {"b":[1,"x"]}}`, func(d Definition) any { return string(d.Settings["limits"]) }, `{"b":[1,"x"]}`},
		{"tags are texts", `"tags": {"team": "x", "n": 1, "none": null}`, func(d Definition) any { return d.Tags["team"] + d.Tags["n"] + fmt.Sprint(len(d.Tags)) }, "x12"},
		{"goes on", `"continue_on_step_failure": true`, func(d Definition) any { return *d.ContinueOnStepFailure }, true},
		{"ends", `"continue_on_step_failure": false`, func(d Definition) any { return *d.ContinueOnStepFailure }, false},
		{"as the pipeline says", `"continue_on_step_failure": null`, func(d Definition) any { return d.ContinueOnStepFailure == nil }, true},
	} {
		d, errs := Decode(with(row.patch))
		if len(errs) > 0 {
			t.Errorf("%s: %v", row.name, errs)
		} else if got := row.got(d); got != row.want {
			t.Errorf("%s: got %v, want %v", row.name, got, row.want)
		}
	}
}

func TestDecodeNamesWhatIsWrong(t *testing.T) {
	for _, row := range []struct{ patch, field string }{
		{`"name": ""`, "name"},
		{`"name": null`, "name"},
		{`"name": "-x"`, "name"},
		{`"name": "a|b"`, "name"},
		{`"name": "` + strings.Repeat("x", 256) + `"`, "name"},
		{`"name": 5`, "name"},
		{`"description": ["x"]`, "description"},
		{`"pipeline": null`, "pipeline"},
		{`"pipeline": "hello"`, "pipeline"},
		{`"pipeline": {"kind": "local"}`, "pipeline.id"},
		{`"pipeline": {"id": "x"}`, "pipeline.kind"},
		{`"pipeline": {"kind": "Local!", "id": "x"}`, "pipeline.kind"},
		{`"pipeline": {"kind": "local", "id": "x", "version": 2}`, "pipeline.version"},
		{`"experiment": " "`, "experiment"},
		{`"parameters": ["a"]`, "parameters"},
		{`"parameters": {"a": "x\u0000"}`, "parameters.a"},
		{`"parameters": {"a": {}}`, "parameters.a"},
		{`"parameters": {"a b": "x"}`, "parameters.a b"},
		{`"parameters": {"a": "` + strings.Repeat("x", MaxDefinition) + `"}`, "parameters"},
		{`"outputs": ["a"]`, "outputs"},
		{`"outputs": {"a": {}}`, "outputs.a"},
		{`"outputs": {"a": "{{ .Nowhere }}"}`, "outputs.a"},
		{`"settings": "fast"`, "settings"},
		{`"settings": {"continue_on_step_failure": true}`, "settings.continue_on_step_failure"},
		{`"settings": {"a b": 1}`, "settings.a b"},
		{`"tags": ["a"]`, "tags"},
		{`"tags": {"a": ""}`, "tags.a"},
		{`"tags": {"a": ["x"]}`, "tags.a"},
		{`"tags": {"": "x"}`, "tags."},
		{`"tags": {"a": "` + strings.Repeat("x", 4097) + `"}`, "tags.a"},
		{`"trigger": null`, "trigger"},
		{`"trigger": {"type": "recurrence", "interval": 15}`, "trigger.frequency"},
		{`"trigger": {"type": "recurrence", "frequency": "minute", "interval": 0}`, "trigger.interval"},
		{`"trigger": {"type": "recurrence", "frequency": "minute", "interval": 1, "colour": "red"}`, "trigger.colour"},
		{`"catch_up": {"policy": "some"}`, "catch_up.policy"},
		{`"catch_up": {"window": "5 minutes"}`, "catch_up.window"},
		{`"catch_up": {"window": "-5m"}`, "catch_up.window"},
		{`"catch_up": true`, "catch_up"},
		{`"status": "Paused"`, "status"},
		{`"continue_on_step_failure": "yes"`, "continue_on_step_failure"},
		{`"owner": "me"`, "owner"},
	} {
		_, errs := Decode(with(row.patch))
		if len(errs) != 1 || errs[0].Field != row.field || errs[0].Message == "" {
			t.Errorf("%s: got %v, want one error at %s", row.patch, errs, row.field)
		}
	}
}

func TestDecodeNamesEverything(t *testing.T) {
	_, errs := Decode([]byte(`{"name": "?", "pipeline": {}, "status": 1, "catch_up": {"policy": 1, "x": 1}, "trigger": {}, "z": 0}`))
	var fields []string
	for _, e := range errs {
		fields = append(fields, e.Field)
	}
	for _, want := range []string{"name", "pipeline.kind", "pipeline.id", "experiment", "trigger.type", "catch_up.policy", "catch_up.x", "status", "z"} {
		if !strings.Contains(" "+strings.Join(fields, " ")+" ", " "+want+" ") {
			t.Errorf("%s is not named among %v", want, fields)
		}
	}
	for _, text := range []string{``, `null`, `[]`, `"x"`, `{`, `{"name": "a"} {}`} {
		if _, errs := Decode([]byte(text)); len(errs) == 0 {
			t.Errorf("%q is taken for a definition", text)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(valid))
	f.Add(with(`"catch_up": {"window": "1d"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, errs := Decode(data)
		if len(errs) > 0 {
			return
		}
		again, errs := Decode(mustJSON(t, d))
		if len(errs) > 0 || string(mustJSON(t, again)) != string(mustJSON(t, d)) {
			t.Errorf("the canonical form of %s is not read back: %v", data, errs)
		}
	})
}

func TestDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0s": 0, "90s": 90 * time.Second, "5m": 5 * time.Minute, "1h30m": 90 * time.Minute, "2d": 48 * time.Hour, "1d12h": 36 * time.Hour,
	} {
		got, err := ParseDuration(text)
		if err != nil || got != want {
			t.Errorf("%s: got %v, %v", text, got, err)
		}
		if back, err := ParseDuration(Duration(got).String()); err != nil || back != want {
			t.Errorf("%s: written as %s", text, Duration(got))
		}
	}
	for _, text := range []string{"", "5", "d", "-1m", "+1m", "1.5s", "1ms", "1w", "5 m", "1.5h", "30m1h", "1d1d", "99999d", "1h-5m"} {
		if d, err := ParseDuration(text); err == nil {
			t.Errorf("%q is taken for %v", text, d)
		}
	}
}

// with lays fields over the valid definition.
func with(fields string) []byte {
	var base, over map[string]json.RawMessage
	if json.Unmarshal([]byte(valid), &base) != nil || json.Unmarshal([]byte("{"+fields+"}"), &over) != nil {
		panic(fields)
	}
	for name, value := range over {
		base[name] = value
	}
	data, _ := json.Marshal(base)
	return data
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
