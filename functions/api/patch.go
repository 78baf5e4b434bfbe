package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"carillon/shared/problem"
	"carillon/shared/schedule"
)

// mergePatch lays a JSON merge patch (RFC 7396) over a definition: a null removes, an object is merged, anything else
// replaces. A trigger of another type replaces the whole trigger; all_of replaces the one folder that was watched, and
// the other way round.
func mergePatch(d schedule.Definition, patch []byte) ([]byte, error) {
	current, err := json.Marshal(d)
	if err != nil {
		return nil, err
	}
	var target, changes any
	if err := numbers(current, &target); err != nil {
		return nil, err
	}
	if err := numbers(patch, &changes); err != nil {
		return nil, err
	}
	fields, ok := changes.(map[string]any)
	if !ok {
		return nil, problem.Newf(problem.BadRequest, "a change has to be an object with the fields to change")
	}
	if trigger, ok := fields["trigger"].(map[string]any); ok {
		retrigger(target.(map[string]any), trigger)
	}
	return json.Marshal(merge(target, changes))
}

// retrigger makes room in a definition for a change of its trigger. Another type replaces the whole trigger; times that
// come in one of the short forms (time_of_day, or flat lists) replace those of the canonical one.
func retrigger(target, change map[string]any) {
	old, _ := target["trigger"].(map[string]any)
	if kind, ok := change["type"].(string); ok && !strings.EqualFold(kind, fmt.Sprint(old["type"])) {
		delete(target, "trigger")
		return
	}
	refolder(old, change)
	pattern, _ := old["schedule"].(map[string]any)
	for _, name := range []string{"hours", "minutes", "week_days"} {
		_, flat := change[name]
		_, clock := change["time_of_day"]
		if flat || clock && name != "week_days" {
			delete(pattern, name)
		}
	}
}

// refolder makes room in a datastore trigger: all_of stands instead of one folder and what goes with it.
func refolder(old, change map[string]any) {
	one := []string{"datastore", "path_on_datastore", "recursive", "include", "exclude"}
	if change["all_of"] != nil {
		for _, name := range append(one, "mode", "quiet_period", "max_wait") {
			delete(old, name)
		}
	}
	for _, name := range one {
		if change[name] != nil {
			delete(old, "all_of")
			delete(old, "within")
		}
	}
}

func merge(target, patch any) any {
	changes, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	result, ok := target.(map[string]any)
	if !ok {
		result = map[string]any{}
	}
	for name, value := range changes {
		if value == nil {
			delete(result, name)
		} else {
			result[name] = merge(result[name], value)
		}
	}
	return result
}

// kept are the fields of a schedule that Carillon keeps itself: what was got can be sent back.
var kept = []string{
	"id", "revision", "created", "updated", "updated_by", "status_note", "submitted", "failures", "when", "next", "next_five", "last_run", "running", "notices", "watch",
}

func withoutKept(data []byte) []byte { return without(data, kept...) }

// without leaves fields out of a document; one that is no object, or has none of them, is returned as it is.
func without(data []byte, names ...string) []byte {
	var fields map[string]json.RawMessage
	if json.Unmarshal(data, &fields) != nil || fields == nil {
		return data
	}
	found := false
	for _, name := range names {
		_, has := fields[name]
		found = found || has
		delete(fields, name)
	}
	if !found {
		return data
	}
	left, _ := json.Marshal(fields) // of what was JSON
	return left
}

func numbers(data []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	return d.Decode(into)
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
