package migrate

import (
	"regexp"
	"slices"
	"strings"
)

// modes are how data reach a step, by the resource manager's words without letter case.
var modes = map[string]string{
	"readonlymount": "ro_mount", "romount": "ro_mount", "readwritemount": "rw_mount", "rwmount": "rw_mount", "download": "download", "direct": "direct",
	"evalmount": "eval_mount", "evaldownload": "eval_download", "upload": "upload",
}

// moded is the beginning of a text that names its type and mode.
func moded(kind, mode string) string {
	switch {
	case kind == "" && mode == "":
		return ""
	case kind == "":
		kind = "uri_folder"
	}
	if mode == "" {
		return kind + ":"
	}
	return kind + "(" + mode + "):"
}

// mode is how the data of an input or output reach a step, and what becomes of one that cannot be kept.
func (o *old) mode(of string, fields object) string {
	said := fields.text("mode")
	known := modes[folded(said)]
	switch {
	case said != "" && known == "":
		o.differ("the mode %s of %s is not known, and not kept: %s", said, of, o.instead())
	case known != "" && o.pipeline.Kind == "batch_endpoint":
		o.differ("the mode %s of %s is not kept: a call of a batch endpoint has none", said, of)
		return ""
	}
	return known
}

// dataKinds are the types of inputs and outputs, as they are written without underscores and letter case.
var dataKinds = map[string]string{
	"urifile": "uri_file", "urifolder": "uri_folder", "mltable": "mltable",
	"custommodel": "custom_model", "mlflowmodel": "mlflow_model", "tritonmodel": "triton_model",
}

// dataKind is the type of an input or output; "" for one that names none.
func (o *old) dataKind(of string, fields object, names ...string) string {
	said := fields.text(names...)
	kind := dataKinds[folded(said)]
	if said != "" && kind == "" && !slices.Contains(literals, strings.ToLower(said)) {
		o.differ("the type %s of %s is not known: what names none is a uri_folder to v2, and so it is here", said, of)
	}
	return kind
}

// literals are the types of inputs that are no data.
var literals = []string{"literal", "string", "number", "integer", "boolean"}

// placed keeps where outputs go. A macro in an address is the service's own affair, but for the time of the schedule.
func (o *old) placed(v any) {
	outputs := o.names("outputs", v)
	for _, name := range sorted(v) {
		of := "output " + name
		out := objectOf(outputs[name])
		if out.fields == nil && outputs[name] != nil {
			o.differ("%s is no object, and not kept: %s", of, o.instead())
		}
		kind := o.dataKind(of, out, "type", "job_output_type")
		address := addressed(out.text("path", "uri"))
		mode := o.mode(of, out)
		out.get("description")
		for _, lost := range out.left() {
			o.differ("%s of %s is not kept: %s", lost, of, o.instead())
		}
		if address == "" && mode == "" {
			continue // the service chooses, as it does without a word
		}
		if o.outputs == nil {
			o.outputs = map[string]string{}
		}
		o.outputs[name] = moded(kind, mode) + timed(address)
	}
}

// addressed is an address without the prefix that the command line lets stand before it.
func addressed(text string) string {
	if rest, ok := strings.CutPrefix(text, "azureml:"); ok && strings.Contains(rest, "://") {
		return rest
	}
	return text
}

// inputs reads a job's inputs.
func (o *old) inputs(v any, file bool) {
	values := o.names("inputs", v)
	for _, name := range sorted(v) {
		switch v := values[name].(type) {
		case nil:
		case map[string]any:
			o.input(name, objectOf(v), file)
		case []any:
			o.refuse("input %s is a list, which no input is", name)
		default:
			text, _ := textOf(v)
			o.literal(name, text)
		}
	}
}

// input reads an input that says what it is.
func (o *old) input(name string, in object, file bool) {
	of := "input " + name
	kind := o.dataKind(of, in, "type", "job_input_type")
	value, mode := in.get("value"), o.mode(of, in)
	text := addressed(in.text("path", "uri"))
	in.get("description")
	for _, lost := range in.left() {
		o.differ("%s of %s is not kept: %s", lost, of, o.instead())
	}
	switch {
	case value != nil:
		if literal, ok := textOf(value); ok {
			o.literal(name, literal)
		} else {
			o.refuse("%s is no text or number", of)
		}
	case text == "":
		o.differ("%s has neither a value nor a path, and is left out", of)
	case kind == "" && strings.Contains(text, "${{") && !looksLikeData(text):
		o.literal(name, text)
	case file && !strings.HasPrefix(text, "azureml:") && !strings.Contains(text, "://"):
		o.refuse("%s is the file or folder %s of somebody's machine, which the old client uploaded: give it an address in a datastore, azureml://datastores/NAME/paths/PATH", of, text)
	default:
		o.fill(name, text, moded(first(kind, "uri_folder"), mode))
	}
}

// dataLike are the beginnings of texts that shared/pipeline/azureml takes for data, and the references to data assets.
var dataLike = regexp.MustCompile(`^((uri_file|uri_folder|mltable|custom_model|mlflow_model|triton_model)(\([a-z_]*\))?:|azureml:(//|/?` + assetName +
	`(@latest|:` + assetName + `)$)|https://[^/.]+\.(blob|dfs)\.)`)

func looksLikeData(text string) bool { return dataLike.MatchString(text) }

// literal sets a parameter to a text that is no data.
func (o *old) literal(name, text string) {
	if looksLikeData(text) {
		o.differ("input %s is the text %q, which begins as data do here: unless the pipeline declares the input as a text or number, its runs get those data instead", name, text)
	}
	o.fill(name, text, "")
}

// fill sets a parameter to a text of v2.
func (o *old) fill(name, text, mark string) {
	value, replaced, unknown := template(text)
	for _, m := range replaced {
		switch m {
		case "name":
			o.differ("input %s has ${{name}}, the name of the job: it becomes the schedule's name and the scheduled time, which is not the name of the job here", name)
		default:
			o.differ("input %s has ${{%s}}: it becomes {{ .Nominal }}, the scheduled time as RFC 3339 in the schedule's zone. How v2 writes it is not documented: {{ format \"2006-01-02\" (utc .Nominal) }} writes others", name, m)
		}
	}
	for _, m := range unknown {
		o.differ("input %s has ${{%s}}, which Carillon does not fill in: it is sent as it stands", name, m)
	}
	o.set(name, mark+value)
}
