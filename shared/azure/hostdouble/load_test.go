package hostdouble

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const goodHost = `{"version": "2.0", "customHandler": {"description": {"defaultExecutablePath": "handler"}, "enableProxyingHttpRequest": true},
	"extensionBundle": {"id": "Microsoft.Azure.Functions.ExtensionBundle", "version": "[4.*, 5.0.0)"}}`

func goodFunction(binding string) string { return `{"bindings": [` + binding + `]}` }

const (
	goodTimer = `{"type": "timerTrigger", "direction": "in", "name": "tick", "schedule": "0 * * * * *"}`
	goodQueue = `{"type": "queueTrigger", "direction": "in", "name": "message", "queueName": "q", "connection": "C", "dataType": "binary"}`
	goodBlob  = `{"type": "blobTrigger", "direction": "in", "name": "blob", "path": "c/{name}", "source": "EventGrid", "connection": "C"}`
	goodHTTP  = `{"type": "httpTrigger", "direction": "in", "name": "req", "route": "a/{b}"}, {"type": "http", "direction": "out", "name": "res"}`

	account = "DefaultEndpointsProtocol=http;AccountName=a;AccountKey=YQ==;QueueEndpoint=http://127.0.0.1:9/a;"
)

func TestLoad(t *testing.T) {
	for _, c := range []struct {
		name, path, text string // one file of a good bundle, replaced or added; no text: removed
		want             string // in the error; empty for none
	}{
		{"good", "x", "", ""},
		{"no host.json", "host.json", "", "host.json"},
		{"not JSON", "host.json", "{", "host.json"},
		{"old", "host.json", strings.Replace(goodHost, "2.0", "1.0", 1), `"2.0"`},
		{"no bundle", "host.json", strings.Replace(goodHost, "[4.*, 5.0.0)", "", 1), "extensionBundle"},
		{"events within reach", "host.json", strings.Replace(goodHost, `"version"`, `"extensions": {"http": {"routePrefix": ""}}, "version"`, 1), "routePrefix"},
		{"no HTTP", "host.json", strings.Replace(goodHost, "enableProxyingHttpRequest", "other", 1), "neither proxies nor forwards"},
		{"a wrong time", "host.json", strings.Replace(goodHost, `"version"`, `"functionTimeout": "5m", "version"`, 1), "functionTimeout"},
		{"a large batch", "host.json", strings.Replace(goodHost, `"version"`, `"extensions": {"queues": {"batchSize": 33}}, "version"`, 1), "batchSize"},
		{"no handler", "handler", "", "defaultExecutablePath"},
		{"not executable", "host.json", strings.Replace(goodHost, `"handler"`, `"host.json"`, 1), "defaultExecutablePath"},
		{"another file", "timer/readme.md", "x", "nothing else"},
		{"too deep", "functions/timer/function.json", goodFunction(goodTimer), "direct child"},
		{"a wrong name", "1st/function.json", goodFunction(goodTimer), "1st is no name"},
		{"a wrong binding's name", "timer/function.json", goodFunction(strings.Replace(goodTimer, "tick", "a_tick", 1)), "a_tick"},
		{"five fields", "timer/function.json", goodFunction(strings.Replace(goodTimer, "0 * *", "* *", 1)), "six fields"},
		{"wrong seconds", "timer/function.json", goodFunction(strings.Replace(goodTimer, "0 * *", "60 * *", 1)), "0-59"},
		{"a wrong minute", "timer/function.json", goodFunction(strings.Replace(goodTimer, "0 * *", "0 61 *", 1)), "minute"},
		{"a setting that is not there", "timer/function.json", goodFunction(strings.Replace(goodTimer, "0 * * * * *", "%WHEN%", 1)), "WHEN"},
		{"run on startup", "timer/function.json", goodFunction(strings.Replace(goodTimer, `"name"`, `"runOnStartup": true, "name"`, 1)), "runOnStartup"},
		{"a queue that is tried again", "queue/function.json", `{"retry": {"strategy": "fixedDelay"}, "bindings": [` + goodQueue + `]}`, "no retry policy"},
		{"a stream", "queue/function.json", goodFunction(strings.Replace(goodQueue, "binary", "stream", 1)), "loses its content"},
		{"deferred", "queue/function.json", goodFunction(strings.Replace(goodQueue, `"name"`, `"properties": {"supportsDeferredBinding": true}, "name"`, 1)), "loses its content"},
		{"no connection", "queue/function.json", goodFunction(strings.Replace(goodQueue, `"C"`, `"D"`, 1)), `"D"`},
		{"a wrong connection", "queue/function.json", goodFunction(strings.Replace(goodQueue, `"C"`, `"Wrong"`, 1)), "Wrong"},
		{"no output", "http/function.json", goodFunction(strings.Split(goodHTTP, "}, ")[0] + "}"), "0 http outputs"},
		{"an unknown route", "http/function.json", goodFunction(strings.Replace(goodHTTP, "{b}", "{b:int}", 1)), "{b:int}"},
		{"an unknown level", "http/function.json", goodFunction(strings.Replace(goodHTTP, `"name"`, `"authLevel": "admin", "name"`, 1)), "admin"},
		{"an unknown trigger", "hub/function.json", goodFunction(strings.Replace(goodTimer, "timerTrigger", "eventHubTrigger", 1)), "eventHubTrigger"},
		{"a blob trigger that scans", "blob/function.json", goodFunction(strings.Replace(goodBlob, "EventGrid", "", 1)), "source"},
		{"a blob trigger that asks for a stream", "blob/function.json", goodFunction(strings.Replace(goodBlob, `"name"`, `"dataType": "stream", "name"`, 1)), "dataType"},
		{"a blob trigger with a path that this host does not know", "blob/function.json", goodFunction(strings.Replace(goodBlob, "{name}", "{a}.{b}", 1)), "{a}.{b}"},
		{"a blob trigger without a connection", "blob/function.json", goodFunction(strings.Replace(goodBlob, `"C"`, `"D"`, 1)), `"D"`},
		{"a blob trigger with a wrong connection", "blob/function.json", goodFunction(strings.Replace(goodBlob, `"C"`, `"Wrong"`, 1)), "Wrong"},
		{"two triggers", "timer/function.json", goodFunction(goodTimer + "," + goodTimer), "one trigger"},
		{"an unknown retry", "timer/function.json", `{"retry": {"strategy": "often"}, "bindings": [` + goodTimer + `]}`, "often"},
	} {
		folder := t.TempDir()
		files := map[string]string{
			"host.json": goodHost, "handler": "x", "timer/function.json": goodFunction(goodTimer),
			"queue/function.json": goodFunction(goodQueue), "blob/function.json": goodFunction(goodBlob), "http/function.json": goodFunction(goodHTTP), "docs/readme.md": "x",
		}
		files[c.path] = c.text
		for path, text := range files {
			if text == "" {
				continue
			}
			path = filepath.Join(folder, path)
			mode := os.FileMode(0o644)
			if filepath.Base(path) == "handler" {
				mode = 0o755
			}
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), mode); err != nil {
				t.Fatal(err)
			}
		}
		_, err := load(folder, map[string]string{"C": account, "Wrong": "x"})
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got error %v, want one with %q", c.name, err, c.want)
		}
	}
}

