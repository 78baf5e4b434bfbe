package azure

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"carillon/shared/azure/azuritetest"
	"carillon/shared/store"
	"carillon/shared/store/storetest"
)

var names atomic.Int64

// fresh is a name that no other table or queue has.
func fresh() string { return fmt.Sprintf("test%d", names.Add(1)) }

// setting is a lookup that finds AzureWebJobsStorage alone.
func setting(value string) func(string) (string, bool) {
	return settings(map[string]string{connection: value})
}

func settings(values map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, ok := values[name]
		return value, ok
	}
}

func account(t testing.TB, connectionString string) *Account {
	t.Helper()
	a, err := Connect(setting(connectionString))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// scripted is an account whose services are a function.
func scripted(t testing.TB, do func(*http.Request) (*http.Response, error)) *Account {
	t.Helper()
	a, err := connect(setting("UseDevelopmentStorage=true"), transport(do))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func put(sort, value string) store.Op {
	return store.Op{Kind: store.Put, Sort: sort, Value: []byte(value)}
}

func create(sort string) store.Op { return store.Op{Kind: store.Create, Sort: sort} }

func apply(t testing.TB, d store.Driver, ops ...store.Op) {
	t.Helper()
	if err := d.Apply(t.Context(), "p", ops...); err != nil {
		t.Fatal(err)
	}
}

// has reports whether partition p has a row, and fails when it cannot be told.
func has(t testing.TB, d store.Driver, sort string) bool {
	t.Helper()
	_, err := d.Get(t.Context(), "p", sort)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		t.Fatal(err)
	}
	return err == nil
}

// open reports whether an error leaves open what happened: it is none of those that say so.
func open(err error) bool {
	return err != nil && !errors.Is(err, store.ErrConflict) && !errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrLimit)
}

func TestStore(t *testing.T) {
	a := account(t, azuritetest.Start(t).ConnectionString())
	storetest.Run(t, func(t *testing.T) store.Driver { return a.Store(fresh()) })
}

// The first to write create the table, all at once and each in its own process; to read, nobody has to.
func TestFirstUse(t *testing.T) {
	azurite := azuritetest.Start(t)
	table := fresh()
	d := account(t, azurite.ConnectionString()).Store(table)
	if has(t, d, "row") {
		t.Error("a table that is not there has a row")
	}
	if rows, err := d.Scan(t.Context(), "p", "", "z", 10); err != nil || len(rows) != 0 {
		t.Errorf("a table that is not there has rows %v, %v", rows, err)
	}
	if err := d.Apply(t.Context(), "p", store.Op{Kind: store.Delete, Sort: "row"}); !errors.Is(err, store.ErrConflict) {
		t.Errorf("deleted from a table that is not there: %v", err)
	}
	table = fresh()
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			d := account(t, azurite.ConnectionString()).Store(table)
			if err := d.Apply(t.Context(), "p", create(fmt.Sprint("row", n))); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if rows, err := account(t, azurite.ConnectionString()).Store(table).Scan(t.Context(), "p", "", "z", 100); len(rows) != 8 {
		t.Errorf("%d of 8 rows are there, %v", len(rows), err)
	}
}

// One request each once the table is there, however many rows and operations.
func TestRequests(t *testing.T) {
	var requests atomic.Int64
	way := azuritetest.Start(t).Through(t, func(*http.Request) azuritetest.Fault {
		requests.Add(1)
		return azuritetest.Fault{}
	})
	d := account(t, way).Store(fresh())
	apply(t, d, put("row", "x"))
	count := func(what string, want int64, do func() error) {
		requests.Store(0)
		err := do()
		if got := requests.Load(); got != want {
			t.Errorf("%s took %d requests, want %d (%v)", what, got, want, err)
		}
	}
	count("Get", 1, func() error { _, err := d.Get(t.Context(), "p", "row"); return err })
	count("Get of no row", 1, func() error { _, err := d.Get(t.Context(), "p", "none"); return err })
	count("Apply", 1, func() error { return d.Apply(t.Context(), "p", put("row", "y")) })
	count("Apply that conflicts", 1, func() error { return d.Apply(t.Context(), "p", create("row")) })
	count("Apply of no operations", 0, func() error { return d.Apply(t.Context(), "p") })
	for batch := range store.MaxScan / store.MaxOps {
		var ops []store.Op
		for n := range store.MaxOps {
			ops = append(ops, put(fmt.Sprintf("many|%d|%02d", batch, n), "x"))
		}
		count("Apply of 100", 1, func() error { return d.Apply(t.Context(), "p", ops...) })
	}
	count("Scan of 1000", 1, func() error {
		rows, err := d.Scan(t.Context(), "p", "many|", "many||", store.MaxScan)
		if len(rows) != store.MaxScan {
			t.Errorf("%d rows", len(rows))
		}
		return err
	})
	count("Scan of no rows", 1, func() error { _, err := d.Scan(t.Context(), "p", "x", "y", 10); return err })
	count("Scan backwards", 0, func() error { _, err := d.Scan(t.Context(), "p", "y", "x", 10); return err })
	count("Scan of nothing", 0, func() error { _, err := d.Scan(t.Context(), "p", "x", "x", 10); return err })
}

