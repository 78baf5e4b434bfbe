package schedule

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"carillon/shared/recur"
)

const (
	// MaxDefinition is how many bytes a definition's canonical JSON may have, so that it fits a row of the store.
	MaxDefinition = 32 << 10
	// MaxOwnParameters is how many bytes the parameters that are given for one run may have as JSON.
	MaxOwnParameters = 12 << 10
	// MaxTrigger is how many of them the trigger may have: it is copied to where the clock reads it.
	MaxTrigger = 16 << 10

	maxText      = 4096
	maxTagName   = 256
	maxCalendars = 10
)

var (
	namePattern      = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_-]{0,254}$`)
	kindPattern      = regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`)
	somePattern      = regexp.MustCompile(`\S`)
	parameterPattern = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]{0,127}$`)
)

// ValidName reports whether a schedule may be called so.
func ValidName(name string) bool { return namePattern.MatchString(name) }

// Decode reads a definition from a JSON object and returns it in its canonical form. The second value holds
// everything that is wrong with it, by field; fields that do not exist are named. Whether the pipeline exists is
// for the caller to check.
func Decode(data []byte) (Definition, recur.FieldErrors) {
	var errs recur.FieldErrors
	o, ok := recur.ReadObject("", data, &errs)
	if !ok {
		return Definition{}, errs
	}
	d := Definition{
		Name:        required(o, "name", 255, namePattern, "a letter or digit, then up to 254 letters, digits, _ or -"),
		Description: text(o, "description", maxText),
		Pipeline:    decodePipeline(o, &errs),
		Experiment:  required(o, "experiment", 255, somePattern, "the name under which runs are grouped"),
		Parameters:  parameters("parameters", o.Value("parameters"), &errs),
		Outputs:     parameters("outputs", o.Value("outputs"), &errs),
		Settings:    decodeSettings(o, &errs),
		Tags:        decodeTags(o, &errs),
		Trigger:     decodeTrigger(o, &errs),
		CatchUp:     decodeCatchUp(o, &errs),
		Jitter:      decodeJitter(o),
		Calendars:   decodeCalendars(o),
		MaxRuns:     decodeCount(o, "max_runs"),
		Overlap:     Overlap(oneOf(o, "overlap", "", string(OverlapAllow), string(OverlapSkip), string(OverlapBufferOne), string(OverlapBufferAll), string(OverlapCancelRunning))),
		PauseAfter:  decodeCount(o, "pause_after_failures"),
		Status:      Activity(oneOf(o, "status", string(Active), string(Active), string(Disabled))),
	}
	for field, flag := range map[string]any{"continue_on_step_failure": &d.ContinueOnStepFailure, "run_on_create": &d.RunOnCreate} {
		if raw := o.Value(field); raw != nil && json.Unmarshal(raw, flag) != nil {
			o.Fail(field, "has to be true or false")
		}
	}
	d.checkWatch(o)
	o.Strangers([]string{"name", "description", "pipeline", "experiment", "parameters", "outputs", "settings", "tags", "trigger", "catch_up", "jitter", "calendars", "max_runs", "run_on_create", "overlap", "pause_after_failures", "status", "continue_on_step_failure"})
	if len(errs) == 0 {
		errs = append(CheckTemplates("parameters", d.Parameters, d.Trigger.Uses()), CheckTemplates("outputs", d.Outputs, d.Trigger.Uses())...)
	}
	if len(errs) == 0 {
		if canonical, err := json.Marshal(d); err != nil || len(canonical) > MaxDefinition {
			o.Fail("parameters", "the whole definition may have %d bytes as JSON, this one has %d", MaxDefinition, len(canonical))
		}
	}
	return d, errs
}

// checkWatch finds what does not go together with a datastore trigger.
func (d Definition) checkWatch(o *recur.Object) {
	if d.Trigger.Watch == nil {
		return
	}
	for field, set := range map[string]bool{"calendars": len(d.Calendars) > 0, "jitter": d.Jitter > 0, "catch_up": d.CatchUp != CatchUp{}} {
		if set {
			o.Fail(field, "is not for datastore triggers: they fire when data change, whatever the time")
		}
	}
	if name := d.Trigger.DataPathParameter; name != "" {
		if _, twice := d.Parameters[name]; twice {
			o.Fail("parameters."+name, "gets its value from the change (trigger.data_path_parameter_name): leave it out here")
		}
	}
}

// decodeSettings reads settings, of any type. One of them is every far side's and has a field of its own.
func decodeSettings(parent *recur.Object, errs *recur.FieldErrors) (s Settings) {
	raw := parent.Value("settings")
	if raw == nil {
		return nil
	}
	o, ok := recur.ReadObject("settings", raw, errs)
	if !ok {
		return nil
	}
	for name, value := range o.All() {
		switch {
		case string(value) == "null":
			continue
		case name == "continue_on_step_failure":
			o.Fail(name, "stands beside settings, not in them")
		case !parameterPattern.MatchString(name):
			o.Fail(name, "cannot be a setting's name: a letter or _, then up to 127 letters, digits, _ . or -")
		}
		if s == nil {
			s = Settings{}
		}
		s[name] = bytes.Clone(value)
	}
	return s
}

// decodeTags reads texts that are not empty, as the services want them.
func decodeTags(parent *recur.Object, errs *recur.FieldErrors) (tags Tags) {
	raw := parent.Value("tags")
	if raw == nil {
		return nil
	}
	o, ok := recur.ReadObject("tags", raw, errs)
	if !ok {
		return nil
	}
	for name, value := range o.All() {
		written, ok := scalar(value)
		switch {
		case string(value) == "null":
			continue
		case name == "" || len(name) > maxTagName:
			o.Fail(name, "cannot be a tag's name: it takes 1 to %d bytes", maxTagName)
		case !ok || written == "" || len(written) > maxText:
			o.Fail(name, "has to be text that is not empty, of at most %d bytes, a number, true or false", maxText)
		}
		if tags == nil {
			tags = Tags{}
		}
		tags[name] = written
	}
	return tags
}

// DecodeParameters reads the parameters that a caller gives for one run.
func DecodeParameters(data []byte) (Parameters, recur.FieldErrors) {
	var errs recur.FieldErrors
	own := parameters("parameters", data, &errs)
	if written, err := json.Marshal(own); err != nil || len(written) > MaxOwnParameters {
		message := fmt.Sprintf("may have %d bytes as JSON, these have %d", MaxOwnParameters, len(written))
		errs = append(errs, recur.FieldError{Field: "parameters", Message: message})
	}
	return own, errs
}

func decodePipeline(parent *recur.Object, errs *recur.FieldErrors) PipelineRef {
	raw := parent.Value("pipeline")
	if raw == nil {
		parent.Fail("pipeline", `is required: {"kind": "local", "id": "hello"}`)
		return PipelineRef{}
	}
	o, ok := recur.ReadObject("pipeline", raw, errs)
	if !ok {
		return PipelineRef{}
	}
	ref := PipelineRef{
		Kind: required(o, "kind", 32, kindPattern, "the kind of pipeline, such as local"),
		ID:   required(o, "id", 1024, somePattern, "the pipeline's id"),
	}
	o.Strangers([]string{"kind", "id"})
	return ref
}

func decodeTrigger(parent *recur.Object, errs *recur.FieldErrors) Trigger {
	raw := parent.Value("trigger")
	switch {
	case raw == nil:
		parent.Fail("trigger", `is required: {"type": "recurrence", "frequency": "minute", "interval": 15}`)
		return Trigger{}
	case len(raw) > MaxTrigger:
		parent.Fail("trigger", "may have %d bytes as JSON, this one has %d", MaxTrigger, len(raw))
		return Trigger{}
	}
	if isWatch(raw) {
		return decodeWatch(raw, errs)
	}
	spec, wrong := recur.Decode(raw)
	*errs = append(*errs, wrong.Under("trigger")...)
	return Trigger{Spec: spec}
}

func decodeCatchUp(parent *recur.Object, errs *recur.FieldErrors) (c CatchUp) {
	raw := parent.Value("catch_up")
	if raw == nil {
		return c
	}
	o, ok := recur.ReadObject("catch_up", raw, errs)
	if !ok {
		return c
	}
	c.Policy = CatchUpPolicy(oneOf(o, "policy", "", string(CatchUpLatest), string(CatchUpAll), string(CatchUpNone)))
	if written := o.Text("window"); written != "" {
		window, err := ParseDuration(written)
		if err != nil {
			o.Fail("window", "%v", err)
		}
		c.Window = (*Duration)(&window)
	}
	o.Strangers([]string{"policy", "window"})
	return c
}

func decodeJitter(o *recur.Object) Duration {
	written := o.Text("jitter")
	if written == "" {
		return 0
	}
	jitter, err := ParseDuration(written)
	switch {
	case err != nil:
		o.Fail("jitter", "%v", err)
	case jitter > 24*time.Hour:
		o.Fail("jitter", "may be 24h at most")
	}
	return Duration(jitter)
}

func decodeCalendars(o *recur.Object) (names []string) {
	raw := o.Value("calendars")
	if raw != nil && json.Unmarshal(raw, &names) != nil {
		o.Fail("calendars", "has to be a list of calendars' names")
		return nil
	}
	if len(names) > maxCalendars {
		o.Fail("calendars", "may name %d calendars, these are %d", maxCalendars, len(names))
	}
	for i, name := range names {
		if !ValidName(name) || slices.Contains(names[:i], name) {
			o.Fail(fmt.Sprintf("calendars[%d]", i), "%.80q cannot be a calendar's name here: a letter or digit, then up to 254 letters, digits, _ or -, each calendar once", name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return names
}

func decodeCount(o *recur.Object, field string) (n int) {
	raw := o.Value(field)
	if raw != nil && (json.Unmarshal(raw, &n) != nil || n < 1) {
		o.Fail(field, "has to be a whole number, 1 or more")
	}
	return n
}

// required reads a text that has to be there and to match a pattern.
func required(o *recur.Object, field string, max int, pattern *regexp.Regexp, what string) string {
	if o.Value(field) == nil {
		o.Fail(field, "is required: %s", what)
		return ""
	}
	if raw := o.Value(field); raw[0] != '"' {
		o.Fail(field, "has to be a string: %s", what)
		return ""
	}
	s := o.Text(field)
	if len(s) > max || !pattern.MatchString(s) {
		o.Fail(field, "%.80q cannot be it: %s (at most %d bytes)", s, what, max)
	}
	return s
}

func text(o *recur.Object, field string, max int) string {
	s := o.Text(field)
	if len(s) > max {
		o.Fail(field, "may have %d bytes, this has %d", max, len(s))
	}
	return s
}

// oneOf reads one of several words, in any letter case.
func oneOf(o *recur.Object, field, absent string, allowed ...string) string {
	raw := o.Value(field)
	if raw == nil {
		return absent
	}
	var s string
	if json.Unmarshal(raw, &s) == nil {
		for _, a := range allowed {
			if strings.EqualFold(s, a) {
				return a
			}
		}
	}
	o.Fail(field, "has to be one of %s", strings.Join(allowed, ", "))
	return absent
}

// parameters reads an object of texts; numbers and booleans are taken as they are written.
func parameters(field string, raw json.RawMessage, errs *recur.FieldErrors) Parameters {
	if raw == nil {
		return nil
	}
	o, ok := recur.ReadObject(field, raw, errs)
	if !ok {
		return nil
	}
	var out Parameters
	for name, value := range o.All() {
		if string(value) == "null" {
			continue
		}
		written, ok := scalar(value)
		switch {
		case !parameterPattern.MatchString(name):
			o.Fail(name, "cannot be a parameter's name: a letter or _, then up to 127 letters, digits, _ . or -")
		case !ok:
			o.Fail(name, "has to be text, a number, true or false")
		case strings.ContainsRune(written, 0):
			o.Fail(name, "may not hold a zero byte")
		}
		if out == nil {
			out = Parameters{}
		}
		out[name] = written
	}
	return out
}

func scalar(raw json.RawMessage) (string, bool) {
	switch raw[0] {
	case '{', '[':
		return "", false
	case '"':
		var s string
		err := json.Unmarshal(raw, &s)
		return s, err == nil
	}
	return string(raw), true
}

func (t Trigger) key() string {
	data, _ := json.Marshal(t)
	return string(data)
}
