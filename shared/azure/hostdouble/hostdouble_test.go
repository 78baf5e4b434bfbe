package hostdouble_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue"

	"carillon/shared/azure/azuritetest"
	"carillon/shared/azure/hostdouble"
)

const patience = time.Minute

const hostFile = `{"version": "2.0", "functionTimeout": "00:00:10",
	"customHandler": {"description": {"defaultExecutablePath": "handler"}, "enableProxyingHttpRequest": true},
	"extensionBundle": {"id": "Microsoft.Azure.Functions.ExtensionBundle", "version": "[4.*, 5.0.0)"},
	"extensions": {"queues": {"maxPollingInterval": "00:00:00.1", "maxDequeueCount": 2}}}`

var functionFiles = map[string]string{
	"recurrence": `{"retry": {"strategy": "fixedDelay", "maxRetryCount": 2, "delayInterval": "00:00:00.01"},
		"bindings": [{"type": "timerTrigger", "direction": "in", "name": "tick", "schedule": "%WHEN%"}]}`,
	"submit": `{"bindings": [{"type": "queueTrigger", "direction": "in", "name": "message", "dataType": "binary",
		"queueName": "%SUBMIT%", "connection": "AzureWebJobsStorage"}]}`,
	"follow": `{"bindings": [{"type": "queueTrigger", "direction": "in", "name": "message",
		"queueName": "followed", "connection": "Storage"}]}`,
	"list":    httpFile("schedules/{name?}", "function", "get"),
	"author":  httpFile("schedules/{name?}", "function", "post", "patch", "delete"),
	"operate": httpFile("schedules/{name}/enable", "function", "post"),
	"runs":    httpFile("runs/{*rest}", "function", "get"),
	"studio":  httpFile("studio/{*path}", "anonymous", "get"),
}

func httpFile(route, level string, methods ...string) string {
	text, _ := json.Marshal(map[string]any{"bindings": []map[string]any{
		{"type": "httpTrigger", "direction": "in", "name": "req", "authLevel": level, "methods": methods, "route": route},
		{"type": "http", "direction": "out", "name": "res"},
	}})
	return string(text)
}

// stage makes a bundle of this test binary. Functions of "" are left out.
func stage(t testing.TB, hostFile string, functions map[string]string) string {
	t.Helper()
	folder := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(folder, "handler")); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(folder, "host.json"), hostFile)
	all := maps.Clone(functionFiles)
	maps.Copy(all, functions)
	for name, text := range all {
		if text != "" {
			put(t, filepath.Join(folder, name, "function.json"), text)
		}
	}
	return folder
}

func put(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// settings are those of an app that ticks once a year.
func settings(connection string, more ...string) map[string]string {
	all := map[string]string{"HANDLER": "crude", "AzureWebJobsStorage": connection, "WHEN": "0 0 0 1 1 *", "SUBMIT": "submitted"}
	for i := 0; i+1 < len(more); i += 2 {
		all[more[i]] = more[i+1]
	}
	return all
}

// nowhere is an account that does not answer.
const nowhere = "DefaultEndpointsProtocol=http;AccountName=a;AccountKey=YQ==;QueueEndpoint=http://127.0.0.1:9/a;"

// listener hears what the double complains of.
type listener struct {
	testing.TB
	mu         sync.Mutex
	complaints []string
}

func (l *listener) Errorf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.complaints = append(l.complaints, fmt.Sprintf(format, args...))
}

func (l *listener) heard(part string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(l.complaints, func(c string) bool { return strings.Contains(c, part) })
}

// expect waits for one complaint for each part, and wants no other.
func (l *listener) expect(parts ...string) {
	l.TB.Helper()
	await(l.TB, "complaints", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.complaints) >= len(parts)
	})
	for _, part := range parts {
		if !l.heard(part) {
			l.TB.Errorf("the double does not complain of %q", part)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.complaints) != len(parts) {
		l.TB.Errorf("complaints: %q", l.complaints)
	}
}

// await waits until ok.
func await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// requests are those that the crude handler saw at a path.
func requests(t testing.TB, h *hostdouble.Host, path string) []request {
	t.Helper()
	var all []request
	for _, line := range h.Lines() {
		var r request
		if json.Unmarshal([]byte(line.Text), &r) == nil && r.URI == path {
			all = append(all, r)
		}
	}
	return all
}

// seen waits until the crude handler has written down n requests at a path.
func seen(t testing.TB, h *hostdouble.Host, path string, n int) []request {
	t.Helper()
	await(t, fmt.Sprint(n, " requests at ", path), func() bool { return len(requests(t, h, path)) >= n })
	return requests(t, h, path)
}

func bodyOf[T any](t testing.TB, r request) T {
	t.Helper()
	var call T
	if err := json.Unmarshal([]byte(r.Body), &call); err != nil {
		t.Fatalf("%s: %v", r.Body, err)
	}
	return call
}

type tickCall struct {
	Data struct {
		Tick struct {
			Schedule       struct{ AdjustForDST bool }
			ScheduleStatus struct{ Last, Next, LastUpdated string }
			IsPastDue      bool
		}
	}
	Metadata struct {
		Sys          struct{ MethodName, UtcNow, RandGuid string }
		RetryContext struct {
			RetryCount, MaxRetryCount int
			Exception                 *struct{ Message string }
		}
	}
}

