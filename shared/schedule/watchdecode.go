package schedule

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"carillon/shared/recur"
)

const (
	maxGlobs   = 20
	maxFolders = 10
)

var (
	folderFields = []string{"datastore", "path_on_datastore", "recursive", "include", "exclude"}
	watchFields  = append([]string{
		"type", "time_zone", "all_of", "within", "polling_interval", "mode", "quiet_period", "max_wait",
		"data_path_parameter_name", "process_existing",
	}, folderFields...)
)

// decodeWatch reads a trigger of type datastore.
func decodeWatch(raw []byte, errs *recur.FieldErrors) Trigger {
	o, ok := recur.ReadObject("trigger", raw, errs)
	if !ok {
		return Trigger{}
	}
	o.Value("type")
	w := &Watch{
		Mode:              Mode(oneOf(o, "mode", "", string(ModeEach), string(ModeBatch))),
		Within:            decodeSpan(o, "within", time.Second, 365*24*time.Hour),
		QuietPeriod:       decodeSpan(o, "quiet_period", time.Second, 24*time.Hour),
		MaxWait:           decodeSpan(o, "max_wait", time.Second, 7*24*time.Hour),
		PollingInterval:   decodePolling(o),
		DataPathParameter: decodeDataPath(o),
		ProcessExisting:   decodeFlag(o, "process_existing"),
	}
	t := Trigger{Watch: w}
	t.Kind, t.TimeZone = KindDatastore, o.Text("time_zone")
	if _, err := recur.LoadZone(t.TimeZone); err != nil {
		o.Fail("time_zone", "%v", err)
	}
	if raw := o.Value("all_of"); raw != nil {
		w.AllOf = decodeAllOf(o, raw, errs)
		w.conflicts(o)
	} else {
		w.Folder = decodeFolder(o)
	}
	if w.Mode != ModeBatch && (w.QuietPeriod > 0 || w.MaxWait > 0) {
		o.Fail("mode", "quiet_period and max_wait are of batches: set mode: batch, or leave them out")
	}
	if w.MaxWait > 0 && w.QuietPeriod == 0 {
		o.Fail("max_wait", "is of no use without quiet_period")
	}
	if w.QuietPeriod > 0 && w.maxWait() < time.Duration(w.QuietPeriod) {
		o.Fail("max_wait", "is %s, shorter than quiet_period: give a longer one", Duration(w.maxWait()))
	}
	if len(w.AllOf) == 0 && w.Within > 0 {
		o.Fail("within", "is of no use without all_of")
	}
	o.Strangers(watchFields)
	return t
}

func (w *Watch) conflicts(o *recur.Object) {
	for _, field := range folderFields {
		if o.Value(field) != nil {
			o.Fail(field, "stands beside all_of: put it into each of its folders")
		}
	}
	if w.Mode != "" {
		o.Fail("mode", "is of no use with all_of, which makes one run when every folder has changed")
	}
}

func decodeAllOf(parent *recur.Object, raw json.RawMessage, errs *recur.FieldErrors) (out []Folder) {
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil || len(list) < 2 || len(list) > maxFolders {
		parent.Fail("all_of", "has to be a list of 2 to %d folders: {datastore: inbox, path_on_datastore: a}", maxFolders)
		return nil
	}
	for i, element := range list {
		o, ok := recur.ReadObject(fmt.Sprintf("trigger.all_of[%d]", i), element, errs)
		if !ok {
			continue
		}
		f := decodeFolder(o)
		o.Strangers(folderFields)
		if slices.ContainsFunc(out, func(g Folder) bool { return g.String() == f.String() }) {
			o.Fail("path_on_datastore", "is watched by an earlier one of all_of, too")
		}
		out = append(out, f)
	}
	return out
}

func decodeFolder(o *recur.Object) Folder {
	f := Folder{
		Datastore: required(o, "datastore", 255, namePattern, "a datastore's name: a letter or digit, then up to 254 letters, digits, _ or -"),
		Path:      o.Text("path_on_datastore"),
		Recursive: decodeFlag(o, "recursive"),
	}
	if trimmed, ok := strings.CutSuffix(f.Path, "/"); ok && trimmed != "" { // incoming/ is the folder incoming
		f.Path = trimmed
	}
	if wrong := badPath(f.Path); wrong != "" {
		o.Fail("path_on_datastore", "%s", wrong)
	}
	f.Include = decodeGlobs(o, "include", f.Recursive)
	f.Exclude = decodeGlobs(o, "exclude", f.Recursive)
	for i, include := range f.Include {
		for _, exclude := range f.Exclude {
			if covers(exclude, include) {
				o.Fail(fmt.Sprintf("include[%d]", i), "%s never counts: exclude has %s", include, exclude)
			}
		}
	}
	for i, exclude := range f.Exclude {
		if len(f.Include) == 0 && (exclude == "**" || exclude == "*" && !f.Recursive) {
			o.Fail(fmt.Sprintf("exclude[%d]", i), "%s leaves nothing that could fire", exclude)
		}
	}
	return f
}

func decodeGlobs(o *recur.Object, field string, recursive bool) (globs []string) {
	raw := o.Value(field)
	if raw == nil {
		return nil
	}
	if raw[0] == '"' { // one glob need not be a list
		globs = []string{o.Text(field)}
	} else if json.Unmarshal(raw, &globs) != nil {
		o.Fail(field, `has to be a list of globs: ["*.csv"]`)
		return nil
	}
	if len(globs) > maxGlobs {
		o.Fail(field, "may have %d globs, these are %d", maxGlobs, len(globs))
	}
	for i, g := range globs {
		if wrong := badGlob(g, recursive); wrong != "" {
			o.Fail(fmt.Sprintf("%s[%d]", field, i), "%.80q %s", g, wrong)
		}
	}
	slices.Sort(globs)
	if globs = slices.Compact(globs); len(globs) == 0 {
		return nil
	}
	return globs
}

func decodeSpan(o *recur.Object, field string, least, most time.Duration) Duration {
	written := o.Text(field)
	if written == "" {
		return 0
	}
	span, err := ParseDuration(written)
	switch {
	case err != nil:
		o.Fail(field, "%v", err)
	case span < least || span > most:
		o.Fail(field, "has to be from %s to %s", Duration(least), Duration(most))
	}
	return Duration(span)
}

func decodePolling(o *recur.Object) (minutes int) {
	raw := o.Value("polling_interval")
	if raw != nil && (json.Unmarshal(raw, &minutes) != nil || minutes < 1 || minutes > maxPolling) {
		o.Fail("polling_interval", "has to be a whole number of minutes, 1 to %d", maxPolling)
	}
	return minutes
}

func decodeDataPath(o *recur.Object) string {
	name := o.Text("data_path_parameter_name")
	if name != "" && !parameterPattern.MatchString(name) {
		o.Fail("data_path_parameter_name", "%.80q cannot be a parameter's name: a letter or _, then up to 127 letters, digits, _ . or -", name)
	}
	return name
}

func decodeFlag(o *recur.Object, field string) (flag bool) {
	if raw := o.Value(field); raw != nil && json.Unmarshal(raw, &flag) != nil {
		o.Fail(field, "has to be true or false")
	}
	return flag
}

// isWatch reports whether a trigger's JSON is of type datastore.
func isWatch(raw []byte) bool {
	var kind struct{ Type string }
	return json.Unmarshal(raw, &kind) == nil && strings.EqualFold(kind.Type, string(KindDatastore))
}
