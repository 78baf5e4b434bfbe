package datastore_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"carillon/shared/schedule"
	"carillon/shared/source"
	"carillon/shared/store"
)

func TestEventsFireOnce(t *testing.T) {
	w := newWorld(t, store.NewMem())
	w.create("s", `{"type":"datastore","datastore":"hot","path_on_datastore":"in","include":["*.csv"]}`)
	w.pass(time.Second)
	first := w.hot.Put("in/a.csv", w.now)
	w.told("hot", first, w.now)
	w.told("hot", first, w.now) // again
	w.want("s Queued in/a.csv")
	w.pass(time.Minute)
	second := w.hot.Put("in/a.csv", w.now)
	w.told("hot", second, w.now)
	w.told("hot", first, w.now.Add(-time.Minute)) // late
	w.want("s Queued in/a.csv", "s Queued in/a.csv")
	for _, path := range []string{"in/a.txt", "in/sub/a.csv", "a.csv", "inn/a.csv"} {
		w.told("hot", w.hot.Put(path, w.now), w.now)
	}
	w.want("s Queued in/a.csv", "s Queued in/a.csv")
}

func TestEventsOutOfOrder(t *testing.T) {
	w := newWorld(t, store.NewMem())
	w.create("s", `{"type":"datastore","datastore":"hot"}`)
	w.pass(time.Second)
	first := w.hot.Put("a", w.now)
	second := w.hot.Put("a", w.now)
	w.told("hot", second, w.now)
	w.told("hot", first, w.now)
	w.told("hot", first, w.now)
	w.want("s Queued a", "s Skipped superseded a")
	third := w.hot.Put("a", w.now)
	fourth := w.hot.Put("a", w.now)
	w.told("hot", third, w.now) // it has been replaced: the newest fires
	w.told("hot", fourth, w.now)
	w.want("s Queued a", "s Queued a", "s Skipped superseded a")
}

func TestBaseline(t *testing.T) {
	w := newWorld(t, store.NewMem())
	old := w.hot.Put("old", w.now.Add(-time.Hour))
	w.inbox.Put("old", w.now.Add(-time.Hour))
	w.create("events", `{"type":"datastore","datastore":"hot"}`)
	w.create("polls", `{"type":"datastore","datastore":"inbox"}`)
	w.create("all", `{"type":"datastore","datastore":"inbox","process_existing":true}`)
	w.create("everything", `{"type":"datastore","datastore":"hot","process_existing":true}`)
	w.inbox.Put("soon", w.now.Add(time.Second)) // after the creation, before the first look
	w.pass(time.Second)
	w.told("hot", old, w.now.Add(-time.Hour))
	w.want("all Queued old", "all Queued soon", "everything Queued old", "polls Queued soon")
	w.inbox.Put("old", w.now.Add(-2*time.Hour)) // edited, whatever its time
	w.pass(6 * time.Minute)
	w.want("all Queued old", "all Queued old", "all Queued soon", "everything Queued old", "polls Queued old", "polls Queued soon")
}