// Whatever the operations, a transaction names one partition on the wire, in addresses and in bodies: the service
// refuses another, Azurite does not.
func TestOnePartition(t *testing.T) {
	var body []byte
	a := scripted(t, func(r *http.Request) (*http.Response, error) {
		body, _ = io.ReadAll(r.Body)
		return text(http.StatusAccepted, transaction(succeeded, succeeded, succeeded, succeeded, succeeded)), nil
	})
	version := store.Version(`W/"datetime'2026-01-01T00%3A00%3A00.0000000Z'"`)
	for _, part := range []string{"p", "shard|7", strings.Repeat("|", store.MaxKey)} {
		err := a.Store("rows").Apply(t.Context(), part,
			store.Op{Kind: store.Create, Sort: "PartitionKey"},
			store.Op{Kind: store.Put, Sort: "put", Value: []byte(`{"PartitionKey":"other"}`)},
			store.Op{Kind: store.Replace, Sort: "replace", Version: version},
			store.Op{Kind: store.Delete, Sort: "delete", Version: version},
			store.Op{Kind: store.Delete, Sort: "any"})
		if err != nil {
			t.Fatal(err)
		}
		named := 0
		for _, match := range regexp.MustCompile(`PartitionKey='([^']*)'|"PartitionKey":"([^"]*)"`).FindAllSubmatch(body, -1) {
			got, err := url.PathUnescape(string(match[1]) + string(match[2]))
			if err != nil || got != part {
				t.Errorf("partition %.20q: the transaction names %.20q", part, got)
			}
			named++
		}
		if want := 5 + 2; named != want { // Put and Replace name it twice
			t.Errorf("partition %.20q is named %d times, want %d:\n%s", part, named, want, body)
		}
		if got := bytes.Count(body, []byte("If-Match: "+string(version))); got != 2 {
			t.Errorf("the version is asked for %d times, want 2", got)
		}
	}
}

// A version is text from outside. What cannot be one is in no row, and is never written into a request.
func TestForeignVersions(t *testing.T) {
	a := scripted(t, func(*http.Request) (*http.Response, error) {
		t.Error("a request was sent")
		return text(http.StatusInternalServerError, ""), nil
	})
	for _, version := range []string{"*", "7", "W/\"a\"\r\nPrefer: x", "W/\"a\"\r\n\r\n--changeset_1", `W/""`, `W/"a" , "b"`, "W/\"\x00\""} {
		for _, kind := range []store.OpKind{store.Replace, store.Delete} {
			var at *store.OpError
			err := a.Store("rows").Apply(t.Context(), "p", put("a", ""), store.Op{Kind: kind, Sort: "row", Version: store.Version(version)})
			if !errors.Is(err, store.ErrConflict) || !errors.As(err, &at) || at.Index != 1 {
				t.Errorf("version %q: %v, want a conflict of operation 1", version, err)
			}
		}
	}
}

// The service ends pages where it likes.
func TestPages(t *testing.T) {
	rows := map[string]string{} // by the key where they begin: the page and what follows
	page := func(begin, next string, keys ...string) {
		all := []map[string]any{}
		for _, key := range keys {
			all = append(all, map[string]any{"odata.etag": `W/"` + key + `"`, "RowKey": key, "Value": []byte(key)})
		}
		text, _ := json.Marshal(map[string]any{"odata.metadata": "x", "value": all})
		rows[begin] = next + " " + string(text)
	}
	page("", "a3", "a1", "a2")
	page("a3", "b") // nothing this time
	page("b", "c", "b1", "b2", "b3")
	page("c", "", "c1")
	var asked []string
	a := scripted(t, func(r *http.Request) (*http.Response, error) {
		q := r.URL.Query()
		asked = append(asked, q.Get("$top"))
		if q.Get("$select") != "RowKey,Value" || q.Get("$filter") != "PartitionKey eq 'p' and RowKey ge 'a' and RowKey lt 'd'" {
			t.Errorf("asked for %v", q)
		}
		if after := len(asked) > 1; after != (q.Get("NextPartitionKey") == "1!p") {
			t.Errorf("page %d: NextPartitionKey is %q", len(asked), q.Get("NextPartitionKey"))
		}
		next, body, _ := strings.Cut(rows[q.Get("NextRowKey")], " ")
		resp := text(http.StatusOK, body)
		if next != "" {
			resp.Header.Set("x-ms-continuation-NextPartitionKey", "1!p")
			resp.Header.Set("x-ms-continuation-NextRowKey", next)
		}
		return resp, nil
	})
	for _, c := range []struct {
		max         int
		rows, asked string
	}{
		{100, "a1 a2 b1 b2 b3 c1", "100 98 98 95"},
		{6, "a1 a2 b1 b2 b3 c1", "6 4 4 1"},
		{4, "a1 a2 b1 b2", "4 2 2"}, // also when a page has more than was asked for
		{2, "a1 a2", "2"},
	} {
		asked = nil
		got, err := a.Store("rows").Scan(t.Context(), "p", "a", "d", c.max)
		if err != nil {
			t.Fatal(err)
		}
		var keys []string
		for _, row := range got {
			keys = append(keys, row.Sort)
		}
		if text := strings.Join(keys, " "); text != c.rows {
			t.Errorf("at most %d: got %s, want %s", c.max, text, c.rows)
		}
		if text := strings.Join(asked, " "); text != c.asked {
			t.Errorf("at most %d: asked for %s, want %s", c.max, text, c.asked)
		}
	}
}

