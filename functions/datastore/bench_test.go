package datastore_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"carillon/functions/datastore"
	"carillon/shared/queue"
	"carillon/shared/schedule"
	"carillon/shared/source"
	"carillon/shared/source/azblob"
	"carillon/shared/source/azblob/listdouble"
	"carillon/shared/store"
)

// bare is the function over a store in memory and one datastore.
func bare(d source.Datastore, now func() time.Time) *datastore.Function {
	return &datastore.Function{
		DB: store.New(store.NewMem()), Submit: queue.NewMem(), Marks: queue.NewMem(), Now: now, Log: discard,
		Datastores: source.NewDatastores(func() ([]source.Datastore, error) { return []source.Datastore{d}, nil }, nil),
	}
}

func add(ctx context.Context, db *store.DB, name string, watch schedule.Watch, at time.Time) error {
	d := schedule.Definition{Name: name, Experiment: "e", Trigger: schedule.Trigger{Watch: &watch}, Status: schedule.Active}
	d.Trigger.Kind = schedule.KindDatastore
	return db.Create(ctx, schedule.New(d, store.NewScheduleID(name), "me", at))
}

// Events one after the other, each for one of ten thousand schedules.
func BenchmarkEvents(b *testing.B) {
	const schedules, events = 10_000, 10_000
	for _, mode := range []schedule.Mode{schedule.ModeEach, schedule.ModeBatch} {
		b.Run(string(mode), func(b *testing.B) {
			files := &source.Mem{}
			f := bare(source.Datastore{Name: "hot", Account: "acme", Container: "hot", Events: true, Source: files}, time.Now)
			for i := range schedules {
				watch := schedule.Watch{Folder: schedule.Folder{Datastore: "hot", Path: fmt.Sprintf("in/%d/data", i)}, Mode: mode}
				if err := add(b.Context(), f.DB, fmt.Sprint("s", i), watch, time.Now()); err != nil {
					b.Fatal(err)
				}
			}
			n := 0
			var spent time.Duration
			for b.Loop() {
				bodies := make([][]byte, events)
				for i := range bodies {
					n++
					file := files.Put(fmt.Sprintf("in/%d/data/%d.csv", n%schedules, n), time.Now().Add(time.Second))
					bodies[i] = blobCreated("hot", file, time.Now().Add(time.Second))
				}
				began := time.Now()
				for _, body := range bodies {
					if err := f.Handle(b.Context(), body); err != nil {
						b.Fatal(err)
					}
				}
				spent += time.Since(began)
			}
			b.ReportMetric(float64(n)/spent.Seconds(), "events/s")
		})
	}
}

// polling is a schedule that looks at the container of a double, which has to be the only one there.
type polling struct {
	f   *datastore.Function
	now time.Time
}

func newPolling(ctx context.Context, url string) (*polling, error) {
	in, err := azblob.Open(azblob.Place{URL: url, Container: "double", Signature: "sig=x"})
	if err != nil {
		return nil, err
	}
	p := &polling{now: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}
	p.f = bare(source.Datastore{Name: "double", Source: in}, func() time.Time { return p.now })
	err = add(ctx, p.f.DB, "s", schedule.Watch{Folder: schedule.Folder{Datastore: "double", Path: "in"}}, p.now)
	p.now = p.now.Add(time.Second)
	return p, err
}

// look looks once, and returns an error unless that was complete and found nothing.
func (p *polling) look(ctx context.Context) error {
	if err := p.f.Handle(ctx, queue.Marks{Look: []string{"s"}}.Bodies()[0]); err != nil {
		return err
	}
	r, err := p.f.DB.Schedule(ctx, "s")
	if err != nil {
		return err
	}
	all, _, err := p.f.DB.Occurrences(ctx, "", 1, func(schedule.Occurrence) bool { return true })
	if state := r.Poll.Value; err != nil || len(all) > 0 || !state.Looked.Equal(p.now) {
		return fmt.Errorf("%+v, occurrences %v, %v", state, all, err)
	}
	p.now = p.now.Add(10 * time.Minute)
	return nil
}