func TestEnablingTakesANewBaseline(t *testing.T) {
	w := newWorld(t, store.NewMem())
	w.create("s", `{"type":"datastore","datastore":"inbox"}`)
	w.pass(time.Second)
	set := func(status schedule.Activity) {
		_, err := w.db.Edit(w.ctx, "s", w.now, func(s schedule.Schedule) (schedule.Schedule, error) {
			d := s.Definition
			d.Status = status
			return s.Revise(d, "me", "", w.now), nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	set(schedule.Disabled)
	f := w.inbox.Put("while-disabled", w.now)
	w.told("inbox", f, w.now)
	w.pass(10 * time.Minute)
	set(schedule.Active)
	w.pass(10 * time.Minute)
	w.told("inbox", f, w.now.Add(-20*time.Minute))
	w.want()
	w.inbox.Put("after", w.now)
	w.pass(6 * time.Minute)
	w.want("s Queued after")
}

func TestPolls(t *testing.T) {
	w := newWorld(t, store.NewMem())
	for i := range 20 {
		w.inbox.Put(fmt.Sprintf("in/%02d", i), w.now.Add(-time.Hour))
	}
	w.create("s", `{"type":"datastore","datastore":"inbox","path_on_datastore":"in","recursive":true}`)
	w.pass(time.Second)
	at := w.now
	w.inbox.Put("in/00a", at)
	w.pass(6 * time.Minute)
	w.want("s Queued in/00a")
	w.inbox.Put("in/00a", at) // again within the same second
	f := w.inbox.Put("in/19", at)
	w.told("inbox", f, w.now) // by an event, too
	w.pass(6 * time.Minute)
	w.want("s Queued in/00a", "s Queued in/00a", "s Queued in/19")
	w.inbox.Rename("in", "gone")
	w.pass(6 * time.Minute)
	w.inbox.Rename("gone", "in/sub") // their times and versions stay
	w.pass(6 * time.Minute)
	if got := len(w.runs()); got != 3+21 {
		t.Errorf("%d runs after a folder was renamed into another, want %d", got, 3+21)
	}
}

// What is edited in pages that a listing has passed, and in those to come, while it is under way, fires once each.
func TestEditsDuringAListing(t *testing.T) {
	w := newWorld(t, store.NewMem())
	for i := range 12 {
		w.inbox.Put(fmt.Sprintf("%02d", i), w.now.Add(-time.Hour))
	}
	w.create("s", `{"type":"datastore","datastore":"inbox"}`)
	w.pass(time.Second)
	pages := 0
	w.inbox.Before = func(op string) error {
		if pages++; op == "List" && pages == 3 {
			w.inbox.Put("00", w.now)
			w.inbox.Put("11", w.now)
			w.inbox.Put("000", w.now)
		}
		return nil
	}
	w.pass(11 * time.Minute)
	w.want("s Queued 00", "s Queued 000", "s Queued 11")
}

func TestBatch(t *testing.T) {
	w := newWorld(t, store.NewMem())
	w.create("s", `{"type":"datastore","datastore":"hot","mode":"batch","polling_interval":2}`,
		`"parameters":{"n":"{{len .Changes}}","which":"{{.Changes}}","from":"{{.Window.Start}}"}`)
	w.pass(time.Second)
	opened := w.now
	for i := range 30 {
		w.told("hot", w.hot.Put(fmt.Sprintf("f%d", i%10), w.now), w.now)
	}
	w.pass(119 * time.Second)
	w.want()
	w.told("hot", w.hot.Put("last", w.now), w.now)
	w.pass(2 * time.Second)
	w.want("s Queued f0+f1+f2+f3+f4+f5+f6+f7+f8+f9+last")
	all, _, _ := w.db.Occurrences(w.ctx, "", 1, func(schedule.Occurrence) bool { return true })
	o := all[0]
	if o.Changes != 11 || o.Parameters["n"] != "11" || !strings.Contains(o.Parameters["which"], "last,") {
		t.Errorf("%d changes, parameters %v", o.Changes, o.Parameters)
	}
	if want := opened.Truncate(time.Second).Add(2 * time.Minute); !o.Nominal.Equal(want) || o.Parameters["from"] != opened.Truncate(time.Second).Format(time.RFC3339) {
		t.Errorf("nominal %v, want %v; from %s", o.Nominal, want, o.Parameters["from"])
	}
	w.told("hot", w.hot.Put("next", w.now), w.now)
	w.pass(3 * time.Minute)
	w.want("s Queued f0+f1+f2+f3+f4+f5+f6+f7+f8+f9+last", "s Queued next")
}

func TestQuietPeriod(t *testing.T) {
	w := newWorld(t, store.NewMem())
	w.create("s", `{"type":"datastore","datastore":"hot","mode":"batch","quiet_period":"20s","max_wait":"2m"}`)
	w.pass(time.Second)
	for i := range 3 { // every 15 seconds: it goes on
		w.told("hot", w.hot.Put(fmt.Sprint("a", i), w.now), w.now)
		w.pass(15 * time.Second)
	}
	w.want()
	w.pass(6 * time.Second)
	w.want("s Queued a0+a1+a2")
	for i := range 12 { // without an end: two minutes at most
		w.told("hot", w.hot.Put(fmt.Sprint("b", i), w.now), w.now)
		w.pass(10 * time.Second)
	}
	w.pass(time.Second)
	w.want("s Queued a0+a1+a2", "s Queued b0+b1+b10+b11+b2+b3+b4+b5+b6+b7+b8+b9")
}

func TestAllOf(t *testing.T) {
	w := newWorld(t, store.NewMem())
	w.create("s", `{"type":"datastore","all_of":[{"datastore":"hot","path_on_datastore":"a"},{"datastore":"hot","path_on_datastore":"b"}],"within":"10m","data_path_parameter_name":"p"}`)
	w.pass(time.Second)
	put := func(path string) { w.told("hot", w.hot.Put(path, w.now), w.now) }
	put("a/1")
	w.pass(11 * time.Minute)
	put("b/1") // a/1 is stale
	w.pass(time.Minute)
	w.want()
	put("a/2")
	w.want("s Queued a/1+a/2+b/1")
	all, _, _ := w.db.Occurrences(w.ctx, "", 1, func(schedule.Occurrence) bool { return true })
	if o := all[0]; o.Changes != 2 || o.Change.Path != "a/2" || o.DataPath.Path != "a/2" {
		t.Errorf("%d changes, completed by %v, data path %v", o.Changes, o.Change, o.DataPath)
	}
	put("b/2")
	put("b/3")
	w.want("s Queued a/1+a/2+b/1")
	put("a/3")
	w.want("s Queued a/1+a/2+b/1", "s Queued a/3+b/2+b/3")
}

func TestGone(t *testing.T) {
	w := newWorld(t, store.NewMem())
	w.create("s", `{"type":"datastore","datastore":"hot"}`)
	w.pass(time.Second)
	f := w.hot.Put("a", w.now)
	w.hot.Delete("a")
	w.told("hot", f, w.now)
	w.told("hot", f, w.now)
	w.want("s Skipped gone a")
	g := w.hot.Put("b", w.now)
	w.told("hot", g, w.now)
	w.hot.Delete("b")
	w.told("hot", g, w.now) // again, after it has fired
	w.want("s Queued b", "s Skipped gone a")
}

func TestPoison(t *testing.T) {
	w := newWorld(t, store.NewMem())
	w.create("s", `{"type":"datastore","datastore":"hot"}`)
	w.pass(time.Second)
	w.hot.Put("a", w.now)
	poison := []byte(`{"Type":"BlobTrigger","FunctionId":"Host.Functions.blob_hot","BlobType":"BlockBlob","ContainerName":"hot","BlobName":"a","ETag":"\"0x1\""}`)
	w.hot.Before = func(string) error { return source.ErrDenied }
	if err := w.function.Handle(w.ctx, poison); err != nil {
		t.Error(err)
	}
	w.want() // it is tried again, for hours
	w.pass(10 * time.Minute)
	w.want()
	for range 24 {
		w.pass(2 * time.Second)
		w.now = w.now.Add(20 * time.Minute)
	}
	w.pass(time.Minute)
	w.want("s Skipped unreadable a")
	w.hot.Before = nil
	w.told("hot", source.File{Path: "a", ETag: "0x1"}, w.now) // that record is not the change
	w.want("s Queued a", "s Skipped unreadable a")
}

func TestDatastoreThatCannotBeRead(t *testing.T) {
	w := newWorld(t, store.NewMem())
	w.create("s", `{"type":"datastore","datastore":"inbox"}`)
	w.create("other", `{"type":"datastore","datastore":"hot"}`)
	w.create("strange", `{"type":"datastore","datastore":"nowhere"}`)
	broken := true
	w.inbox.Before = func(string) error {
		if broken {
			return source.ErrMissing
		}
		return nil
	}
	w.pass(time.Second)
	w.told("hot", w.hot.Put("a", w.now), w.now)
	for name, want := range map[string]string{"s": source.ErrMissing.Error(), "other": "", "strange": source.ErrUnknown.Error()} {
		r, _ := w.db.Schedule(w.ctx, name)
		if got := r.Poll.Value.Problem; !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%s: problem %q, want %q", name, got, want)
		}
	}
	broken = false
	w.inbox.Put("b", w.now)
	w.pass(6 * time.Minute)
	if r, _ := w.db.Schedule(w.ctx, "s"); r.Poll.Value.Problem != "" {
		t.Errorf("still %q", r.Poll.Value.Problem)
	}
	w.want("other Queued a", "s Queued b")
}

func TestNames(t *testing.T) {
	w := newWorld(t, store.NewMem())
	w.create("s", `{"type":"datastore","datastore":"hot","recursive":true,"include":["**/*.csv","*"]}`)
	w.create("p", `{"type":"datastore","datastore":"inbox","recursive":true}`)
	w.pass(time.Second)
	names := []string{
		"with space.csv", "100%.csv", "%20.csv", "a#b.csv", "a?b.csv", "plus+.csv", "größe/数据.csv", "é.csv", "dots...", "a/b/c/d.csv",
		strings.Repeat("n", 1020) + ".csv", "quote'\".csv",
	}
	for _, name := range names {
		w.told("hot", w.hot.Put(name, w.now), w.now)
		w.inbox.Put(name, w.now)
	}
	w.pass(6 * time.Minute)
	all, _, err := w.db.Occurrences(w.ctx, "", 1000, func(schedule.Occurrence) bool { return true })
	if err != nil || len(all) != 2*len(names) {
		t.Errorf("%d runs for %d names in two datastores, %v", len(all), len(names), err)
	}
}

func TestDeletedScheduleLeavesNothing(t *testing.T) {
	driver := store.NewMem()
	w := newWorld(t, driver)
	w.create("s", `{"type":"datastore","datastore":"inbox","mode":"batch"}`)
	w.pass(time.Second)
	w.inbox.Put("a", w.now)
	w.pass(5*time.Minute + time.Second)
	w.inbox.Put("b", w.now)
	w.pass(time.Minute)
	if err := w.db.Delete(w.ctx, "s", "me", w.now, func(schedule.Schedule) error { return nil }); err != nil {
		t.Fatal(err)
	}
	w.pass(time.Minute)
	w.want("s Skipped deleted a")
	for _, part := range []string{"shard0", "shard1", "shard2", "shard3", "shard4", "shard5", "shard6", "shard7", "watch0", "watch1", "watch2", "watch3", "watch4", "watch5", "watch6", "watch7"} {
		rows, err := driver.Scan(w.ctx, part, "", "~", 1000)
		if err != nil {
			rows, err = driver.Scan(w.ctx, part, "", "||||", 1000)
		}
		for _, row := range rows {
			if !strings.HasPrefix(row.Sort, "occ|") && !strings.HasPrefix(row.Sort, "log|") && !strings.HasPrefix(row.Sort, "aud|") && !strings.HasPrefix(row.Sort, "aus|") && !strings.HasPrefix(row.Sort, "chg|") && !strings.HasPrefix(row.Sort, "once|") {
				t.Errorf("row %s is left, %v", row.Sort, err)
			}
		}
	}
}
