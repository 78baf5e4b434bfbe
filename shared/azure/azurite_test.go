package azure

import (
	"fmt"
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

func TestStore(t *testing.T) {
	a := account(t, azuritetest.Start(t).ConnectionString())
	storetest.Run(t, func(t *testing.T) store.Driver { return a.Store(fresh()) })
}
