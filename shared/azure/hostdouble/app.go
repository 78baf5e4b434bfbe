package hostdouble

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// app is what a staged folder says.
type app struct {
	root       string
	executable string
	arguments  []string
	timeout    time.Duration // functionTimeout
	proxying   bool          // and otherwise forwarding
	queues     queueOptions
	functions  []function
}

// function is one folder with a function.json.
type function struct {
	name     string
	binding  string // the trigger's name
	trigger  any    // a timerTrigger, a queueTrigger, a blobTrigger or a route
	disabled bool
	key      string
}

type hostJSON struct {
	Version         string
	FunctionTimeout string
	ExtensionBundle struct{ ID, Version string }
	CustomHandler   struct {
		Description struct {
			DefaultExecutablePath string
			Arguments             []string
		}
		EnableProxyingHTTPRequest   bool `json:"enableProxyingHttpRequest"`
		EnableForwardingHTTPRequest bool `json:"enableForwardingHttpRequest"`
	}
	Extensions struct {
		HTTP   struct{ RoutePrefix *string }
		Queues queueJSON
	}
}

type functionJSON struct {
	Disabled bool
	Retry    *retryJSON
	Bindings []bindingJSON
}

type bindingJSON struct {
	Type, Direction, Name string
	DataType              string
	Properties            map[string]any
	Schedule              string // timerTrigger
	RunOnStartup          bool
	QueueName, Connection string // queueTrigger
	Path, Source          string // blobTrigger, and Connection
	AuthLevel             string // httpTrigger
	Methods               []string
	Route                 *string
}

// problems are everything that is wrong with a folder.
type problems []error

func (p *problems) add(format string, args ...any) { *p = append(*p, fmt.Errorf(format, args...)) }

// load reads a staged folder and returns everything at once that a real host would stumble over.
func load(folder string, settings map[string]string) (app, error) {
	var wrong problems
	root, err := filepath.Abs(folder)
	if err != nil {
		return app{}, err
	}
	a := app{root: root}
	a.readHost(&wrong)
	entries, err := os.ReadDir(root)
	if err != nil {
		return a, err
	}
	for _, entry := range entries {
		if entry.IsDir() {
			a.readFunction(entry.Name(), settings, &wrong)
		}
	}
	if len(a.functions) == 0 && len(wrong) == 0 {
		wrong.add("no direct child has a function.json")
	}
	return a, errors.Join(wrong...)
}

func readJSON(path string, into any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func (a *app) readHost(wrong *problems) {
	var host hostJSON
	if err := readJSON(filepath.Join(a.root, "host.json"), &host); err != nil {
		wrong.add("%w", err)
		return
	}
	if host.Version != "2.0" {
		wrong.add(`host.json: version has to be "2.0", not %q`, host.Version)
	}
	a.timeout = wrong.span("functionTimeout", host.FunctionTimeout, 30*time.Minute)
	if p := host.Extensions.HTTP.RoutePrefix; p != nil && *p != "api" {
		wrong.add("host.json: routePrefix is %q: without api a stranger could reach the path of an event", *p)
	}
	handler := host.CustomHandler
	a.proxying = handler.EnableProxyingHTTPRequest
	if !handler.EnableProxyingHTTPRequest && !handler.EnableForwardingHTTPRequest {
		wrong.add("host.json: neither proxies nor forwards HTTP requests; this host does not wrap them into event calls")
	}
	a.queues = readQueues(host.Extensions.Queues, wrong)
	a.arguments = handler.Description.Arguments
	a.executable = filepath.Join(a.root, handler.Description.DefaultExecutablePath)
	if info, err := os.Stat(a.executable); err != nil || info.IsDir() || info.Mode()&0o111 == 0 {
		wrong.add("host.json: defaultExecutablePath %q is not a file that can be executed: %v", handler.Description.DefaultExecutablePath, err)
	}
	if b := host.ExtensionBundle; b.ID != "Microsoft.Azure.Functions.ExtensionBundle" || b.Version != "[4.*, 5.0.0)" {
		wrong.add("host.json: extensionBundle is %q %q: queue triggers are not loaded without it", b.ID, b.Version)
	}
}

var (
	functionName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,127}$`)
	bindingName  = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9]{0,127}$`)
	settingName  = regexp.MustCompile(`^%([^%]+)%$`)
)

