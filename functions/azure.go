package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"carillon/shared/azure"
	"carillon/shared/pipeline"
	"carillon/shared/pipeline/azureml"
	"carillon/shared/store"
)

// onAzure answers a Functions host until it is gone, and returns what the process has to exit with. Nothing is sent
// before the first call: the host waits for the listener.
func onAzure(ctx context.Context, port string) int {
	c, err := readConfig()
	log := azure.NewLog(os.Stdout, os.Stderr, c.level)
	account, accountErr := azure.Connect(os.LookupEnv)
	targets, targetsErr := c.workspace()
	if err := errors.Join(err, accountErr, targetsErr); err != nil {
		log.Error("the settings are wrong", "error", err)
		return azure.ExitFault
	}
	submits, follows := account.Queue("carillon-submit"), account.Queue("carillon-follow")
	p := parts{
		db: store.New(account.Store("carillon")), targets: targets, submits: submits, follows: follows,
		retention: c.retention, log: log, owner: rand.Text(),
		// Handlers of other instances are alive as far as this one knows: only time ends their claims.
		void: func(string) bool { return false },
	}
	h := &azure.Host{Functions: p.functions(), SignedIn: os.Getenv("WEBSITE_AUTH_ENABLED") == "True", Log: log}
	err = h.Serve(ctx, port)
	log.Error("the handler stops", "error", err)
	var stopped *azure.Stopped
	if errors.As(err, &stopped) {
		return stopped.Code
	}
	return azure.ExitFault
}

// workspace is the Azure Machine Learning workspace of the settings; without one there is nothing to run there.
func (c config) workspace() (map[string]pipeline.Target, error) {
	if c.Subscription == "" && c.ResourceGroup == "" && c.Workspace == "" {
		return map[string]pipeline.Target{}, nil
	}
	credential, err := azidentity.NewDefaultAzureCredential(nil)
	if err != nil {
		return nil, fmt.Errorf("an identity for the workspace: %w", err)
	}
	w, err := azureml.Open(azureml.Config{
		Subscription: c.Subscription, ResourceGroup: c.ResourceGroup, Workspace: c.Workspace, Region: c.Region,
		BaseURL: c.BaseURL, Credential: credential,
	})
	if err != nil {
		return nil, fmt.Errorf("CARILLON_AZUREML_*: %w", err)
	}
	return w.Targets(), nil
}
