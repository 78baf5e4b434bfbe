package azureml_test

import (
	"errors"
	"strings"
	"testing"

	"carillon/shared/pipeline"
	"carillon/shared/pipeline/azureml"
	"carillon/shared/pipeline/azureml/azuremltest"
	"carillon/shared/schedule"
)

func published(id string) schedule.PipelineRef {
	return schedule.PipelineRef{Kind: azureml.Published, ID: id}
}

// Only published pipelines have a switch of the service's own.
func TestWhoHasASwitch(t *testing.T) {
	for kind, target := range newFar(t).targets {
		if _, has := target.(pipeline.Switch); has != (kind == azureml.Published) {
			t.Errorf("%s: %t", kind, has)
		}
	}
}

func TestTheSwitchOfAPublishedPipeline(t *testing.T) {
	for _, numbers := range []bool{false, true} {
		f := newFar(t)
		f.Behave(azuremltest.Manners{NumericEnums: numbers})
		target := f.targets[azureml.Published]
		set := target.(pipeline.Switch).SetActive
		for i, active := range []bool{true, false, false, true} {
			if err := set(t.Context(), published(succeeds), active); err != nil {
				t.Fatal(i, err)
			}
			p, err := target.Get(t.Context(), published(succeeds))
			if err != nil || p.Disabled == active || (p.Problem == "") != active {
				t.Errorf("step %d: %+v, %v", i, p, err)
			}
			if is := f.StatusOf(succeeds); is != map[bool]string{true: "Active", false: "Disabled"}[active] {
				t.Errorf("step %d: it is %s", i, is)
			}
			_, err = target.Submit(t.Context(), submission("a"))
			if (err == nil) != active {
				t.Errorf("step %d: submitted: %v", i, err)
			}
		}
		if n := f.Asked(azuremltest.SetStatus); n != 2 {
			t.Errorf("it was set %d times, want 2", n)
		}
	}
}

func TestASwitchThatDoesNot(t *testing.T) {
	f := newFar(t)
	set := f.targets[azureml.Published].(pipeline.Switch).SetActive
	for _, ref := range []schedule.PipelineRef{published("unknown"), published("../" + succeeds), published(""), {Kind: azureml.PipelineEndpoint, ID: succeeds}} {
		if err := set(t.Context(), ref, false); !errors.Is(err, pipeline.ErrNotFound) {
			t.Errorf("%s: %v", ref, err)
		}
	}
	for _, fault := range []azuremltest.Fault{{Status: 400}, {Status: 403}, {Status: 429}, {Status: 500}, {Drop: true}} {
		f.Fail(azuremltest.SetStatus, fault)
		if err := set(t.Context(), published(succeeds), false); err == nil || errors.Is(err, pipeline.ErrNotFound) {
			t.Errorf("%+v: %v", fault, err)
		}
	}
	f.Fail(azuremltest.SetStatus, azuremltest.Fault{Status: 500, AfterWork: true})
	if err := set(t.Context(), published(succeeds), false); err == nil {
		t.Error("an answer that failed is taken for one")
	}
	if err := set(t.Context(), published(succeeds), false); err != nil {
		t.Errorf("it was done before: %v", err)
	}
	f.Behave(azuremltest.Manners{StatusIgnored: true})
	if err := set(t.Context(), published(succeeds), true); err == nil || !strings.Contains(err.Error(), "as before") {
		t.Errorf("a service that does nothing: %v", err)
	}
	f.PutV1Schedule(
		azuremltest.V1Entity("s1", "daily", fails, "e", nil), azuremltest.V1Entity("s2", "at night", strings.ToUpper(fails), "e", nil),
		azuremltest.V1Entity("s3", "no more", fails, "e", map[string]any{"EntityStatus": "Disabled"}), azuremltest.V1Entity("s4", "another's", waits, "e", nil),
	)
	if err := set(t.Context(), published(fails), false); err == nil || !strings.HasSuffix(err.Error(), "to be disabled first: at night, daily") {
		t.Errorf("active schedules name it: %v", err)
	}
	f.Fail(azuremltest.ListSchedules, azuremltest.Fault{Status: 500})
	if err := set(t.Context(), published(fails), false); err == nil || !strings.Contains(err.Error(), "active schedules") {
		t.Errorf("active schedules name it, and they cannot be told: %v", err)
	}
}