func (a *app) readFunction(name string, settings map[string]string, wrong *problems) {
	folder := filepath.Join(a.root, name)
	if !alone(folder, wrong) {
		return
	}
	var text functionJSON
	if err := readJSON(filepath.Join(folder, "function.json"), &text); err != nil {
		wrong.add("%w", err)
		return
	}
	if !functionName.MatchString(name) {
		wrong.add("%s is no name of a function", name)
	}
	f := function{name: name, key: guid(), disabled: text.Disabled}
	switch strings.ToLower(settings["AzureWebJobs."+name+".Disabled"]) {
	case "true", "1":
		f.disabled = true
	}
	out := 0
	for _, b := range text.Bindings {
		if !bindingName.MatchString(b.Name) {
			wrong.add("%s: %q is no name of a binding", name, b.Name)
		}
		if b.Type == "http" && b.Direction == "out" {
			out++
			continue
		}
		if f.trigger != nil || b.Direction != "in" {
			wrong.add("%s: this host takes one trigger, and with an httpTrigger one http output, not %s (%s)", name, b.Type, b.Direction)
			return
		}
		f.binding = b.Name
		f.trigger = readTrigger(name, b, text.Retry, settings, wrong)
	}
	if _, ok := f.trigger.(route); f.trigger == nil || ok != (out == 1) {
		wrong.add("%s: has a trigger %T and %d http outputs", name, f.trigger, out)
		return
	}
	a.functions = append(a.functions, f)
}

// alone reports whether a folder is a function's. Any other file in it would become its scriptFile, and a function that
// lies deeper is not found.
func alone(folder string, wrong *problems) bool {
	if _, err := os.Stat(filepath.Join(folder, "function.json")); err != nil {
		_ = filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.Name() == "function.json" {
				wrong.add("%s is not found: its folder has to be a direct child of the root", path)
			}
			return err
		})
		return false
	}
	if entries, err := os.ReadDir(folder); err != nil || len(entries) != 1 {
		wrong.add("%s has to hold function.json and nothing else: %v", folder, entries)
	}
	return true
}

func readTrigger(name string, b bindingJSON, retry *retryJSON, settings map[string]string, wrong *problems) any {
	if retry != nil && b.Type != "timerTrigger" {
		wrong.add("%s: a %s has no retry policy", name, b.Type)
	}
	switch b.Type {
	case "timerTrigger":
		return readTimer(name, b, retry, settings, wrong)
	case "queueTrigger":
		return readQueue(name, b, settings, wrong)
	case "blobTrigger":
		return readBlob(name, b, settings, wrong)
	case "httpTrigger":
		return readRoute(name, b, wrong)
	}
	wrong.add("%s: this host does not know %q", name, b.Type)
	return nil
}

// connection is the connection string of a binding.
func (wrong *problems) connection(function string, b bindingJSON, settings map[string]string) (string, bool) {
	for _, name := range []string{"AzureWebJobs" + b.Connection, b.Connection} {
		if text, ok := settings[name]; ok {
			return text, true
		}
	}
	wrong.add("%s: the connection %q is no setting", function, b.Connection)
	return "", false
}

// resolved is the value of a setting for %NAME%, and text otherwise.
func (wrong *problems) resolved(function, text string, settings map[string]string) string {
	m := settingName.FindStringSubmatch(text)
	if m == nil {
		return text
	}
	value, ok := settings[m[1]]
	if !ok {
		wrong.add("%s: the setting %s is not there", function, m[1])
	}
	return value
}

var timeSpan = regexp.MustCompile(`^(?:(\d+)\.)?(\d+):([0-5]\d):([0-5]\d(?:\.\d+)?)$`)

// span reads a TimeSpan: [d.]hh:mm:ss[.fff], or -1 for no end.
func (wrong *problems) span(name, text string, absent time.Duration) time.Duration {
	if text == "" {
		return absent
	}
	if text == "-1" {
		return 1 << 62
	}
	m := timeSpan.FindStringSubmatch(text)
	if m == nil {
		wrong.add("%s: %q is no time span: write hh:mm:ss", name, text)
		return absent
	}
	var total time.Duration
	for i, unit := range []time.Duration{24 * time.Hour, time.Hour, time.Minute, time.Second} {
		var n float64
		fmt.Sscan(m[i+1], &n)
		total += time.Duration(n * float64(unit))
	}
	return total
}
