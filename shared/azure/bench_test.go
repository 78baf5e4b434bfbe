package azure

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"

	"carillon/shared/azure/azuritetest"
	"carillon/shared/store"
)

// Each call against Azurite, with the requests that it takes.
func BenchmarkAzurite(b *testing.B) {
	azurite := azuritetest.Start(b)
	var requests atomic.Int64
	a, err := connect(setting(azurite.ConnectionString()), counting{newTransport().(*http.Client), &requests})
	if err != nil {
		b.Fatal(err)
	}
	d, q := a.Store(fresh()), a.Queue(fresh())
	var written int
	batch := func(n int) []store.Op {
		ops := make([]store.Op, n)
		for i := range ops {
			ops[i] = store.Op{Kind: store.Put, Sort: fmt.Sprintf("row%05d", (written+i)%2000), Value: make([]byte, 500)}
		}
		written += n
		return ops
	}
	for range 20 {
		apply(b, d, batch(100)...)
	}
	for _, c := range []struct {
		name string
		do   func() error
	}{
		{"Get", func() error { _, err := d.Get(b.Context(), "p", "row01000"); return err }},
		{"Scan1", func() error { _, err := d.Scan(b.Context(), "p", "row01000", "s", 1); return err }},
		{"Scan1000", func() error { _, err := d.Scan(b.Context(), "p", "", "s", 1000); return err }},
		{"Apply1", func() error { return d.Apply(b.Context(), "p", batch(1)...) }},
		{"Apply100", func() error { return d.Apply(b.Context(), "p", batch(100)...) }},
		{"Send", func() error { return q.Send(b.Context(), []byte("x"), 0) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			if err := c.do(); err != nil { // warm
				b.Fatal(err)
			}
			requests.Store(0)
			b.ReportAllocs()
			for b.Loop() {
				if err := c.do(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(requests.Load())/float64(b.N), "requests/op")
		})
	}
}

type counting struct {
	*http.Client
	requests *atomic.Int64
}

func (c counting) Do(r *http.Request) (*http.Response, error) {
	c.requests.Add(1)
	return c.Client.Do(r)
}
