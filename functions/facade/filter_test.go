package facade

import (
	"strings"
	"testing"
	"time"
)

var sample = historyRun{
	RunID: "1abc-20261122T120000Z", RootRunID: "1abc-20261122T120000Z", RunType: runType, Status: "Running",
	Created: instant(time.Date(2026, 11, 22, 12, 0, 0, 500e6, time.UTC)), Started: instant(time.Date(2026, 11, 22, 12, 0, 5, 0, time.UTC)),
	Tags: map[string]string{"k": "v", "and": "or", "long": "some (text) and more", "n": "10"}, Properties: map[string]string{"azureml.runsource": runType},
}

func TestFilter(t *testing.T) {
	for filter, want := range map[string]bool{
		"":                  true,
		"  ":                true,
		"Status eq Running": true,
		"status EQ running": true,
		"Status eq 'Running' and ParentRunId eq null":                 true,
		`Status eq "Running" and (ParentRunId ne null)`:               false,
		"Status ne Completed":                                         true,
		"not Status eq Completed":                                     true,
		"NOT (Status eq Running)":                                     false,
		"not not Status eq Running":                                   true,
		"Status eq Completed or Status eq Running":                    true,
		"Status eq Running and(Tags/k eq v)":                          true,
		"Status eq Completed or Status eq Failed":                     false,
		"Status eq Running or Status eq x and Tags/k eq x":            true, // and binds closer
		"(Status eq Running or Status eq x) and Tags/k eq x":          false,
		"((Status eq Running))and(Tags/k eq v)":                       true,
		"Tags/k eq v":                                                 true,
		"tags/K eq V":                                                 true,
		"Tags/k ne v":                                                 false,
		"Tags/none ne v":                                              false,
		"Tags/none eq null":                                           false,
		"not Tags/none eq null":                                       true,
		"Tags/k ne null":                                              true,
		"Tags/k eq null":                                              false,
		"Tags/and eq or":                                              true,
		"Tags/long eq 'some (text) and more'":                         true,
		"Tags/k gt u and Tags/k lt w and Tags/k ge v and Tags/k le v": true,
		"Properties/azureml.runsource eq azureml.PipelineRun":         true,
		"RunTypeV2/Traits/x ne null or RunTypeV2/Traits/x eq null":    false,
		"RunId eq 1abc-20261122T120000Z":                              true,
		"RootRunId eq x":                                              false,
		"Hidden eq false":                                             true,
		"Hidden eq true":                                              false,
		"Target eq null":                                              true,
		"Target ne x":                                                 true,
		"CreatedUtc gt 2026-11-22T12:00:00Z":                          true,
		"CreatedUtc ge 2026-11-22T13:00:00.500+01:00":                 true,
		"CreatedUtc eq 2026-11-22T12:00:00.5000000":                   true,
		"CreatedUtc ge 2026-11-23":                                    false,
		"CreatedUtc lt '2026-11-22 12:00:01'":                         true,
		"StartTimeUtc le 2026-11-22T12:00:05Z":                        true,
		"EndTimeUtc eq null":                                          true,
		"EndTimeUtc ne null":                                          false,
		"EndTimeUtc gt 2020-01-01":                                    false,
		"EndTimeUtc ne 2020-01-01":                                    true,
		"StartTimeUtc ne null":                                        true,
		"Tags/k eq 'it''s'":                                           false,
	} {
		passes, err := readFilter(filter)
		if err != nil {
			t.Errorf("%s: %v", filter, err)
		} else if got := passes(sample); got != want {
			t.Errorf("%s: got %t", filter, got)
		}
	}
}

func TestFiltersThatCannotBeRead(t *testing.T) {
	for filter, want := range map[string]string{
		"Status":                          "one of eq, ne",
		"Status eq":                       "one of eq, ne",
		"Status eq  ":                     "one of eq, ne",
		"Status is Running":               "one of eq, ne",
		"Status eq 'Running":              "lacks its closing quote",
		"(Status eq Running":              "not closed",
		"Status eq Running)":              `")" is left over`,
		"Status eq 'Running' 'x'":         "is left over",
		"Status eq Running and":           "no such field",
		"and Status eq Running":           "no such field",
		"Color eq red":                    "there are Status, RunId",
		"Tags eq red":                     "no such field",
		"CreatedUtc gt yesterday":         "is no time",
		"()":                              "no such field",
		"not":                             "no such field",
		strings.Repeat("(", 200):          "nested too deeply",
		strings.Repeat("not ", 200):       "nested too deeply",
		strings.Repeat("Status eq ", 1e3): "it may have 4096 bytes",
	} {
		if passes, err := readFilter(filter); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v, want %s (%v)", filter, err, want, passes != nil)
		}
	}
}

func FuzzFilter(f *testing.F) {
	for _, text := range []string{"Status eq Running and (Tags/k ne null or Tags/k eq null)", "not CreatedUtc ge 2026-11-22", "Tags/k eq 'it''s'", "((a"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		passes, err := readFilter(text)
		if err != nil {
			return
		}
		passes(sample)
		passes(historyRun{})
		if nested, err := readFilter("not (" + text + ")"); text != "" && strings.TrimSpace(text) != "" && len(text) < maxFilter-10 && err == nil && nested(sample) == passes(sample) {
			t.Errorf("%q is both", text)
		}
	})
}