// The handler gets what a real one got: the host's own variables and the app's settings.
func TestEnvironment(t *testing.T) {
	text, err := os.ReadFile("../testdata/calls.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	var start struct {
		Name string
		Env  []string
	}
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(&start); err != nil || start.Name != "start" {
		t.Fatalf("%v, %+v", err, start)
	}
	given := map[string]bool{}
	h := &Host{settings: map[string]string{"MY_SETTING": "hello", "AzureWebJobsStorage": account}}
	for _, pair := range h.environment() {
		name, _, _ := strings.Cut(pair, "=")
		given[name] = true
	}
	for _, pair := range start.Env {
		name, _, _ := strings.Cut(pair, "=")
		if tools := strings.HasPrefix(name, "FUNCTIONS_CORE"); !given[name] && !tools {
			t.Errorf("%s is not given", name)
		}
	}
}

func TestCron(t *testing.T) {
	for _, c := range []struct{ schedule, after, want string }{
		{"0 * * * * *", "17:54:59.995", "17:55:00"},
		{"0 * * * * *", "17:55:00", "17:56:00"},
		{"*/20 * * * * *", "17:55:00.001", "17:55:20"},
		{"*/20 * * * * *", "17:55:59", "17:56:00"},
		{"10-12,40 * * * * *", "17:55:12", "17:55:40"},
		{"30 0 */2 * * *", "17:00:00", "18:00:30"},
		{"0 0 18 * * Sun", "17:55:00", "18:00:00"}, // 2026-11-22 is one
	} {
		cron, err := parseCron(c.schedule)
		if err != nil {
			t.Error(err)
			continue
		}
		after, err := time.Parse(time.RFC3339, "2026-11-22T"+c.after+"Z")
		if err != nil {
			t.Fatal(err)
		}
		if got := cron.next(after).Format("2006-01-02 15:04:05"); got != "2026-11-22 "+c.want {
			t.Errorf("%s after %s: got %s, want %s", c.schedule, c.after, got, c.want)
		}
	}
}

func TestSpan(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"": time.Minute, "00:00:01": time.Second, "00:00:00.1": 100 * time.Millisecond, "1.02:03:04": 26*time.Hour + 3*time.Minute + 4*time.Second, "-1": 1 << 62,
	} {
		var wrong problems
		if got := wrong.span("x", text, time.Minute); got != want || wrong != nil {
			t.Errorf("%q: got %v, %v", text, got, wrong)
		}
	}
}

func TestMerged(t *testing.T) {
	for query, want := range map[string]string{"": "", "x=1&x=2&y=%20z": "x=1,2&y=%20z", "a&b=1&a=2": "a=,2&b=1"} {
		if got := merged(query); got != want {
			t.Errorf("%s: got %s, want %s", query, got, want)
		}
	}
}

func TestDelay(t *testing.T) {
	r := retry{-1, time.Second, 10 * time.Second}
	got := fmt.Sprint(r.delay(1), r.delay(2), r.delay(4), r.delay(5), r.delay(1000))
	if want := "1s 2s 8s 10s 10s"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