// Rows that are not as they should be come as errors, not as other rows.
func TestOddRows(t *testing.T) {
	for _, row := range []string{
		`{"RowKey":"row","Value":"eA=="}`,
		`{"odata.etag":"W/\"1\"","Value":"eA=="}`,
		`{"odata.etag":"W/\"1\"","RowKey":"row","Value":"not base64"}`,
		`{"odata.etag":"W/\"1\"","RowKey":"row","Value":7}`,
	} {
		a := scripted(t, func(*http.Request) (*http.Response, error) {
			return text(http.StatusOK, `{"value":[`+row+`]}`), nil
		})
		if got, err := a.Store("rows").Get(t.Context(), "p", "row"); !open(err) {
			t.Errorf("%s was read as %v, %v", row, got, err)
		}
	}
}

// What a transaction's answer says about each operation; what says nothing for certain stays open.
func TestAnswers(t *testing.T) {
	ops := []store.Op{create("a"), put("b", ""), {Kind: store.Delete, Sort: "c"}}
	for _, c := range []struct {
		name, body string
		conflict   int // index, -1 open, -2 done
	}{
		{"done", transaction(succeeded, succeeded, succeeded), -2},
		{"exists", transaction(refused("409 Conflict", "EntityAlreadyExists", "0:It exists.")), 0},
		{"gone", transaction(refused("404 Not Found", "ResourceNotFound", "2:It is gone.")), 2},
		{"changed", transaction(refused("412 Precondition Failed", "UpdateConditionNotSatisfied", "1:It has changed.")), 1},
		{"no index", transaction(refused("409 Conflict", "EntityAlreadyExists", "It exists.")), -1},
		{"no such index", transaction(refused("409 Conflict", "EntityAlreadyExists", "3:It exists.")), -1},
		{"another conflict", transaction(refused("409 Conflict", "TableBeingDeleted", "0:Wait.")), -1},
		{"another status", transaction(refused("500 Internal Server Error", "EntityAlreadyExists", "0:What?")), -1},
		{"timed out", transaction(refused("500 Internal Server Error", "OperationTimedOut", "0:It may have been done.")), -1},
		{"too little done", transaction(succeeded, succeeded), -1},
		{"too much done", transaction(succeeded, succeeded, succeeded, succeeded), -1},
		{"nothing said", "", -1},
		{"cut", transaction(succeeded, succeeded, succeeded)[:700], -1},
		{"bad request", transaction(refused("400 Bad Request", "InvalidInput", "0:What?")), -1},
	} {
		calls := 0
		a := scripted(t, func(*http.Request) (*http.Response, error) {
			calls++
			return text(http.StatusAccepted, c.body), nil
		})
		err := a.Store("rows").Apply(t.Context(), "p", ops...)
		var at *store.OpError
		switch {
		case c.conflict == -2 && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.conflict == -1 && !open(err):
			t.Errorf("%s: %v, want an error that leaves it open", c.name, err)
		case c.conflict >= 0 && (!errors.As(err, &at) || at.Index != c.conflict || !errors.Is(err, store.ErrConflict)):
			t.Errorf("%s: %v, want a conflict of operation %d", c.name, err, c.conflict)
		}
		if calls != 1 {
			t.Errorf("%s: %d requests", c.name, calls)
		}
	}
	a := scripted(t, func(*http.Request) (*http.Response, error) { return text(http.StatusNoContent, ""), nil })
	if err := a.Store("rows").Apply(t.Context(), "p", ops...); !open(err) {
		t.Errorf("no content: %v", err)
	}
}

// A signature is in every address, and in no error.
func TestNoSignatureInErrors(t *testing.T) {
	t.Parallel()
	const secret = "SECRETsecretSECRET"
	at := "http://127.0.0.1:1/c" // nobody listens
	a := account(t, "TableEndpoint="+at+";QueueEndpoint="+at+";SharedAccessSignature=sv=1&sig="+secret)
	each(a.Store("rows"), a.Queue("hints"), "row", create("row"), func(what string, err error) {
		if !open(err) || !strings.Contains(err.Error(), "127.0.0.1:1") || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", what, err)
		}
	})
}
