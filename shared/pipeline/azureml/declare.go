package azureml

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"carillon/shared/pipeline"
)

// declaration is what a pipeline of v2 says of itself.
type declaration struct {
	id          string // the component version's resource id; "" for a job
	name        string
	version     string
	description string
	kind        string            // pipeline, command and others, of a component
	inputs      map[string]input  // nil: not known
	outputs     map[string]string // their types; nil: not known
}

// input is one that is declared.
type input struct {
	kind     string // string, number, integer, boolean, uri_file, uri_folder and others; "" when it is not known
	value    string // its default
	required bool
}

// componentVersion is one as the resource manager describes it. What its specification holds is not in the resource
// manager's own; it is as recorded: texts for truth values and defaults.
type componentVersion struct {
	Name       string // the version
	Properties struct {
		ComponentSpec struct {
			Name, Version, Type, Description string
			DisplayName                      string `json:"display_name"`
			Inputs                           map[string]struct {
				Type     string
				Optional flag
				Default  any
			}
			Outputs map[string]struct{ Type string }
		}
	}
}

func (w *Workspace) declaration(component string, v componentVersion) declaration {
	spec := v.Properties.ComponentSpec
	d := declaration{
		id: w.id + "/components/" + component + "/versions/" + v.Name, name: spec.DisplayName, version: v.Name,
		description: spec.Description, kind: spec.Type, inputs: map[string]input{}, outputs: map[string]string{},
	}
	if d.name == "" {
		d.name = component
	}
	for name, in := range spec.Inputs {
		d.inputs[name] = input{kind: in.Type, value: textOf(in.Default), required: !bool(in.Optional) && in.Default == nil}
	}
	for name, out := range spec.Outputs {
		d.outputs[name] = out.Type
	}
	return d
}

// component reads a version of a component; with "" the one that was made last.
func (w *Workspace) component(ctx context.Context, component, version string) (declaration, error) {
	if version == "" {
		return w.latest(ctx, component)
	}
	key := component + ":" + version
	if d, ok := w.components.get(key, time.Now()); ok {
		return d, nil
	}
	var v componentVersion
	err := w.get(ctx, "/components/"+component+"/versions/"+version, &v)
	if err == nil && !strings.EqualFold(v.Name, version) {
		err = fmt.Errorf("the workspace answered with version %q of component %s", tidy(v.Name), component)
	}
	if err != nil {
		return declaration{}, err
	}
	d := w.declaration(component, v)
	w.components.put(key, d, time.Now())
	return d, nil
}

// latest asks as Microsoft's client does for the label latest.
func (w *Workspace) latest(ctx context.Context, component string) (d declaration, err error) {
	path := w.resource("/components/"+component+"/versions", "$orderBy", "createdtime desc", "$top", "1")
	err = eachListed(ctx, w, path, 1, func(v componentVersion) bool {
		d = w.declaration(component, v)
		return false
	})
	switch {
	case err != nil:
	case d.version == "":
		err = &failure{status: http.StatusNotFound, message: "component " + component + " has no version"}
	case !versionName.MatchString(d.version):
		err = fmt.Errorf("the workspace answered with version %q of component %s", tidy(d.version), component)
	}
	return d, err
}

var versionName = regexp.MustCompile(`^` + entityName + `$`)

var versionPath = regexp.MustCompile(`^/components/(` + entityName + `)/versions/(` + entityName + `)$`)

// ofID reads the component version of a resource id. Of one that is gone, lies in another workspace or in a registry
// nothing is known.
func (w *Workspace) ofID(ctx context.Context, id string) (declaration, error) {
	if len(id) < len(w.id) || !strings.EqualFold(id[:len(w.id)], w.id) {
		return declaration{}, nil
	}
	parts := versionPath.FindStringSubmatch(id[len(w.id):])
	if parts == nil {
		return declaration{}, nil
	}
	d, err := w.component(ctx, parts[1], parts[2])
	if answered(err, http.StatusNotFound) {
		return declaration{}, nil
	}
	return d, err
}

// describe fills in what a pipeline takes and makes.
func (d declaration) describe(p *pipeline.Pipeline) {
	if d.inputs == nil {
		return
	}
	p.Parameters = map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(d.inputs)) {
		p.Parameters[name] = d.inputs[name].value
		if d.inputs[name].required {
			p.Required = append(p.Required, name)
		}
	}
	p.Outputs = d.outputs
}

// value is what an input gets, or where an output goes.
type value struct {
	kind string // literal, uri_file, uri_folder, mltable or a sort of model
	text string // of what is no literal: its address
	mode string // how data reach the compute, as people write it; "" for the service's own way
}

// literals are the types of inputs that are no data.
var literals = []string{"string", "number", "integer", "boolean", "enum"}

// data are the types of inputs that are data, of which versions of the first three are data assets.
var data = []string{"uri_file", "uri_folder", "mltable", "mlflow_model", "custom_model", "triton_model"}

// values are what the inputs get, data assets resolved.
func (w *Workspace) values(ctx context.Context, s pipeline.Submission, d declaration) (map[string]value, error) {
	s, err := w.resolved(ctx, s, d)
	if err != nil {
		return nil, err
	}
	return d.values(s)
}

