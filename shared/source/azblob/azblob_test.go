package azblob

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"carillon/shared/azure/azuritetest"
	"carillon/shared/source/sourcetest"
)

var number atomic.Int64

// fresh opens a container of its own on Azurite.
func fresh(t *testing.T, a *azuritetest.Azurite) (*Container, Place) {
	t.Helper()
	p := Place{URL: a.Blobs, Account: azuritetest.Account, Container: fmt.Sprintf("inbox-%d", number.Add(1)), Key: azuritetest.Key}
	c, err := Open(p)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.client.Create(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	return c, p
}

func write(t *testing.T, c *container.Client, path, content string, o *blockblob.UploadBufferOptions) {
	t.Helper()
	if _, err := c.NewBlockBlobClient(path).UploadBuffer(t.Context(), []byte(content), o); err != nil {
		t.Fatalf("write %q: %v", path, err)
	}
}

func TestConformance(t *testing.T) {
	azurite := azuritetest.Start(t)
	sourcetest.Run(t, func(t *testing.T) sourcetest.Env {
		c, p := fresh(t, azurite)
		c.page = 4
		p.Container = "missing"
		missing, err := Open(p)
		if err != nil {
			t.Fatal(err)
		}
		return sourcetest.Env{
			Source: c,
			Page:   4,
			Write:  func(t *testing.T, path, content string) { write(t, c.client, path, content, nil) },
			Remove: func(t *testing.T, path string) {
				if _, err := c.client.NewBlobClient(path).Delete(t.Context(), nil); err != nil {
					t.Fatal(err)
				}
			},
			Folder: func(t *testing.T, path string) {
				write(t, c.client, path, "", &blockblob.UploadBufferOptions{Metadata: map[string]*string{"hdi_isfolder": to.Ptr("true")}})
			},
			Lacks:   func(path string) bool { return strings.Contains(path, `\`) }, // the service makes it a slash
			Missing: missing,
		}
	})
}
