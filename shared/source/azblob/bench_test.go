package azblob

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"carillon/shared/source"
	"carillon/shared/source/azblob/listdouble"
)

// listings are two ways to list the folder "in": as a poll does, and by the SDK alone. Each tells of every page.
var listings = map[string]func(ctx context.Context, url string, page func(files int)) error{
	"poll": func(ctx context.Context, url string, page func(int)) error {
		c, err := Open(Place{URL: url, Container: "double", Signature: "sig=x"})
		if err != nil {
			return err
		}
		for token := ""; ; {
			read, err := c.List(ctx, "in", false, token)
			if err != nil {
				return err
			}
			if page(len(read.Files)); read.Next == "" {
				return nil
			}
			token = read.Next
		}
	},
	"SDK": func(ctx context.Context, url string, page func(int)) error {
		c, err := container.NewClientWithNoCredential(url+"/double", nil)
		if err != nil {
			return err
		}
		pager := c.NewListBlobsHierarchyPager("/", &container.ListBlobsHierarchyOptions{Prefix: to.Ptr("in/")})
		for pager.More() {
			read, err := pager.NextPage(ctx)
			if err != nil {
				return err
			}
			page(len(read.Segment.BlobItems))
		}
		return nil
	},
}

// Listing 100,000 blobs: a poll is to take 1.15 times as long as the SDK alone at most.
func BenchmarkList(b *testing.B) {
	const count = 100_000
	server := httptest.NewServer(&listdouble.Container{Folder: "in", Count: count})
	defer server.Close()
	for _, way := range []string{"poll", "SDK"} {
		b.Run(way, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				files := 0
				if err := listings[way](b.Context(), server.URL, func(n int) { files += n }); err != nil || files != count {
					b.Fatal(files, err)
				}
			}
		})
	}
}

// The memory that a process takes at most, which does nothing but list: that for 100,000 blobs is to be that for 1,000,
// a fifth more or less. Each is a process of its own, this test's program again.
func BenchmarkMemory(b *testing.B) {
	for _, way := range []string{"poll", "SDK"} {
		for _, count := range []int{1_000, 100_000} {
			b.Run(fmt.Sprintf("%s/%d", way, count), func(b *testing.B) {
				server := httptest.NewServer(&listdouble.Container{Folder: "in", Count: count})
				defer server.Close()
				sum := 0
				for b.Loop() {
					child := exec.Command(os.Args[0], "-test.run", "^TestListAlone$", "-test.v")
					child.Env = append(os.Environ(), "CARILLON_LIST="+way+" "+server.URL)
					text, err := child.CombinedOutput()
					var peak, files int
					for line := range strings.Lines(string(text)) {
						_, _ = fmt.Sscanf(line, "peak %d files %d", &peak, &files)
					}
					if err != nil || files != count || peak == 0 {
						b.Fatalf("%v\n%s", err, text)
					}
					sum += peak
				}
				b.ReportMetric(float64(sum)/1024/float64(b.N), "peak-MB")
			})
		}
	}
}

// TestListAlone is the process that BenchmarkMemory starts.
func TestListAlone(t *testing.T) {
	way, url, _ := strings.Cut(os.Getenv("CARILLON_LIST"), " ")
	if way == "" {
		t.Skip("for BenchmarkMemory")
	}
	files := 0
	if err := listings[way](t.Context(), url, func(n int) { files += n }); err != nil {
		t.Fatal(err)
	}
	fmt.Printf("peak %d files %d\n", peak(t), files)
}

// peak is the most memory in KiB that this process has ever had (Linux).
func peak(t *testing.T) (kib int) {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip(err)
	}
	for line := range strings.Lines(string(text)) {
		_, _ = fmt.Sscanf(line, "VmHWM: %d", &kib)
	}
	return kib
}

// The double answers as List and Stat expect it.
func TestDouble(t *testing.T) {
	double := &listdouble.Container{Folder: "in/deep", Count: 12_345, Version: func(i int) int { return i % 3 }}
	server := httptest.NewServer(double)
	defer server.Close()
	c, err := Open(Place{URL: server.URL, Container: "double", Signature: "sig=x"})
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []struct {
		folder    string
		recursive bool
		want      int
	}{{"in/deep", false, double.Count}, {"in/deep", true, double.Count}, {"in", true, double.Count}, {"", true, double.Count},
		{"in", false, 0}, {"", false, 0}, {"other", true, 0}} {
		var files []source.File
		for token, pages := "", 0; pages == 0 || token != ""; pages++ {
			page, err := c.List(t.Context(), q.folder, q.recursive, token)
			if err != nil || len(page.Files) > source.MaxPage {
				t.Fatal(len(page.Files), err)
			}
			files, token = append(files, page.Files...), page.Next
		}
		if len(files) != q.want {
			t.Errorf("%+v: %d files", q, len(files))
		}
		for i, f := range files {
			if f.Path != double.Path(i) || f.ETag != double.ETag(i) {
				t.Fatalf("%d is %+v", i, f)
			}
			if i%1000 == 999 {
				if got, err := c.Stat(t.Context(), f.Path); err != nil || got != f {
					t.Errorf("%+v, %v, want %+v", got, err, f)
				}
			}
		}
	}
	for _, path := range []string{"in/deep/9999999.csv", "in/deep/x.csv", "0000001.csv", "in/deep/1.csv"} {
		if f, err := c.Stat(t.Context(), path); sentinel(err) != source.ErrNotFound {
			t.Errorf("%s: %+v, %v", path, f, err)
		}
	}
	if lists, heads := double.Lists.Load(), double.Heads.Load(); lists != 4*3+3 || heads != 4*12+4 {
		t.Errorf("%d lists, %d heads", lists, heads)
	}
}