// values gives a submission's parameters and path their types. It refuses, with names, what is not declared and what
// is required and not given.
func (d declaration) values(s pipeline.Submission) (map[string]value, error) {
	out := map[string]value{}
	for name, text := range s.Parameters {
		v := typed(d.inputs[name].kind, text)
		if v.mode != "" && inputModes[v.mode] == "" {
			return nil, pipeline.Refusef("pipeline %s: its input %s cannot have the mode %s: %s", s.Pipeline, name, v.mode, theModes(inputModes))
		}
		out[name] = v
	}
	if s.DataPath != nil {
		v, err := located(d.inputs[s.DataPath.Parameter].kind, *s.DataPath)
		if err != nil {
			return nil, pipeline.Refusef("pipeline %s: %w", s.Pipeline, err)
		}
		out[s.DataPath.Parameter] = v
	}
	if d.inputs == nil {
		return out, nil
	}
	var strangers, missing []string
	for _, name := range slices.Sorted(maps.Keys(out)) {
		if _, known := d.inputs[name]; !known {
			strangers = append(strangers, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(d.inputs)) {
		if _, given := out[name]; !given && d.inputs[name].required {
			missing = append(missing, name)
		}
	}
	switch {
	case len(strangers) > 0:
		return nil, pipeline.Refusef("pipeline %s has no input %s; it has: %s", s.Pipeline, strings.Join(strangers, ", "),
			strings.Join(slices.Sorted(maps.Keys(d.inputs)), ", "))
	case len(missing) > 0:
		return nil, pipeline.Refusef("pipeline %s needs a value for %s", s.Pipeline, strings.Join(missing, ", "))
	}
	return out, nil
}

// typed is a parameter as the value of an input. Where the input is declared as a literal, the text is its value as it
// stands. Else a text that begins with the name of a type says itself what the rest of it is, see marked; one for
// an input that is declared as data is an address of such data; and where the type is not known, an address
// (azureml://…, or https://… of a storage account) is a folder's if it ends with a slash and else a file's, and
// any other text is a literal.
func typed(declared, text string) value {
	declared = strings.ToLower(declared)
	if slices.Contains(literals, declared) {
		return value{kind: "literal", text: text}
	}
	if v, ok := marked(text); ok {
		return v
	}
	switch {
	case slices.Contains(data, declared):
		return value{kind: declared, text: text}
	case !addressOfData(text):
		return value{kind: "literal", text: text}
	case strings.HasSuffix(text, "/"):
		return value{kind: "uri_folder", text: text}
	}
	return value{kind: "uri_file", text: text}
}

var mark = regexp.MustCompile(`^(` + strings.Join(data, "|") + `)(?:\(([a-z_]*)\))?:`)

// marked reads a text that names its type, and maybe a mode, itself: uri_folder:ADDRESS, uri_file(download):ADDRESS.
func marked(text string) (value, bool) {
	parts := mark.FindStringSubmatch(text)
	if parts == nil {
		return value{}, false
	}
	return value{kind: parts[1], mode: parts[2], text: text[len(parts[0]):]}, true
}

// The modes as the command line and as the resource manager write them.
var (
	inputModes = map[string]string{
		"ro_mount": "ReadOnlyMount", "rw_mount": "ReadWriteMount", "download": "Download", "direct": "Direct",
		"eval_mount": "EvalMount", "eval_download": "EvalDownload",
	}
	outputModes = map[string]string{"rw_mount": "ReadWriteMount", "upload": "Upload", "direct": "Direct"}
)

func theModes(of map[string]string) string {
	return "there are " + strings.Join(slices.Sorted(maps.Keys(of)), ", ")
}

// places says where the outputs of a submission go that names them. A text may name its type and mode as an input's does,
// and have an address behind them or none, which leaves the place to the service.
func (d declaration) places(s pipeline.Submission) (map[string]value, error) {
	out := map[string]value{}
	for _, name := range slices.Sorted(maps.Keys(s.Outputs)) {
		declared, known := d.outputs[name]
		if d.outputs != nil && !known {
			return nil, pipeline.Refusef("pipeline %s has no output %s; it has: %s", s.Pipeline, name, strings.Join(slices.Sorted(maps.Keys(d.outputs)), ", "))
		}
		v, ok := marked(s.Outputs[name])
		if !ok {
			v = value{kind: cmp.Or(declared, "uri_folder"), text: s.Outputs[name]}
		}
		if v.mode != "" && outputModes[v.mode] == "" {
			return nil, pipeline.Refusef("pipeline %s: its output %s cannot have the mode %s: %s", s.Pipeline, name, v.mode, theModes(outputModes))
		}
		out[name] = v
	}
	return out, nil
}

func addressOfData(text string) bool {
	rest, https := strings.CutPrefix(text, "https://")
	host, _, _ := strings.Cut(rest, "/")
	_, service, _ := strings.Cut(host, ".")
	return strings.HasPrefix(text, "azureml://") || https && (strings.HasPrefix(service, "blob.") || strings.HasPrefix(service, "dfs."))
}

// located is a place in a datastore as the value of an input. How the service wants characters escaped that mean
// something in an address is not established: the path stands there as it is.
func located(declared string, d pipeline.DataPath) (value, error) {
	v := value{kind: "uri_file", text: "azureml://datastores/" + d.Datastore + "/paths/" + d.Path}
	if d.Folder {
		v.kind = "uri_folder"
	}
	switch declared = strings.ToLower(declared); {
	case slices.Contains(literals, declared):
		return v, fmt.Errorf("its input %s is a %s, and what has changed can only be given to a %s: let a parameter be {{ .Change.Path }} instead",
			d.Parameter, declared, v.kind)
	case slices.Contains(data[2:], declared):
		v.kind = declared
	}
	return v, nil
}
