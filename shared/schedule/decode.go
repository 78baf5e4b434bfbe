package schedule

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"carillon/shared/recur"
)

const (
	// MaxDefinition is how many bytes a definition's canonical JSON may have, so that it fits a row of the store.
	MaxDefinition = 32 << 10
	// MaxOwnParameters is how many bytes the parameters that are given for one run may have as JSON.
	MaxOwnParameters = 12 << 10
	// MaxTrigger is how many of them the trigger may have: it is copied to where the clock reads it.
	MaxTrigger = 16 << 10

	maxText = 4096
)

var (
	namePattern      = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_-]{0,254}$`)
	kindPattern      = regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`)
	parameterPattern = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]{0,127}$`)
)

// ValidName reports whether a schedule may be called so.
func ValidName(name string) bool { return namePattern.MatchString(name) }

// Decode reads a definition from a JSON object and returns it in its canonical form. The second value holds
// everything that is wrong with it, by field; fields that do not exist are named. Whether the pipeline exists is
// for the caller to check.
func Decode(data []byte) (Definition, recur.FieldErrors) {
	d := Definition{Status: Active}
	o := readObject(data, "")
	d.Name = o.text("name", 255)
	if _, wrong := o.wrong["name"]; !wrong && !ValidName(d.Name) {
		o.fail("name", "is required: a letter or digit, then up to 254 letters, digits, _ or -")
	}
	d.Description = o.text("description", maxText)
	d.Pipeline = decodePipeline(o)
	d.Experiment = o.text("experiment", 255)
	if _, wrong := o.wrong["experiment"]; !wrong && strings.TrimSpace(d.Experiment) == "" {
		o.fail("experiment", "is required: the name under which runs are grouped")
	}
	d.Parameters = o.parameters("parameters")
	d.Trigger = decodeTrigger(o)
	d.CatchUp = decodeCatchUp(o)
	d.Status = Activity(o.oneOf("status", string(Active), string(Active), string(Disabled)))
	d.ContinueOnStepFailure = o.boolean("continue_on_step_failure")
	o.unknown()
	if len(o.errs) == 0 {
		if canonical, err := json.Marshal(d); err != nil || len(canonical) > MaxDefinition {
			o.fail("parameters", fmt.Sprintf("the whole definition may have %d bytes as JSON, this one has %d", MaxDefinition, len(canonical)))
		}
	}
	return d, o.errs
}

// DecodeParameters reads the parameters that a caller gives for one run.
func DecodeParameters(data []byte) (map[string]string, recur.FieldErrors) {
	o := &object{fields: map[string]json.RawMessage{"parameters": data}, wrong: map[string]bool{}}
	if len(data) > MaxOwnParameters {
		o.fail("parameters", fmt.Sprintf("may have %d bytes as JSON, these have %d", MaxOwnParameters, len(data)))
	}
	return o.parameters("parameters"), o.errs
}

func decodePipeline(parent *object) PipelineRef {
	raw, ok := parent.take("pipeline")
	if !ok {
		parent.fail("pipeline", `is required: {"kind": "local", "id": "hello"}`)
		return PipelineRef{}
	}
	o := readObject(raw, "pipeline")
	ref := PipelineRef{Kind: o.text("kind", 32), ID: o.text("id", 1024)}
	if !o.wrong["kind"] && !kindPattern.MatchString(ref.Kind) {
		o.fail("kind", "is required: the kind of pipeline, such as local")
	}
	if !o.wrong["id"] && ref.ID == "" {
		o.fail("id", "is required: the pipeline's id")
	}
	o.unknown()
	parent.errs = append(parent.errs, o.errs...)
	return ref
}

func decodeTrigger(parent *object) Trigger {
	raw, ok := parent.take("trigger")
	if !ok {
		parent.fail("trigger", `is required: {"type": "recurrence", "frequency": "minute", "interval": 15}`)
		return Trigger{}
	}
	if len(raw) > MaxTrigger {
		parent.fail("trigger", fmt.Sprintf("may have %d bytes as JSON, this one has %d", MaxTrigger, len(raw)))
		return Trigger{}
	}
	spec, errs := recur.Decode(raw)
	parent.errs = append(parent.errs, errs.Under("trigger")...)
	return Trigger{Spec: spec}
}

func decodeCatchUp(parent *object) CatchUp {
	raw, ok := parent.take("catch_up")
	if !ok {
		return CatchUp{}
	}
	o := readObject(raw, "catch_up")
	c := CatchUp{Policy: CatchUpPolicy(o.oneOf("policy", "", string(CatchUpLatest), string(CatchUpAll), string(CatchUpNone)))}
	if text := o.text("window", 32); text != "" {
		window, err := ParseDuration(text)
		if err != nil {
			o.fail("window", err.Error())
		}
		c.Window = new(Duration)
		*c.Window = Duration(window)
	}
	o.unknown()
	parent.errs = append(parent.errs, o.errs...)
	return c
}

func (t Trigger) key() string {
	data, _ := json.Marshal(t)
	return string(data)
}

// object reads a JSON object field by field and collects what is wrong with it. A null is the same as an absent
// field.
type object struct {
	fields map[string]json.RawMessage
	path   string
	errs   recur.FieldErrors
	wrong  map[string]bool
	broken bool
}

func readObject(data []byte, path string) *object {
	o := &object{path: path, wrong: map[string]bool{}}
	if err := json.Unmarshal(data, &o.fields); err != nil || o.fields == nil {
		o.broken = true
		o.errs = recur.FieldErrors{{Field: path, Message: "has to be an object with named fields"}}
	}
	return o
}

func (o *object) fail(field, message string) {
	if o.broken {
		return
	}
	o.wrong[field] = true
	if o.path != "" {
		field = o.path + "." + field
	}
	o.errs = append(o.errs, recur.FieldError{Field: field, Message: message})
}

func (o *object) take(field string) (json.RawMessage, bool) {
	raw, ok := o.fields[field]
	delete(o.fields, field)
	return raw, ok && !bytes.Equal(raw, []byte("null"))
}

func (o *object) unknown() {
	for _, field := range slices.Sorted(maps.Keys(o.fields)) {
		o.fail(field, "is not a field here")
	}
}

func (o *object) text(field string, max int) string {
	raw, ok := o.take(field)
	if !ok {
		return ""
	}
	var s string
	if json.Unmarshal(raw, &s) != nil {
		o.fail(field, "has to be text")
	} else if len(s) > max {
		o.fail(field, fmt.Sprintf("may have %d bytes, this has %d", max, len(s)))
	}
	return s
}

func (o *object) boolean(field string) (b bool) {
	if raw, ok := o.take(field); ok && json.Unmarshal(raw, &b) != nil {
		o.fail(field, "has to be true or false")
	}
	return b
}

func (o *object) oneOf(field, absent string, allowed ...string) string {
	raw, ok := o.take(field)
	if !ok {
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
	o.fail(field, "has to be one of "+strings.Join(allowed, ", "))
	return absent
}

// parameters reads an object of texts; numbers and booleans are taken as they are written.
func (o *object) parameters(field string) map[string]string {
	raw, ok := o.take(field)
	if !ok {
		return nil
	}
	var values map[string]json.RawMessage
	if json.Unmarshal(raw, &values) != nil {
		o.fail(field, "has to be an object of names and texts")
		return nil
	}
	out := make(map[string]string, len(values))
	for _, name := range slices.Sorted(maps.Keys(values)) {
		value, ok := scalarText(values[name])
		switch {
		case !parameterPattern.MatchString(name):
			o.fail(field+"."+name, "is not a parameter's name: a letter or _, then letters, digits, _ . or -")
		case !ok:
			o.fail(field+"."+name, "has to be text, a number, true or false")
		}
		out[name] = value
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

func scalarText(raw json.RawMessage) (string, bool) {
	var s string
	if json.Unmarshal(raw, &s) == nil && raw[0] == '"' {
		return s, true
	}
	switch raw[0] {
	case '{', '[', 'n', '"':
		return "", false
	}
	return string(raw), true
}