func TestTicks(t *testing.T) {
	h := hostdouble.Start(t, stage(t, hostFile, nil), settings(nowhere))
	if err := h.FireTimer("recurrence"); err != nil {
		t.Fatal(err)
	}
	if err := h.FireTimer("recurrence"); err != nil {
		t.Fatal(err)
	}
	if err := h.FireTimer("submit"); err == nil {
		t.Error("a queue was fired")
	}
	calls := seen(t, h, "/recurrence", 2)
	first, second := bodyOf[tickCall](t, calls[0]), bodyOf[tickCall](t, calls[1])
	status := first.Data.Tick.ScheduleStatus
	year := time.Now().UTC().Year() + 1
	if status.Last != "0001-01-01T00:00:00+00:00" || status.Next != fmt.Sprintf("%d-01-01T00:00:00+00:00", year) {
		t.Errorf("the first tick says %+v", status)
	}
	if last := second.Data.Tick.ScheduleStatus.Last; last == status.Last || !first.Data.Tick.Schedule.AdjustForDST {
		t.Errorf("the second tick says that the last was %s", last)
	}
	if sys := first.Metadata.Sys; sys.MethodName != "recurrence" || sys.RandGuid == "" || !strings.HasSuffix(sys.UtcNow, "Z") {
		t.Errorf("sys is %+v", sys)
	}
	if r := calls[0]; r.Method != "POST" || r.Header.Get("Content-Type") != "application/json; charset=utf-8" || r.Header.Get("X-Azure-Functions-InvocationId") == "" {
		t.Errorf("the call is %+v", r)
	}
	if calls := h.Invocations(); len(calls) != 2 || calls[0].ID == calls[1].ID || calls[0].Status != 200 || calls[0].Err != nil {
		t.Errorf("invocations %+v", calls)
	}
}

func TestTickIsTriedAgain(t *testing.T) {
	h := hostdouble.Start(t, stage(t, hostFile, nil), settings(nowhere, "DO", "500"))
	if err := h.FireTimer("recurrence"); err == nil {
		t.Error("a tick that fails three times succeeds")
	}
	tries := seen(t, h, "/recurrence", 3)
	if calls := h.Invocations(); len(calls) != 3 {
		t.Errorf("%d tries, want 3", len(calls))
	}
	id := tries[0].Header.Get("X-Azure-Functions-InvocationId")
	for n, r := range tries {
		again := bodyOf[tickCall](t, r).Metadata.RetryContext
		if r.Header.Get("X-Azure-Functions-InvocationId") != id || again.RetryCount != n || again.MaxRetryCount != 2 || (again.Exception != nil) != (n > 0) {
			t.Errorf("try %d is %+v with id %s", n, again, r.Header)
		}
	}
}

func TestTicksByTheClock(t *testing.T) {
	folder := stage(t, hostFile, nil)
	h := hostdouble.Start(t, folder, settings(nowhere, "WHEN", "*/1 * * * * *"))
	await(t, "two ticks", func() bool { return len(h.Invocations()) >= 2 })
	h.Stop()
	if calls := h.Invocations(); calls[0].Function != "recurrence" || calls[0].ID == calls[1].ID {
		t.Errorf("two ticks are %+v", calls)
	}
	h = hostdouble.Start(t, folder, settings(nowhere, "WHEN", "*/1 * * * * *", "AzureWebJobs.recurrence.Disabled", "true"))
	if err := h.FireTimer("recurrence"); err != nil || len(h.Invocations()) != 1 {
		t.Errorf("a disabled timer, fired by hand: %v, %v", err, h.Invocations())
	}
}

type messageCall struct {
	Data     struct{ Message string }
	Metadata map[string]any
}

// queues are Azurite's, and what is sent to them.
type queues struct {
	t          testing.TB
	connection string
}

func newQueues(t testing.TB) queues {
	return queues{t, azuritetest.Start(t).ConnectionString()}
}

func (q queues) send(name, text string) {
	q.t.Helper()
	client, err := azqueue.NewQueueClientFromConnectionString(q.connection, name, nil)
	if err != nil {
		q.t.Fatal(err)
	}
	_, _ = client.Create(q.t.Context(), nil)
	if _, err := client.EnqueueMessage(q.t.Context(), text, &azqueue.EnqueueMessageOptions{TimeToLive: to.Ptr(int32(3600))}); err != nil {
		q.t.Fatal(err)
	}
}

// left counts the messages in a queue, hidden ones too.
func (q queues) left(name string) int {
	q.t.Helper()
	client, err := azqueue.NewQueueClientFromConnectionString(q.connection, name, nil)
	if err != nil {
		q.t.Fatal(err)
	}
	answer, err := client.GetProperties(q.t.Context(), nil)
	if err != nil {
		q.t.Fatal(err)
	}
	return int(*answer.ApproximateMessagesCount)
}

// ended waits for n calls of a function and returns them.
func ended(t testing.TB, h *hostdouble.Host, function string, n int) []hostdouble.Invocation {
	t.Helper()
	var calls []hostdouble.Invocation
	await(t, fmt.Sprint(n, " calls of ", function), func() bool {
		calls = slices.DeleteFunc(h.Invocations(), func(i hostdouble.Invocation) bool { return i.Function != function })
		return len(calls) >= n
	})
	return calls
}
