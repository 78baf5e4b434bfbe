package azureml

import (
	"context"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"carillon/shared/pipeline"
	"carillon/shared/recur"
)

var _, _ pipeline.Checker = (*jobs)(nil), (*batch)(nil)

// Check compares values with the types that the pipeline declares.
func (t *jobs) Check(ctx context.Context, s pipeline.Submission) (recur.FieldErrors, error) {
	if !jobID.MatchString(s.Pipeline.ID) {
		return nil, nil
	}
	if ofComponent(s.Pipeline.ID) {
		d, err := t.component(ctx, s.Pipeline.ID)
		return append(d.check(s), checkSettings(s)...), err
	}
	j, err := t.template(ctx, s.Pipeline.ID)
	return append(j.declaration().check(s), checkSettings(s)...), err
}

// Check does the same. A call of a batch endpoint has no modes.
func (t *batch) Check(ctx context.Context, s pipeline.Submission) (errs recur.FieldErrors, err error) {
	if !doorID.MatchString(s.Pipeline.ID) {
		return nil, nil
	}
	d, err := t.w.door(ctx, s.Pipeline.ID)
	if err != nil {
		return nil, err
	}
	for field, texts := range map[string]map[string]string{"parameters": s.Parameters, "outputs": s.Outputs} {
		for name, text := range texts {
			if v, ok := marked(text); ok && v.mode != "" {
				errs = append(errs, recur.FieldError{Field: field + "." + name, Message: "cannot have a mode (" + v.mode + "): a call of a batch endpoint has none"})
			}
		}
	}
	return append(errs, d.declared.check(s)...), nil
}

// check finds texts that cannot be values of what is declared.
func (d declaration) check(s pipeline.Submission) (errs recur.FieldErrors) {
	for _, name := range slices.Sorted(maps.Keys(s.Parameters)) {
		if problem := unfitInput(d.inputs[name].kind, s.Parameters[name]); problem != "" {
			errs = append(errs, recur.FieldError{Field: "parameters." + name, Message: problem})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Outputs)) {
		if problem := unfitOutput(s.Outputs[name]); problem != "" {
			errs = append(errs, recur.FieldError{Field: "outputs." + name, Message: problem})
		}
	}
	return errs
}

// whereData is what can say where data are: the forms that Microsoft documents for inputs and outputs, and data assets.
var whereData = regexp.MustCompile(`^(?:azureml|https|wasbs?|abfss?|adl)://|^(?:azureml:)?/subscriptions/|^azureml:/?` + entityName + `(?:@latest|:` + entityName + `)$`)

const noAddress = "has to say where data are: azureml://datastores/NAME/paths/PATH, https://…, or a data asset, azureml:NAME@latest"

// filledLater reports whether a text is filled in later, so that little can be said of it.
func filledLater(text string) bool { return strings.Contains(text, "{{") }

// unfitInput says what is wrong with a text as the value of an input of a declared type, "" for nothing.
func unfitInput(declared, text string) string {
	declared = strings.ToLower(declared)
	_, notWhole := strconv.ParseInt(text, 10, 64)
	_, notNumber := strconv.ParseFloat(text, 64)
	switch v := typed(declared, text); {
	case v.mode != "" && inputModes[v.mode] == "":
		return "cannot have the mode " + v.mode + ": " + theModes(inputModes)
	case filledLater(text):
		return ""
	case declared == "integer" && notWhole != nil:
		return "has to be a whole number: the pipeline declares it as an integer"
	case declared == "number" && notNumber != nil:
		return "has to be a number, as the pipeline declares it"
	case declared == "boolean" && !strings.EqualFold(text, "true") && !strings.EqualFold(text, "false"):
		return "has to be true or false: the pipeline declares it as a boolean"
	case v.kind != "literal" && !whereData.MatchString(v.text):
		return noAddress
	}
	return ""
}

// unfitOutput says what is wrong with a text as the place of an output, "" for nothing.
func unfitOutput(text string) string {
	v, ok := marked(text)
	if !ok {
		v.text = text
	}
	switch {
	case v.mode != "" && outputModes[v.mode] == "":
		return "cannot have the mode " + v.mode + ": " + theModes(outputModes)
	case v.text != "" && !filledLater(text) && !whereData.MatchString(v.text):
		return noAddress
	}
	return ""
}

// settingTypes are the settings that Microsoft's command line documents for pipeline jobs, with a value of their types. Of
// others nothing is known.
var settingTypes = map[string]any{"default_compute": "", "default_datastore": "", "force_rerun": false}

func checkSettings(s pipeline.Submission) (errs recur.FieldErrors) {
	for _, name := range slices.Sorted(maps.Keys(s.Settings)) {
		var v any
		if json.Unmarshal(s.Settings[name], &v) != nil {
			continue
		}
		_, text := v.(string)
		_, flag := v.(bool)
		switch settingTypes[name].(type) {
		case string:
			if !text {
				errs = append(errs, recur.FieldError{Field: "settings." + name, Message: "has to be a name, or azureml:NAME"})
			}
		case bool:
			if !flag {
				errs = append(errs, recur.FieldError{Field: "settings." + name, Message: "has to be true or false"})
			}
		}
	}
	return errs
}
