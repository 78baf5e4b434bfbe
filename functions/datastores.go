package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"carillon/functions/api"
	"carillon/functions/submit"
	"carillon/shared/azure"
	"carillon/shared/pipeline/azureml"
	"carillon/shared/source"
	"carillon/shared/source/azblob"
	"carillon/shared/source/dir"
)

// lookEvery is how often folders of a plain machine are looked at. They are watched, too: a look finds what was changed
// while nobody did.
const lookEvery = time.Minute

// datastores are what schedules may watch: the folders below root (of a plain machine; "" for none), the containers of
// CARILLON_DATASTORES, and those that the workspace lists. lookup is os.LookupEnv.
func (c config) datastores(root string, w workspace, lookup func(string) (string, bool)) (*source.Datastores, error) {
	var containers []source.Datastore
	var wrong []error
	for _, n := range c.named {
		d, err := container(n, lookup)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("CARILLON_DATASTORES: %s: %w", n.Name, err))
		}
		containers = append(containers, d)
	}
	if err := errors.Join(wrong...); err != nil {
		return nil, err
	}
	fixed := func() ([]source.Datastore, error) {
		if root == "" {
			return containers, nil
		}
		folders, err := dir.Datastores(root)
		for i := range folders {
			folders[i].Every = lookEvery
		}
		return append(folders, containers...), err
	}
	if w.Workspace == nil {
		return source.NewDatastores(fixed, nil), nil
	}
	return source.NewDatastores(fixed, w.datastores), nil
}

func container(n source.Named, lookup func(string) (string, bool)) (source.Datastore, error) {
	b, err := azure.BlobsOf(lookup, n.Connection)
	if err != nil {
		return source.Datastore{}, err
	}
	at, err := azblob.Open(azblob.Place{
		URL: b.URL, Account: b.Account, Container: n.Container, Identity: b.Identity, Key: b.Key, Signature: b.Signature,
	})
	return source.Datastore{Name: n.Name, Account: b.Account, Container: n.Container, Events: n.Events, Source: at}, err
}

// workspace is the Azure Machine Learning workspace of the settings, and who asks it; the zero value is none.
type workspace struct {
	*azureml.Workspace
	credential azcore.TokenCredential
}

// oldSchedules are those of a workspace whose place others take.
type oldSchedules interface {
	api.Old
	submit.Old
}

// old is the workspace as one with schedules of its own; nil for none.
func (w workspace) old() oldSchedules {
	if w.Workspace == nil {
		return nil
	}
	return w.Workspace
}

// datastores are the containers that the workspace lists. They are polled: nobody says that their events come here.
func (w workspace) datastores(ctx context.Context) ([]source.Datastore, error) {
	listed, err := w.Datastores(ctx)
	if err != nil {
		return nil, err
	}
	var all []source.Datastore
	for _, s := range listed {
		address, err := azblob.Address(s.Account, s.Endpoint)
		if err != nil {
			continue // it cannot be a datastore's
		}
		at, err := azblob.Open(azblob.Place{URL: address, Account: s.Account, Container: s.Container, Identity: w.credential})
		if err != nil {
			continue
		}
		all = append(all, source.Datastore{Name: s.Name, Account: s.Account, Container: s.Container, Source: at})
	}
	return all, nil
}
