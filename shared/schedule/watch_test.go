package schedule

import (
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestMisses(t *testing.T) {
	for _, row := range []struct {
		folder    string
		recursive bool
		include   string // with spaces between, as exclude
		exclude   string
		hits      string // with | between, as misses
		misses    string
	}{
		{"", false, "", "", "a|a.csv|.hidden|a b", "in/a|in/b/c"},
		{"", true, "", "", "a|in/a|in/b/c", ""},
		{"in", false, "", "", "in/a|in/a.csv", "a|in|inn/a|in/b/c|IN/a|x/in/a|in /a"},
		{"in", true, "", "", "in/a|in/b/c|in/in/a", "a|in|inn/a|x/in/a"},
		{"in/b", false, "", "", "in/b/c", "in/b|in/a|in/b/c/d|b/c"},
		{"in", false, "*.csv", "", "in/a.csv|in/.csv|in/a b.csv|in/ü.csv|in/a.b.csv", "in/a.CSV|in/a.csv.gz|in/x/a.csv|in/acsv"},
		{"in", true, "*.csv", "", "in/a.csv", "in/x/a.csv"},
		{"in", true, "**/*.csv", "", "in/a.csv|in/x/a.csv|in/x/y/a.csv", "in/a.txt|in/a.csv/b"},
		{"in", false, "**/*.csv", "", "in/a.csv", "in/x/a.csv"},
		{"in", true, "x/**", "", "in/x/a|in/x/y/a", "in/a|in/xx/a|in/y/x/a"},
		{"in", true, "**/x/**/*.csv", "", "in/x/a.csv|in/a/x/a.csv|in/a/x/b/c/a.csv", "in/a.csv|in/xx/a.csv|in/x/a.txt"},
		{"in", true, "**", "", "in/a|in/b/c", ""},
		{"in", true, "*/a", "", "in/x/a", "in/a|in/x/y/a"},
		{"in", false, "a?.csv", "", "in/a1.csv|in/aü.csv|in/a .csv|in/a?.csv", "in/a.csv|in/a12.csv"},
		{"in", false, "[0-9]*", "", "in/1|in/1a", "in/a1|in/"},
		{"in", false, "[^0-9]*", "", "in/a1|in/ü", "in/1"},
		{"in", false, "*.csv *.json", "", "in/a.csv|in/a.json", "in/a.txt"},
		{"in", false, "", "*.tmp", "in/a.csv|in/tmp", "in/a.tmp"},
		{"in", true, "", "**/_*/**", "in/a|in/a/b_/c", "in/_x/a|in/a/_x/b/c|in/a/_b"},
		{"in", false, "*.csv", "draft*", "in/a.csv", "in/draft.csv|in/a.txt"},
		{"in", true, "**/*.csv", "*.csv", "in/x/a.csv", "in/a.csv"},
		{"a b/c#d", false, "100%*", "", "a b/c#d/100% sure|a b/c#d/100%", "a b/c#d/100|a%20b/c#d/100%"},
		{"größe/数据", true, "**/é*", "", "größe/数据/é|größe/数据/x/é.csv", "größe/数据/e\u0301|grosse/数据/é"},
		{"in", false, "**", "", "in/a", "in/b/c"},
	} {
		f := Folder{Path: row.folder, Recursive: row.recursive, Include: strings.Fields(row.include), Exclude: strings.Fields(row.exclude)}
		for hit := range strings.SplitSeq(row.hits, "|") {
			if why := f.Misses(hit); why != "" {
				t.Errorf("%v: %q does not count: %s", f, hit, why)
			}
		}
		for miss := range strings.SplitSeq(row.misses, "|") {
			if miss != "" && f.Misses(miss) == "" {
				t.Errorf("%v: %q counts", f, miss)
			}
		}
	}
}

func TestMissesSaysWhy(t *testing.T) {
	f := Folder{Path: "in", Include: []string{"*.csv", "*.txt"}, Exclude: []string{"x*"}}
	for file, want := range map[string]string{
		"out/a.csv":  "it is not in the folder in",
		"in/b/a.csv": "it is in a subfolder, and the schedule is not recursive",
		"in/a.gz":    "none of include (*.csv, *.txt) matches a.gz",
		"in/x.csv":   "exclude has x*",
	} {
		if got := f.Misses(file); got != want {
			t.Errorf("%s: %s, want %s", file, got, want)
		}
	}
}

func TestFoldersOf(t *testing.T) {
	for file, want := range map[string]string{"a": "", "a/b": "a|", "a/b/c": "a/b|a|", "a b/ü/c": "a b/ü|a b|"} {
		if got := strings.Join(FoldersOf(file), "|"); got != want {
			t.Errorf("%s: %q, want %q", file, got, want)
		}
	}
}

// simple matches as the definition says it, however long that takes.
func simple(glob, name []string) bool {
	switch {
	case len(glob) == 0:
		return len(name) == 0
	case glob[0] == "**":
		return simple(glob[1:], name) || len(name) > 0 && simple(glob, name[1:])
	case len(name) == 0:
		return false
	}
	ok, err := path.Match(glob[0], name[0])
	return err == nil && ok && simple(glob[1:], name[1:])
}

func FuzzGlobMatch(f *testing.F) {
	for _, seed := range [][2]string{
		{"**/*.csv", "a/b/c.csv"}, {"a/**/b", "a/b"}, {"**/a/**/a", "a/a/a"}, {"*", "a/b"}, {"**", "a"}, {"a/**", "a"}, {"[a-", "a"}, {"", ""}, {"**/**/x", "x"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, glob, name string) {
		g, n := strings.Split(glob, "/"), strings.Split(name, "/")
		if len(g) > 10 || len(n) > 10 {
			return
		}
		if got, want := globMatch(glob, name), simple(g, n); got != want {
			t.Errorf("%q matches %q: %v, want %v", glob, name, got, want)
		}
	})
}

// random is a text of parts that meet one another often.
func random(r *rand.Rand, parts ...string) string {
	var out []string
	for range 1 + r.IntN(5) {
		out = append(out, parts[r.IntN(len(parts))])
	}
	return strings.Join(out, "/")
}

func TestGlobMatchOfRandomPaths(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200_000 {
		glob := random(r, "**", "**", "*", "a", "b", "?", "[ab]", "a*")
		name := random(r, "a", "b", "ab", "c")
		if got, want := globMatch(glob, name), simple(strings.Split(glob, "/"), strings.Split(name, "/")); got != want {
			t.Fatalf("%q matches %q: %v, want %v", glob, name, got, want)
		}
	}
	deep, stars := strings.Repeat("a/", 500)+"a", strings.Repeat("**/a/", 100)+"b"
	if globMatch(stars, deep) { // in a moment, not in the time of the universe
		t.Errorf("%.20s matches %.20s", stars, deep)
	}
}

// What a glob covers it matches, for every glob: none is refused that could count.
func TestCovers(t *testing.T) {
	for _, row := range []struct {
		wide, narrow string
		want         bool
	}{
		{"*.csv", "*.csv", true}, {"*.csv", "a.csv", true}, {"*.csv", "a*.csv", true}, {"*", "*.csv", true}, {"**", "*.csv", true}, {"**", "**/*.csv", true},
		{"**/*.csv", "data/**/*.csv", true}, {"a/**", "a/**/b", true}, {"**/*.csv", "*.csv", true}, {"*", "[0-9]", true}, {"*", "?", true}, {"*.csv", "[ab].csv", true},
		{"*", "**", false}, {"a/*", "a/**", false}, {"*/x", "**/x", false}, {"*-*", "[a-z]*", false}, {"*a*", "[ab]", false}, {"*.csv", "*.txt", false}, {"a*", "*", false},
		{"*.csv", "**/*.csv", false},
	} {
		if got := covers(row.wide, row.narrow); got != row.want {
			t.Errorf("%s covers %s: %v", row.wide, row.narrow, got)
		}
	}
	r := rand.New(rand.NewPCG(3, 4))
	covered := 0
	for range 100_000 {
		wide, narrow := random(r, "**", "*", "a", "b", "a*", "*b"), random(r, "**", "*", "a", "b", "[ab]", "?", "a*", "a[a-c]")
		if !covers(wide, narrow) {
			continue
		}
		covered++
		for range 20 {
			if name := random(r, "a", "b", "ab", "c", "ac"); globMatch(narrow, name) && !globMatch(wide, name) {
				t.Fatalf("%s covers %s, and does not match %s", wide, narrow, name)
			}
		}
	}
	if covered < 1000 {
		t.Errorf("only %d pairs covered one another", covered)
	}
}

func decodeTriggerText(text string) (Trigger, string) {
	d, errs := Decode(with(`"trigger": ` + text))
	if len(errs) == 0 {
		return d.Trigger, ""
	}
	var wrong []string
	for _, e := range errs {
		wrong = append(wrong, e.Field+": "+e.Message)
	}
	return d.Trigger, strings.Join(wrong, "\n")
}

func TestDecodeWatch(t *testing.T) {
	for _, row := range []struct {
		name, text, want string // the canonical form
	}{
		{"the least", `{"type":"datastore","datastore":"inbox"}`, `{"type":"datastore","datastore":"inbox"}`},
		{"any letter case", `{"type":"DataStore","datastore":"inbox","mode":"BATCH"}`, `{"type":"datastore","datastore":"inbox","mode":"batch"}`},
		{"a slash at the end", `{"type":"datastore","datastore":"inbox","path_on_datastore":"in/"}`, `{"type":"datastore","datastore":"inbox","path_on_datastore":"in"}`},
		{"one glob", `{"type":"datastore","datastore":"inbox","include":"*.csv"}`, `{"type":"datastore","datastore":"inbox","include":["*.csv"]}`},
		{"globs twice and out of order", `{"type":"datastore","datastore":"inbox","include":["b","a","b"]}`, `{"type":"datastore","datastore":"inbox","include":["a","b"]}`},
		{"empty lists", `{"type":"datastore","datastore":"inbox","include":[],"exclude":null}`, `{"type":"datastore","datastore":"inbox"}`},
		{"names of every kind", `{"type":"datastore","datastore":"inbox","path_on_datastore":"a b/100%/c#d/größe/...","recursive":true}`,
			`{"type":"datastore","datastore":"inbox","path_on_datastore":"a b/100%/c#d/größe/...","recursive":true}`},
		{"everything of a batch", `{"type":"datastore","datastore":"inbox","mode":"batch","quiet_period":"90s","max_wait":"2h","data_path_parameter_name":"p","process_existing":true,"polling_interval":1440}`,
			`{"type":"datastore","datastore":"inbox","polling_interval":1440,"mode":"batch","quiet_period":"1m30s","max_wait":"2h","data_path_parameter_name":"p","process_existing":true}`},
		{"all_of", `{"type":"datastore","all_of":[{"datastore":"a","path_on_datastore":"x/"},{"datastore":"a","path_on_datastore":"y","recursive":true}],"within":"1d"}`,
			`{"type":"datastore","all_of":[{"datastore":"a","path_on_datastore":"x"},{"datastore":"a","path_on_datastore":"y","recursive":true}],"within":"1d"}`},
		{"a zone for the times in templates", `{"type":"datastore","datastore":"inbox","time_zone":"Europe/Vienna"}`, `{"type":"datastore","time_zone":"Europe/Vienna","datastore":"inbox"}`},
		{"excludes a part of what is included", `{"type":"datastore","datastore":"inbox","include":["*.csv","[0-9]*"],"exclude":["draft*","*-*"]}`,
			`{"type":"datastore","datastore":"inbox","include":["*.csv","[0-9]*"],"exclude":["*-*","draft*"]}`},
		{"excludes what is not in a subfolder", `{"type":"datastore","datastore":"inbox","recursive":true,"include":["**"],"exclude":["*"]}`,
			`{"type":"datastore","datastore":"inbox","recursive":true,"include":["**"],"exclude":["*"]}`},
	} {
		got, wrong := decodeTriggerText(row.text)
		if text := string(mustJSON(t, got)); wrong != "" || text != row.want {
			t.Errorf("%s: %s\n%s, want\n%s", row.name, wrong, text, row.want)
		}
		if again, wrong := decodeTriggerText(row.want); wrong != "" || !again.Equal(got) {
			t.Errorf("%s: the canonical form is not read back: %s", row.name, wrong)
		}
	}
}

func TestDecodeWatchNamesWhatIsWrong(t *testing.T) {
	const two = `"all_of":[{"datastore":"a","path_on_datastore":"x"},{"datastore":"a","path_on_datastore":"y"}]`
	for _, row := range []struct{ fields, want string }{
		{``, "trigger.datastore: is required"},
		{`"datastore":"a b"`, "trigger.datastore: "},
		{`"datastore":""`, "trigger.datastore: "},
		{`"datastore":5`, "trigger.datastore: "},
		{`"datastore":"d","path_on_datastore":"a\\b"`, "trigger.path_on_datastore: has a backslash"},
		{`"datastore":"d","path_on_datastore":"/a"`, "trigger.path_on_datastore: begins with a slash"},
		{`"datastore":"d","path_on_datastore":"/"`, "trigger.path_on_datastore: begins with a slash"},
		{`"datastore":"d","path_on_datastore":"a/../b"`, "trigger.path_on_datastore: may not have . or .."},
		{`"datastore":"d","path_on_datastore":".."`, "trigger.path_on_datastore: may not have . or .."},
		{`"datastore":"d","path_on_datastore":"./a"`, "trigger.path_on_datastore: may not have . or .."},
		{`"datastore":"d","path_on_datastore":"a//b"`, "trigger.path_on_datastore: has an empty part"},
		{`"datastore":"d","path_on_datastore":"a//"`, "trigger.path_on_datastore: has an empty part"},
		{`"datastore":"d","path_on_datastore":"a\u0000"`, "trigger.path_on_datastore: has a zero byte"},
		{`"datastore":"d","path_on_datastore":"` + strings.Repeat("x", 1025) + `"`, "trigger.path_on_datastore: is too long"},
		{`"datastore":"d","path_on_datastore":["a"]`, "trigger.path_on_datastore: has to be a string"},
		{`"datastore":"d","include":[""]`, `trigger.include[0]: "" is empty`},
		{`"datastore":"d","include":""`, `trigger.include[0]: "" is empty`},
		{`"datastore":"d","exclude":["a",""]`, `trigger.exclude[1]: "" is empty`},
		{`"datastore":"d","include":[5]`, "trigger.include: has to be a list of globs"},
		{`"datastore":"d","include":{}`, "trigger.include: has to be a list of globs"},
		{`"datastore":"d","include":["\\*"]`, "has a backslash"},
		{`"datastore":"d","include":["/a"]`, "begins with a slash"},
		{`"datastore":"d","recursive":true,"include":["a/../*"]`, "may not have . or .."},
		{`"datastore":"d","recursive":true,"include":["a//b"]`, "has an empty part"},
		{`"datastore":"d","recursive":true,"include":["a/**b"]`, "** has to stand alone"},
		{`"datastore":"d","include":["**.csv"]`, "** has to stand alone"},
		{`"datastore":"d","include":["[a"]`, "is not a glob"},
		{`"datastore":"d","include":["a/*.csv"]`, "the trigger is not recursive"},
		{`"datastore":"d","exclude":["a/**"]`, "the trigger is not recursive"},
		{`"datastore":"d","include":[` + strings.Repeat(`"a",`, 20) + `"b"]`, "trigger.include: may have 20 globs"},
		{`"datastore":"d","include":["a*.csv"],"exclude":["*.csv"]`, "trigger.include[0]: a*.csv never counts: exclude has *.csv"},
		{`"datastore":"d","include":["*.csv"],"exclude":["*.csv"]`, "never counts"},
		{`"datastore":"d","exclude":["*"]`, "trigger.exclude[0]: * leaves nothing"},
		{`"datastore":"d","recursive":true,"exclude":["**"]`, "trigger.exclude[0]: ** leaves nothing"},
		{`"datastore":"d","recursive":"yes"`, "trigger.recursive: has to be true or false"},
		{`"datastore":"d","mode":"some"`, "trigger.mode: "},
		{`"datastore":"d","mode":5`, "trigger.mode: "},
		{`"datastore":"d","polling_interval":0`, "trigger.polling_interval: has to be a whole number of minutes, 1 to 1440"},
		{`"datastore":"d","polling_interval":1441`, "trigger.polling_interval: "},
		{`"datastore":"d","polling_interval":1.5`, "trigger.polling_interval: "},
		{`"datastore":"d","polling_interval":"5m"`, "trigger.polling_interval: "},
		{`"datastore":"d","quiet_period":"5m"`, "trigger.mode: quiet_period and max_wait are of batches"},
		{`"datastore":"d","mode":"each","quiet_period":"5m"`, "trigger.mode: "},
		{`"datastore":"d","mode":"batch","quiet_period":"0s"`, "trigger.quiet_period: has to be from 1s to 1d"},
		{`"datastore":"d","mode":"batch","quiet_period":"25h","max_wait":"2d"`, "trigger.quiet_period: has to be from 1s to 1d"},
		{`"datastore":"d","mode":"batch","quiet_period":"soon"`, "trigger.quiet_period: "},
		{`"datastore":"d","mode":"batch","max_wait":"5m"`, "trigger.max_wait: is of no use without quiet_period"},
		{`"datastore":"d","mode":"batch","quiet_period":"5m","max_wait":"4m"`, "trigger.max_wait: is 4m, shorter than quiet_period"},
		{`"datastore":"d","mode":"batch","quiet_period":"61m"`, "trigger.max_wait: is 1h, shorter than quiet_period"},
		{`"datastore":"d","mode":"batch","quiet_period":"5m","max_wait":"8d"`, "trigger.max_wait: has to be from 1s to 7d"},
		{`"datastore":"d","within":"5m"`, "trigger.within: is of no use without all_of"},
		{`"datastore":"d","data_path_parameter_name":"a b"`, "trigger.data_path_parameter_name: "},
		{`"datastore":"d","process_existing":1`, "trigger.process_existing: has to be true or false"},
		{`"datastore":"d","time_zone":"Middle/Earth"`, "trigger.time_zone: "},
		{`"datastore":"d","colour":"red"`, "trigger.colour: unknown field; allowed: "},
		{`"datastore":"d","frequency":"minute"`, "trigger.frequency: unknown field"},
		{`"all_of":[]`, "trigger.all_of: has to be a list of 2 to 10 folders"},
		{`"all_of":{}`, "trigger.all_of: has to be a list"},
		{`"all_of":[{"datastore":"a"}]`, "trigger.all_of: has to be a list of 2 to 10 folders"},
		{`"all_of":[` + strings.Repeat(`{"datastore":"a"},`, 10) + `{"datastore":"a"}]`, "trigger.all_of: has to be a list of 2 to 10 folders"},
		{`"all_of":["a",{"datastore":"a"}]`, "trigger.all_of[0]: has to be an object"},
		{`"all_of":[{"datastore":"a","path_on_datastore":"x"},{"datastore":"a","path_on_datastore":"x"}]`, "trigger.all_of[1].path_on_datastore: is watched by an earlier one"},
		{`"all_of":[{"datastore":"a","path_on_datastore":"x"},{"datastore":"a","path_on_datastore":"/y"}]`, "trigger.all_of[1].path_on_datastore: begins with a slash"},
		{`"all_of":[{"datastore":"a","path_on_datastore":"x"},{"datastore":"a","path_on_datastore":"y","mode":"each"}]`, "trigger.all_of[1].mode: unknown field"},
		{two + `,"datastore":"d"`, "trigger.datastore: stands beside all_of"},
		{two + `,"path_on_datastore":"d"`, "trigger.path_on_datastore: stands beside all_of"},
		{two + `,"include":["d"]`, "trigger.include: stands beside all_of"},
		{two + `,"exclude":["d"]`, "trigger.exclude: stands beside all_of"},
		{two + `,"recursive":true`, "trigger.recursive: stands beside all_of"},
		{two + `,"mode":"batch"`, "trigger.mode: is of no use with all_of"},
		{two + `,"mode":"each"`, "trigger.mode: is of no use with all_of"},
		{two + `,"within":"0s"`, "trigger.within: has to be from 1s to 365d"},
		{two + `,"quiet_period":"5m"`, "trigger.mode: quiet_period"},
	} {
		_, wrong := decodeTriggerText(`{"type":"datastore"` + strings.TrimSuffix(","+row.fields, ",") + `}`)
		if !strings.Contains(wrong, row.want) || strings.Contains(wrong, "\n") {
			t.Errorf("%s: got %q, want one error with %q", row.fields, wrong, row.want)
		}
	}
	for _, field := range []string{`"calendars": ["holidays"]`, `"jitter": "5m"`, `"catch_up": {"policy": "none"}`, `"parameters": {"p": "x"}`} {
		d, errs := Decode(with(`"trigger": {"type":"datastore","datastore":"d","data_path_parameter_name":"p"}, ` + field))
		if len(errs) != 1 {
			t.Errorf("%s: %v %v", field, errs, d)
		}
	}
}

func TestWatchInWords(t *testing.T) {
	for text, want := range map[string]string{
		`{"type":"datastore","datastore":"inbox"}`:                                                                     "when a file changes in inbox/",
		`{"type":"datastore","datastore":"inbox","path_on_datastore":"in","recursive":true}`:                           "when a file changes in inbox/in (with subfolders)",
		`{"type":"datastore","datastore":"inbox","path_on_datastore":"in","include":["*.csv","*.txt"],"exclude":"x*"}`: "when a file changes in inbox/in (*.csv, *.txt; not x*)",
		`{"type":"datastore","datastore":"inbox","mode":"batch"}`:                                                      "when files have changed in inbox/, all of 5m together",
		`{"type":"datastore","datastore":"inbox","mode":"batch","polling_interval":90}`:                                "when files have changed in inbox/, all of 1h30m together",
		`{"type":"datastore","datastore":"inbox","mode":"batch","quiet_period":"30s"}`:                                 "when files have changed in inbox/ and none has for 30s (after 1h at the latest)",
		`{"type":"datastore","datastore":"inbox","mode":"batch","quiet_period":"30s","max_wait":"5m"}`:                 "when files have changed in inbox/ and none has for 30s (after 5m at the latest)",
		`{"type":"datastore","all_of":[{"datastore":"a","path_on_datastore":"x"},{"datastore":"b"}]}`:                  "when files have changed in a/x and in b/",
		`{"type":"datastore","all_of":[{"datastore":"a","path_on_datastore":"x"},{"datastore":"b"}],"within":"2h"}`:    "when files have changed in a/x and in b/, all within 2h",
	} {
		trigger, wrong := decodeTriggerText(text)
		if got := trigger.String(); wrong != "" || got != want {
			t.Errorf("%s: %s\n%s, want\n%s", text, wrong, got, want)
		}
	}
}

func TestWatchNotices(t *testing.T) {
	for text, want := range map[string]int{
		`{"type":"datastore","datastore":"inbox"}`:                                                                                               0,
		`{"type":"datastore","datastore":"inbox","recursive":true}`:                                                                              1,
		`{"type":"datastore","all_of":[{"datastore":"a","path_on_datastore":"x"},{"datastore":"a","path_on_datastore":"y"}]}`:                    0,
		`{"type":"datastore","all_of":[{"datastore":"a","path_on_datastore":"x","recursive":true},{"datastore":"a","path_on_datastore":"x/y"}]}`: 1,
		`{"type":"datastore","all_of":[{"datastore":"a","path_on_datastore":"x/y"},{"datastore":"a","path_on_datastore":"x","recursive":true}]}`: 1,
		`{"type":"datastore","all_of":[{"datastore":"b","path_on_datastore":"x/y"},{"datastore":"a","path_on_datastore":"x","recursive":true}]}`: 0,
		`{"type":"datastore","all_of":[{"datastore":"a","path_on_datastore":"x"},{"datastore":"a","path_on_datastore":"x/y","include":["a"]}]}`:  0,
	} {
		trigger, wrong := decodeTriggerText(text)
		if got := trigger.Watch.Notices(); wrong != "" || len(got) != want {
			t.Errorf("%s: %s, notices %q, want %d", text, wrong, got, want)
		}
	}
}

// Every policy that loses changes says so, in a sentence; no other does.
func TestNoticesOfLostChanges(t *testing.T) {
	each, batch := Watch{Folder: Folder{Datastore: "d", Path: "in"}}, Watch{Folder: Folder{Datastore: "d", Path: "in"}, Mode: ModeBatch}
	all := Watch{AllOf: []Folder{{Datastore: "d", Path: "a"}, {Datastore: "d", Path: "b"}}}
	const keeps = "; buffer_all keeps up to 100"
	for _, row := range []struct {
		overlap Overlap
		watch   Watch
		want    string
	}{
		{"", each, ""}, {OverlapAllow, each, ""}, {OverlapAllow, batch, ""}, {OverlapAllow, all, ""},
		{OverlapSkip, each, "a file that changes while a run is under way starts none" + keeps + ", and mode: batch gathers them"},
		{OverlapSkip, batch, ""}, // its window stays open
		{OverlapSkip, all, "what completes all_of while a run is under way starts none" + keeps},
		{OverlapBufferOne, each, "a file that changes while another waits for the run that is under way starts none" + keeps},
		{OverlapBufferOne, batch, "a batch that is complete while another waits for the run that is under way starts none" + keeps},
		{OverlapBufferOne, all, "what completes all_of while another waits for the run that is under way starts none" + keeps},
		{OverlapBufferAll, each, "a file that changes while 100 others wait for their turn starts none"},
		{OverlapBufferAll, batch, "a batch that is complete while 100 others wait for their turn starts none"},
		{OverlapCancelRunning, each, "a file that changes ends the run that is under way, and what that was for is not run again"},
		{OverlapCancelRunning, all, "what completes all_of ends the run that is under way, and what that was for is not run again"},
	} {
		want := row.want
		if want != "" {
			want = "overlap is " + string(row.overlap) + ": " + want
		}
		d := Definition{Trigger: Trigger{Watch: &row.watch}, Overlap: row.overlap}
		if got := strings.Join(d.Notices(), "; "); got != want {
			t.Errorf("%s, %+v: %q, want %q", row.overlap, row.watch, got, want)
		}
	}
	if got := every(15).Definition.Notices(); got != nil {
		t.Errorf("of times: %q", got)
	}
	s := every(15)
	if s.Overlap = OverlapSkip; len(s.Notices()) != 0 {
		t.Errorf("of times: %q", s.Notices())
	}
}

func TestWatchDefaults(t *testing.T) {
	w := &Watch{Folder: Folder{Datastore: "d"}}
	if w.Polling() != 5*time.Minute || w.maxWait() != time.Hour || !w.Each() || len(w.Folders()) != 1 {
		t.Errorf("polling %v, at most %v, each %v, folders %v", w.Polling(), w.maxWait(), w.Each(), w.Folders())
	}
	if (&Watch{Mode: ModeBatch}).Each() || (&Watch{AllOf: []Folder{{}, {}}}).Each() || (*Watch)(nil).Folders() != nil {
		t.Error("a batch or all_of makes a run of each change, or nothing has folders")
	}
	if uses := (Trigger{Watch: w}).Uses(); uses != (Uses{Change: true, Changes: true}) {
		t.Errorf("uses %+v", uses)
	}
}

// A new baseline is taken at creation, enabling, and a change of datastore, folder or filters; nothing else takes one.
func TestBaseline(t *testing.T) {
	base := Watch{Folder: Folder{Datastore: "d", Path: "in", Include: []string{"a"}}}
	for _, row := range []struct {
		name   string
		change func(*Definition, *Watch)
		fresh  bool
	}{
		{"nothing", func(*Definition, *Watch) {}, false},
		{"the description", func(d *Definition, _ *Watch) { d.Description = "x" }, false},
		{"the mode", func(_ *Definition, w *Watch) { w.Mode = ModeBatch }, false},
		{"the interval", func(_ *Definition, w *Watch) { w.PollingInterval = 7 }, false},
		{"disabled", func(d *Definition, _ *Watch) { d.Status = Disabled }, false},
		{"the datastore", func(_ *Definition, w *Watch) { w.Datastore = "e" }, true},
		{"the folder", func(_ *Definition, w *Watch) { w.Path = "out" }, true},
		{"recursive", func(_ *Definition, w *Watch) { w.Recursive = true }, true},
		{"include", func(_ *Definition, w *Watch) { w.Include = []string{"b"} }, true},
		{"exclude", func(_ *Definition, w *Watch) { w.Exclude = []string{"b"} }, true},
		{"all_of", func(_ *Definition, w *Watch) { *w = Watch{AllOf: []Folder{w.Folder, {Datastore: "e"}}} }, true},
	} {
		s := watched(base)
		d, w := s.Definition, base
		d.Trigger.Watch = &w
		row.change(&d, &w)
		now := at("11:00:00")
		next := s.Revise(d, "me", "", now)
		if fresh := next.BaselineRevision == 2 && next.Baseline.Equal(now); fresh != row.fresh || !fresh && (next.BaselineRevision != 1 || !next.Baseline.Equal(s.Baseline)) {
			t.Errorf("%s: baseline %v of revision %d", row.name, next.Baseline, next.BaselineRevision)
		}
	}
	s := watched(base)
	d := s.Definition
	d.Status = Disabled
	off := s.Revise(d, "me", "", at("11:00:00"))
	d.Status = Active
	if on := off.Revise(d, "me", "", at("12:00:00")); on.BaselineRevision != 3 || !on.Baseline.Equal(at("12:00:00")) {
		t.Errorf("enabled: baseline %v of revision %d", on.Baseline, on.BaselineRevision)
	}
	base.ProcessExisting = true
	s = watched(base)
	if !s.ProcessesExisting() || off.ProcessesExisting() {
		t.Error("what is there is taken up at the wrong time")
	}
	d.Trigger.Watch = &base
	d.Status = Disabled
	off = s.Revise(d, "me", "", at("11:00:00"))
	d.Status = Active
	if off.Revise(d, "me", "", at("12:00:00")).ProcessesExisting() {
		t.Error("what is there is taken up when it is enabled")
	}
}

// watched is a schedule of a watch, created at ten.
func watched(w Watch) Schedule {
	d := Definition{Name: "s", Pipeline: PipelineRef{"local", "hello"}, Experiment: "e", Status: Active, Trigger: Trigger{Watch: &w}}
	d.Trigger.Kind = KindDatastore
	w.Include = slices.Clone(w.Include)
	return New(d, "0id", "me", at("10:00:00"))
}
