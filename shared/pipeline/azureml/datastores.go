package azureml

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Store is a datastore of the workspace in a container of Azure Storage.
type Store struct {
	Name      string
	Type      string // AzureBlob or AzureDataLakeGen2
	Account   string
	Container string // of Gen2 also called its file system
	Endpoint  string // what the account's hosts end with, such as core.windows.net: those of blobs are <account>.blob.<endpoint>
}

var (
	storageAccount = regexp.MustCompile(`^[a-z0-9]{3,24}$`)
	containerName  = regexp.MustCompile(`^[a-z0-9$][a-z0-9-]{2,62}$`)
)

// Datastores lists the workspace's datastores that are containers of this cloud's storage, by name. Others are left
// out, as are those that are not reached over https: whoever may write a datastore would else say where Carillon's
// tokens go. It says nothing of whether Carillon may look into them.
func (w *Workspace) Datastores(ctx context.Context) ([]Store, error) {
	type entity struct {
		Name       string
		Properties struct {
			DatastoreType, AccountName, ContainerName, Filesystem, Endpoint, Protocol string
		}
	}
	var all []Store
	err := eachListed(ctx, w, w.resource("/datastores"), mostPages, func(e entity) bool {
		p := e.Properties
		s := Store{Name: e.Name, Type: p.DatastoreType, Account: p.AccountName, Container: p.ContainerName, Endpoint: strings.ToLower(p.Endpoint)}
		switch s.Type {
		case "AzureBlob":
		case "AzureDataLakeGen2":
			s.Container = p.Filesystem
		default:
			return true
		}
		if s.Endpoint == "" {
			s.Endpoint = w.storage
		}
		if s.Name != "" && storageAccount.MatchString(s.Account) && containerName.MatchString(s.Container) &&
			s.Endpoint == w.storage && (p.Protocol == "" || strings.EqualFold(p.Protocol, "https")) {
			all = append(all, s)
		}
		return true
	})
	if err != nil {
		return nil, fmt.Errorf("the workspace's datastores: %w", err)
	}
	slices.SortFunc(all, func(a, b Store) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}
