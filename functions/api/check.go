package api

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"carillon/shared/pipeline"
	"carillon/shared/recur"
	"carillon/shared/schedule"
	"carillon/shared/store"
)

// check reads a definition and finds everything that is wrong with it, what only the pipeline and the calendars can
// tell included. old is the schedule that it changes, if any: a trigger that stays as it is may be over.
func (f *Function) check(ctx context.Context, data []byte, old *schedule.Schedule) (schedule.Definition, error) {
	d, errs := schedule.Decode(data)
	if len(errs) == 0 && d.Trigger.Watch == nil && (old == nil || !d.Trigger.Equal(old.Trigger)) {
		_, wrong := d.Trigger.Compile(f.Now())
		errs = wrong.Under("trigger")
	}
	for i, name := range d.Calendars {
		_, err := f.DB.Calendar(ctx, name)
		if errors.Is(err, store.ErrNotFound) {
			errs = append(errs, recur.FieldError{Field: fmt.Sprintf("calendars[%d]", i), Message: "there is no calendar " + name})
		} else if err != nil {
			return d, err
		}
	}
	errs = append(errs, f.checkDatastores(ctx, d.Trigger.Watch)...)
	if d.Pipeline.Kind != "" && d.Pipeline.ID != "" {
		errs = append(errs, f.checkPipeline(ctx, d, old)...)
	}
	if len(errs) > 0 {
		return d, errs
	}
	return d, f.checkStarts(ctx, d, old)
}

func (f *Function) checkPipeline(ctx context.Context, d schedule.Definition, old *schedule.Schedule) recur.FieldErrors {
	target, ok := f.Targets[d.Pipeline.Kind]
	if !ok {
		message := "has to be one of " + strings.Join(pipeline.Kinds(f.Targets), ", ")
		if len(f.Targets) == 0 {
			message = "nothing runs here yet: name the workspace in the settings CARILLON_AZUREML_SUBSCRIPTION, _RESOURCE_GROUP, _WORKSPACE and _REGION"
		}
		return recur.FieldErrors{{Field: "pipeline.kind", Message: message}}
	}
	p, err := target.Get(ctx, d.Pipeline)
	switch {
	case errors.Is(err, pipeline.ErrNotFound):
		return recur.FieldErrors{{Field: "pipeline.id", Message: "there is no pipeline " + d.Pipeline.String()}}
	case err != nil:
		return recur.FieldErrors{{Field: "pipeline.id", Message: "cannot be looked up: " + err.Error()}}
	}
	if p.Problem != "" && (!p.Disabled || starts(d, old)) {
		return recur.FieldErrors{{Field: "pipeline.id", Message: "pipeline " + d.Pipeline.String() + " cannot run as it stands: " + p.Problem}}
	}
	errs := append(unknownParameters(p, d.Parameters, "parameters"), unknownParts(p, d)...)
	data := ""
	if d.Trigger.Watch != nil {
		data = d.Trigger.DataPathParameter
	}
	if _, ok := p.Parameters[data]; data != "" && p.Parameters != nil && !ok {
		errs = append(errs, recur.FieldError{Field: "trigger.data_path_parameter_name", Message: fmt.Sprintf("%s %s", data, noParameter(p))})
	}
	for _, name := range p.Required {
		if _, ok := d.Parameters[name]; !ok && name != data {
			errs = append(errs, recur.FieldError{Field: "parameters." + name, Message: "is required by pipeline " + p.Ref.String()})
		}
	}
	if checker, ok := target.(pipeline.Checker); ok && len(errs) == 0 {
		wrong, err := checker.Check(ctx, pipeline.Submission{Pipeline: d.Pipeline, Parameters: d.Parameters, Outputs: d.Outputs, Settings: d.Settings})
		if errs = wrong; err != nil {
			return recur.FieldErrors{{Field: "pipeline.id", Message: "cannot be looked up: " + err.Error()}}
		}
	}
	return errs
}

// unknownParts finds what a definition says of its runs that the pipeline does not take.
func unknownParts(p pipeline.Pipeline, d schedule.Definition) (errs recur.FieldErrors) {
	if d.ContinueOnStepFailure != nil && p.Deployed {
		errs = append(errs, recur.FieldError{Field: "continue_on_step_failure", Message: "is a setting of the deployment behind pipeline " + p.Ref.String() + ": set it there, and leave it out here"})
	}
	if len(d.Settings) > 0 && !p.Settings {
		errs = append(errs, recur.FieldError{Field: "settings", Message: "are for pipeline jobs (v2): runs of pipeline " + p.Ref.String() + " take none"})
	}
	if len(d.Outputs) > 0 && !p.Places {
		return append(errs, recur.FieldError{Field: "outputs", Message: "are for pipeline jobs and batch endpoints (v2): pipeline " + p.Ref.String() + " lets nobody say where they go"})
	}
	for _, name := range sortedKeys(d.Outputs) {
		if _, ok := p.Outputs[name]; p.Outputs != nil && !ok {
			message := "is no output of pipeline " + p.Ref.String() + ", which has none"
			if len(p.Outputs) > 0 {
				message = "is no output of pipeline " + p.Ref.String() + ", which has: " + strings.Join(sortedKeys(p.Outputs), ", ")
			}
			errs = append(errs, recur.FieldError{Field: "outputs." + name, Message: message})
		}
	}
	return errs
}

func unknownParameters(p pipeline.Pipeline, given map[string]string, field string) (errs recur.FieldErrors) {
	if p.Parameters == nil {
		return nil
	}
	for _, name := range sortedKeys(given) {
		if _, ok := p.Parameters[name]; !ok {
			errs = append(errs, recur.FieldError{Field: field + "." + name, Message: noParameter(p)})
		}
	}
	return errs
}

func noParameter(p pipeline.Pipeline) string {
	message := "is no parameter of pipeline " + p.Ref.String()
	if len(p.Parameters) == 0 {
		return message + ", which has none"
	}
	return message + ", which has: " + strings.Join(sortedKeys(p.Parameters), ", ")
}
