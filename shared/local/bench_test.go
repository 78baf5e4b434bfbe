package local

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"carillon/shared/store"
)

// One writer: what a person waits for.
func BenchmarkApplyAlone(b *testing.B) {
	d := openBench(b).Store()
	value := make([]byte, 400)
	for i := 0; b.Loop(); i++ {
		op := store.Op{Kind: store.Create, Sort: fmt.Sprintf("row|%09d", i), Value: value}
		if err := d.Apply(b.Context(), "shard0", op); err != nil {
			b.Fatal(err)
		}
	}
	perSecond(b, "applies/s", 1)
}

// 64 writers share transactions.
func BenchmarkApplyConcurrent(b *testing.B) {
	d := openBench(b).Store()
	value := make([]byte, 400)
	var n atomic.Int64
	b.SetParallelism(64 / runtime.GOMAXPROCS(0))
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := n.Add(1)
			op := store.Op{Kind: store.Create, Sort: fmt.Sprintf("row|%09d", i), Value: value}
			if err := d.Apply(context.Background(), fmt.Sprintf("shard%d", i%8), op); err != nil {
				b.Fatal(err)
			}
		}
	})
	perSecond(b, "applies/s", 1)
}

// What a tick does: eight shards, in each one batch after the other of 16 occurrences with 6 operations.
func BenchmarkRecord(b *testing.B) {
	d := openBench(b).Store()
	const occurrences = 16
	value := make([]byte, 400)
	var batches atomic.Int64
	batches.Store(int64(b.N))
	b.ResetTimer()
	var shards sync.WaitGroup
	for shard := range 8 {
		shards.Go(func() {
			part := fmt.Sprintf("shard%d", shard)
			for batches.Add(-1) >= 0 {
				n := int(batches.Load())*8 + shard
				if err := d.Apply(b.Context(), part, recordOps(n*occurrences, occurrences, value)...); err != nil {
					b.Error(err)
				}
			}
		})
	}
	shards.Wait()
	perSecond(b, "occurrences/s", occurrences)
}

// recordOps makes the operations of a tick: a schedule's rows move, its occurrence's rows are new.
func recordOps(first, n int, value []byte) []store.Op {
	var ops []store.Op
	for i := first; i < first+n; i++ {
		name := fmt.Sprintf("schedule-%06d", i%1000)
		ops = append(ops,
			store.Op{Kind: store.Put, Sort: "sch|" + name + "|due", Value: value},
			store.Op{Kind: store.Put, Sort: "sch|" + name + "|state", Value: value},
			store.Op{Kind: store.Put, Sort: fmt.Sprintf("occ|%s|%012d", name, 1<<40-i), Value: value},
			store.Op{Kind: store.Put, Sort: fmt.Sprintf("log|%012d|%s", 1<<40-i, name), Value: value},
			store.Op{Kind: store.Put, Sort: fmt.Sprintf("wake|%012d|s|%s", i, name), Value: value},
			store.Op{Kind: store.Put, Sort: fmt.Sprintf("wake|%012d|o|%s", i, name), Value: nil})
	}
	return ops
}

// Messages that are due at once, sent one by one from 16 goroutines, each delivered and acknowledged.
func BenchmarkQueue(b *testing.B) {
	q := openBench(b).Queue("submit")
	ctx, cancel := context.WithCancel(b.Context())
	var left atomic.Int64
	left.Store(int64(b.N))
	done := make(chan struct{})
	go func() {
		q.Receive(ctx, 8, func(context.Context, []byte) error {
			if left.Add(-1) == 0 {
				cancel()
			}
			return nil
		})
		close(done)
	}()
	body := []byte(strings.Repeat("x", 200))
	var sent atomic.Int64
	var senders sync.WaitGroup
	for range 16 {
		senders.Go(func() {
			for sent.Add(1) <= int64(b.N) {
				if err := q.Send(context.Background(), body, 0); err != nil {
					b.Error(err)
				}
			}
		})
	}
	senders.Wait()
	<-done
	perSecond(b, "messages/s", 1)
}

// How late 10,000 messages of one second are, the last of them.
func BenchmarkQueueBurst(b *testing.B) {
	const n = 10_000
	for b.Loop() {
		s := openBench(b)
		q := s.Queue("submit")
		due := time.Now().Add(2 * time.Second)
		var senders sync.WaitGroup
		for range 100 {
			senders.Go(func() {
				for range n / 100 {
					if err := q.Send(b.Context(), make([]byte, 200), time.Until(due)); err != nil {
						b.Error(err)
					}
				}
			})
		}
		senders.Wait()
		if time.Now().After(due) {
			b.Fatal("sending took too long")
		}
		ctx, cancel := context.WithCancel(b.Context())
		var got atomic.Int64
		var last time.Duration
		q.Receive(ctx, 8, func(context.Context, []byte) error {
			if got.Add(1) == n {
				last = time.Since(due)
				cancel()
			}
			return nil
		})
		b.ReportMetric(last.Seconds()*1000, "ms-late")
	}
}

// Opening, and a backup, with many rows in the file.
func BenchmarkOpenLarge(b *testing.B) {
	const rows = 100_000
	path := filepath.Join(b.TempDir(), "carillon.db")
	s, err := Open(path)
	if err != nil {
		b.Fatal(err)
	}
	fill(b, s.Store(), rows)
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	for b.Loop() {
		s, err := Open(path)
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	if s, err = Open(path); err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	began := time.Now()
	n, err := s.Backup(io.Discard)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(n)/(1<<20), "file-MiB")
	b.ReportMetric(time.Since(began).Seconds()*1000, "backup-ms")
	if anon := rssAnon(); anon > 0 {
		b.ReportMetric(anon, "RssAnon-MiB")
	}
}

// fill spreads rows of 400 bytes over the shards, in the order of a hash.
func fill(b *testing.B, d store.Driver, rows int) {
	value := make([]byte, 400)
	var shards sync.WaitGroup
	for shard := range 8 {
		shards.Go(func() {
			for first := 0; first < rows/8; first += store.MaxOps {
				var ops []store.Op
				for i := first; i < min(first+store.MaxOps, rows/8); i++ {
					mixed := binary.BigEndian.AppendUint64(nil, uint64(i+1)*0x9E3779B97F4A7C15)
					ops = append(ops, store.Op{Kind: store.Put, Sort: fmt.Sprintf("sch|%x|def", mixed), Value: value})
				}
				if err := d.Apply(b.Context(), fmt.Sprintf("shard%d", shard), ops...); err != nil {
					b.Error(err)
				}
			}
		})
	}
	shards.Wait()
}

func openBench(b *testing.B) *State {
	s, err := Open(filepath.Join(b.TempDir(), "carillon.db"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	return s
}

func perSecond(b *testing.B, unit string, each int) {
	b.ReportMetric(float64(b.N*each)/b.Elapsed().Seconds(), unit)
}

// rssAnon is this process's anonymous memory in MiB, 0 where it cannot be told.
func rssAnon() (mib float64) {
	status, _ := os.ReadFile("/proc/self/status")
	if _, line, ok := strings.Cut(string(status), "RssAnon:"); ok {
		if _, err := fmt.Sscan(line, &mib); err != nil {
			return 0
		}
	}
	return mib / 1024
}
