package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"carillon/shared/azure"
	"carillon/shared/azure/azuritetest"
	"carillon/shared/azure/hostdouble"
	"carillon/shared/pipeline"
	"carillon/shared/recur"
	"carillon/shared/schedule"
	"carillon/shared/store"
)

// The staged program as a Functions host starts it: how soon it is ready, and what it holds when nothing happens.
func BenchmarkHandlerStart(b *testing.B) {
	program := filepath.Join(bundle(b), "carillon")
	var ready []time.Duration
	for range 20 {
		ready = append(ready, handler(b, program, func(*exec.Cmd) {}))
	}
	slices.Sort(ready)
	b.ReportMetric(float64(ready[len(ready)/2].Microseconds())/1000, "median-ready-ms")
	handler(b, program, func(cmd *exec.Cmd) {
		time.Sleep(2 * time.Second)
		b.ReportMetric(float64(rssAnon(b, cmd.Process.Pid))/1024, "RssAnon-MiB")
	})
}

// handler starts the program, waits until it answers, and says how long that took.
func handler(b *testing.B, program string, then func(*exec.Cmd)) time.Duration {
	b.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	address := free.Addr().String()
	free.Close()
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), "AzureWebJobsStorage=UseDevelopmentStorage=true", azure.PortVariable+"="+address[strings.LastIndexByte(address, ':')+1:])
	start := time.Now()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	for time.Since(start) < 10*time.Second {
		if answer, err := http.Get("http://" + address + "/"); err == nil {
			answer.Body.Close()
			took := time.Since(start)
			then(cmd)
			return took
		}
		time.Sleep(time.Millisecond)
	}
	b.Fatal("the handler does not answer")
	return 0
}

// A thousand that are due in one minute, on Azurite, by one handler behind the test host.
func BenchmarkThousandOnAzurite(b *testing.B) {
	const n = 1000
	folder, c := bundle(b), newCloud(b)
	var tables, queues atomic.Int64
	settings := c.storage.Through(b, func(r *http.Request) azuritetest.Fault {
		if strings.Contains(r.UserAgent(), "aztables") {
			tables.Add(1)
		} else if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/messages") {
			queues.Add(1)
		}
		return azuritetest.Fault{}
	})
	account, err := azure.Connect(func(name string) (string, bool) { return c.storage.ConnectionString(), name == "AzureWebJobsStorage" })
	if err != nil {
		b.Fatal(err)
	}
	minute := time.Now().Add(35 * time.Second).Truncate(time.Minute).Add(time.Minute)
	fill(b, store.New(account.Store("carillon")), n, time.Now(), func(i int) (string, recur.Spec) {
		return fmt.Sprint("s", i), recur.Spec{Kind: recur.KindRecurrence, Frequency: "day", Interval: 1, StartTime: minute.UTC().Format("2006-01-02T15:04:05")}
	}, schedule.PipelineRef{Kind: "published", ID: train})
	c.settings["AzureWebJobsStorage"] = settings
	h := hostdouble.Start(b, folder, c.settings)
	time.Sleep(time.Until(minute.Add(-20 * time.Second))) // the tick looks ahead to the minute
	tables.Store(0)
	queues.Store(0)
	if err := h.FireTimer("recurrence"); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(tables.Load())/n, "recording-calls/occurrence")
	for len(c.workspace.Runs()) < n && time.Since(minute) < 3*time.Minute {
		time.Sleep(100 * time.Millisecond)
	}
	b.ReportMetric(time.Since(minute).Seconds(), "all-submitted-s")
	b.ReportMetric(float64(tables.Load())/n, "calls/occurrence")
	b.ReportMetric(float64(queues.Load())/n, "sends/occurrence")
	made := map[string]int{}
	for _, run := range c.workspace.Runs() {
		made[run.Tags[pipeline.OccurrenceTag]]++
	}
	b.ReportMetric(float64(len(made)), "runs")
	for occurrence, times := range made {
		if times != 1 {
			b.Errorf("%s was submitted %d times", occurrence, times)
		}
	}
}

// From the call of the blob function to the run that the workspace has, on Azurite; the host's own delay is not in it.
func BenchmarkEventToRun(b *testing.B) {
	const n = 40
	folder, c := bundle(b), newCloud(b)
	c.settings["CARILLON_DATASTORES"] = datastores
	files := c.blobs("inbox")
	s := site{b, hostdouble.Start(b, folder, c.settings)}
	s.must("author", "POST", "/api/schedules", watching("told", `"datastore":"inbox","data_path_parameter_name":"d"`), nil)
	time.Sleep(2 * time.Second) // past the second of the baseline
	var took []time.Duration
	for i := range n {
		name := fmt.Sprintf("f%03d", i)
		files.upload("inbox", name, "1")
		began := time.Now()
		if err := s.host.BlobEvent("blob_inbox", "inbox", name); err != nil {
			b.Fatal(err)
		}
		for c.fired()["inbox/"+name] == 0 && time.Since(began) < 10*time.Second {
			time.Sleep(time.Millisecond)
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[n/2].Milliseconds()), "median-ms-to-run")
	b.ReportMetric(float64(took[n-1].Milliseconds()), "worst-ms-to-run")
}