// listAlone lists a container as the SDK does.
func listAlone(ctx context.Context, url string) (files int, err error) {
	c, err := container.NewClientWithNoCredential(url+"/double", nil)
	if err != nil {
		return 0, err
	}
	pager := c.NewListBlobsHierarchyPager("/", &container.ListBlobsHierarchyOptions{Prefix: to.Ptr("in/")})
	for pager.More() {
		page, err := pager.NextPage(ctx)
		if err != nil {
			return files, err
		}
		files += len(page.Segment.BlobItems)
	}
	return files, nil
}

// A look at a hundred thousand blobs of which none has changed, and the listing of them by the SDK alone, in turn. The
// container's double is in this process, too, and takes the same time of both.
func BenchmarkPoll(b *testing.B) {
	const count, rounds = 100_000, 7
	server := httptest.NewServer(&listdouble.Container{Folder: "in", Count: count})
	defer server.Close()
	p, err := newPolling(b.Context(), server.URL)
	if err != nil {
		b.Fatal(err)
	}
	if err := p.look(b.Context()); err != nil { // the first, which remembers all of them
		b.Fatal(err)
	}
	var looks, lists []time.Duration
	for b.Loop() {
		for range rounds {
			began := time.Now()
			if err := p.look(b.Context()); err != nil {
				b.Fatal(err)
			}
			looks = append(looks, time.Since(began))
			began = time.Now()
			if files, err := listAlone(b.Context(), server.URL); err != nil || files != count {
				b.Fatal(files, err)
			}
			lists = append(lists, time.Since(began))
		}
	}
	slices.Sort(looks)
	slices.Sort(lists)
	look, list := looks[len(looks)/2], lists[len(lists)/2]
	b.ReportMetric(float64(look.Milliseconds()), "ms/poll")
	b.ReportMetric(float64(list.Milliseconds()), "ms/SDK")
	b.ReportMetric(look.Seconds()/list.Seconds(), "times-SDK")
}

// The memory that a process takes at most that looks at a folder three times: at a hundred thousand blobs, and at a
// thousand. Each is a process of its own, this test's program again. Its store is in memory, which a real one is not:
// the process of the thousand has as much beside it as the other's store keeps of a hundred thousand.
func BenchmarkPollMemory(b *testing.B) {
	var few, many []int
	for b.Loop() {
		for range 7 {
			few, many = append(few, lookAlone(b, 1_000)), append(many, lookAlone(b, 100_000))
		}
	}
	slices.Sort(few)
	slices.Sort(many)
	less, more := float64(few[len(few)/2]), float64(many[len(many)/2])
	b.ReportMetric(less/1024, "peak-MiB-of-1000")
	b.ReportMetric(more/1024, "peak-MiB-of-100000")
	b.ReportMetric(more/less, "memory-ratio")
}

func lookAlone(b *testing.B, count int) (kib int) {
	server := httptest.NewServer(&listdouble.Container{Folder: "in", Count: count})
	defer server.Close()
	child := exec.Command(os.Args[0], "-test.run", "^TestLookAlone$", "-test.v")
	child.Env = append(os.Environ(), fmt.Sprintf("CARILLON_LOOK=%s %d", server.URL, 100_000-count))
	text, err := child.CombinedOutput()
	for line := range strings.Lines(string(text)) {
		_, _ = fmt.Sscanf(line, "peak %d", &kib)
	}
	if err != nil || kib == 0 {
		b.Fatalf("%v\n%s", err, text)
	}
	return kib
}

// TestLookAlone is the process that BenchmarkPollMemory starts.
func TestLookAlone(t *testing.T) {
	url, others, ok := strings.Cut(os.Getenv("CARILLON_LOOK"), " ")
	if !ok {
		t.Skip("for BenchmarkPollMemory")
	}
	n, _ := strconv.Atoi(others)
	beside := bytes.Repeat([]byte{1}, 8*n) // a digest is eight bytes
	defer runtime.KeepAlive(beside)
	p, err := newPolling(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := p.look(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip(err) // Linux only
	}
	for line := range strings.Lines(string(status)) {
		var kib int
		if n, _ := fmt.Sscanf(line, "VmHWM: %d", &kib); n == 1 {
			fmt.Printf("peak %d\n", kib)
		}
	}
}
