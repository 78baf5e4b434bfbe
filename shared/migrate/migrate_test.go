package migrate_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"carillon/shared/migrate"
	"carillon/shared/schedule"
)

var update = flag.Bool("update", false, "write the plans of testdata anew; look at what has changed")

var now = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

// own is what each case says itself, unless it says so in its head.
var own = migrate.Own{Name: "nightly", Pipeline: schedule.PipelineRef{Kind: "published", ID: "aaaa"}, Experiment: "night"}

// TestPlans holds each case of testdata against its plan. A case is a line on what it shows, the old schedule in one of
// the forms (several entities stand in a list), and the plan. In the head, "own" gives name, pipeline and experiment.
func TestPlans(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal(err, len(files))
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			head, rest, _ := strings.Cut(string(data), "\n-- ")
			kind, rest, _ := strings.Cut(rest, " --\n")
			document, want, _ := strings.Cut(rest, "-- plan --\n")
			got := plansOf(t, kind, document, owned(head))
			if *update {
				whole := head + "\n-- " + kind + " --\n" + document + "-- plan --\n" + got
				if err := os.WriteFile(file, []byte(whole), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// owned reads what a case's head says of name, pipeline and experiment.
func owned(head string) (o migrate.Own) {
	_, said, ok := strings.Cut(head, "\nown ")
	if !ok {
		if strings.Contains(head, "\nown") {
			return o
		}
		return own
	}
	parts := strings.Fields(said)
	o.Name, o.Experiment = parts[0], parts[2]
	o.Pipeline.Kind, o.Pipeline.ID, _ = strings.Cut(parts[1], ":")
	return o
}

func plansOf(t *testing.T, kind, document string, own migrate.Own) string {
	var plans []migrate.Plan
	var err error
	var list []json.RawMessage
	switch kind {
	case migrate.FileV1, migrate.FileV2:
		plans, err = migrate.Read(kind, []byte(document), own, now)
	default:
		if err := json.Unmarshal([]byte(document), &list); err != nil {
			t.Fatal(err)
		}
		if kind == migrate.LiveV1 {
			plans = migrate.V1(list, own, now)
		} else {
			plans = migrate.V2(list, own, now)
		}
	}
	if err != nil {
		return "error: " + err.Error() + "\n"
	}
	var out strings.Builder
	for _, p := range plans {
		show(&out, p)
	}
	return out.String()
}

func show(out *strings.Builder, p migrate.Plan) {
	var indented bytes.Buffer
	json.Indent(&indented, p.Definition, "", "  ")
	fmt.Fprintf(out, "source: kind %s, id %s, name %s, enabled %t\n%s\n", p.Source.Kind, p.Source.ID, p.Source.Name, p.Source.Enabled, &indented)
	for _, d := range p.Differences {
		fmt.Fprintln(out, "difference:", d)
	}
	for _, problem := range p.Problems {
		fmt.Fprintln(out, "problem:", problem)
	}
}

// What is planned without a problem can be created, and is in the one form in which definitions are compared.
func TestDefinitionsAreCanonical(t *testing.T) {
	for kind, document := range map[string]string{
		migrate.FileV1: "Schedule: {recurrence: {frequency: Day, interval: 1, hours: 1, minutes: [30, 0], start_time: '2027-01-01T00:00:00'}}",
		migrate.FileV2: "{name: a, trigger: {type: cron, expression: '0  9 * * mon'}, create_job: 'azureml:one'}",
	} {
		plans, err := migrate.Read(kind, []byte(document), own, now)
		if err != nil || len(plans) != 1 || len(plans[0].Problems) != 0 {
			t.Fatalf("%s: %+v, %v", kind, plans, err)
		}
		d, errs := schedule.Decode(plans[0].Definition)
		again, _ := json.Marshal(d)
		if len(errs) != 0 || string(again) != string(plans[0].Definition) {
			t.Errorf("%s: %s became %s, %v", kind, plans[0].Definition, again, errs)
		}
	}
}
