package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	azcloud "github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
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
	ml, workspaceErr := c.workspace()
	datastores, datastoresErr := c.datastores("", ml, os.LookupEnv)
	if err := errors.Join(err, accountErr, workspaceErr, datastoresErr); err != nil {
		log.Error("the settings are wrong", "error", err)
		return azure.ExitFault
	}
	p := parts{
		db: store.New(account.Store("carillon")), targets: ml.targets(), datastores: datastores, old: ml.old(),
		submits: account.Queue("carillon-submit"), follows: account.Queue("carillon-follow"), marks: account.Queue("carillon-datastore"),
		facade: c.facade, retention: c.retention, log: log, owner: rand.Text(),
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

// clouds are the values of CARILLON_AZUREML_CLOUD.
var clouds = map[string]azcloud.Configuration{
	"public": azcloud.AzurePublic, "china": azcloud.AzureChina, "government": azcloud.AzureGovernment,
}

// workspace opens the Azure Machine Learning workspace of the settings; without one there is nothing to run there.
func (c config) workspace() (workspace, error) {
	if c.Subscription == "" && c.ResourceGroup == "" && c.Workspace == "" {
		return workspace{}, nil
	}
	credential, err := c.identity(policy.ClientOptions{Cloud: clouds[c.Cloud]})
	if err != nil {
		return workspace{}, fmt.Errorf("an identity for the workspace: %w", err)
	}
	w, err := azureml.Open(azureml.Config{
		Subscription: c.Subscription, ResourceGroup: c.ResourceGroup, Workspace: c.Workspace, Region: c.Region,
		BaseURL: c.BaseURL, ARMURL: c.ARMURL, InferenceURL: c.InferenceURL, Compute: c.Compute,
		Cloud: clouds[c.Cloud], Credential: credential,
	})
	if err != nil {
		return workspace{}, fmt.Errorf("CARILLON_AZUREML_*: %w", err)
	}
	return workspace{w, credential}, nil
}

// identity is who asks the workspace, and looks into its datastores: the user-assigned identity of
// CARILLON_AZUREML_CLIENT_ID, or else of AzureWebJobsStorage__clientId, as which the app asks its storage. Without either
// it is whom azidentity's DefaultAzureCredential finds, among them the user-assigned identity of AZURE_CLIENT_ID. On
// Kubernetes AZURE_FEDERATED_TOKEN_FILE, AZURE_TENANT_ID and AZURE_CLIENT_ID are set for a workload's identity; with the
// first of the above it may be another client.
func (c config) identity(options policy.ClientOptions) (azcore.TokenCredential, error) {
	client := cmp.Or(c.ClientID, os.Getenv("AzureWebJobsStorage__clientId"))
	switch {
	case client == "":
		return azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{ClientOptions: options})
	case c.ClientID != "" && os.Getenv("AZURE_FEDERATED_TOKEN_FILE") != "":
		return azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{ClientOptions: options, ClientID: client})
	}
	return azidentity.NewManagedIdentityCredential(&azidentity.ManagedIdentityCredentialOptions{ClientOptions: options, ID: azidentity.ClientID(client)})
}

// targets are what runs the workspace's pipelines, by their kind.
func (w workspace) targets() map[string]pipeline.Target {
	if w.Workspace == nil {
		return map[string]pipeline.Target{}
	}
	return w.Targets()
}
