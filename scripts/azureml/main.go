// Command azureml is an Azure Machine Learning workspace to try Carillon with: the v1 service of azuremltest, with one
// published pipeline whose runs take some seconds, and the token endpoint of a managed identity. What it does not prove
// stands in azuremltest.
package main

import (
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"time"

	"carillon/shared/pipeline/azureml/azuremltest"
)

func main() {
	address := flag.String("listen", "127.0.0.1:10080", "where it answers")
	took := flag.Duration("run", 5*time.Second, "how long a run takes")
	flag.Parse()
	listener, err := net.Listen("tcp", *address)
	if err != nil {
		log.Fatal(err)
	}
	workspace := azuremltest.New()
	workspace.Complain = func(complaint string) { log.Print("refused: ", complaint) }
	const id = "aaaaaaaa-0000-4000-8000-000000000001"
	workspace.Put(azuremltest.Pipeline{ID: id, Name: "train"})
	go live(workspace, *took)
	mux := http.NewServeMux()
	mux.Handle("/identity", azuremltest.Identity())
	mux.Handle("/", workspace)
	url := "http://" + listener.Addr().String()
	fmt.Printf("# the published pipeline: {kind: published, id: %s}\n", id)
	for _, setting := range [][2]string{
		{"CARILLON_AZUREML_SUBSCRIPTION", workspace.Subscription}, {"CARILLON_AZUREML_RESOURCE_GROUP", workspace.ResourceGroup},
		{"CARILLON_AZUREML_WORKSPACE", workspace.Workspace}, {"CARILLON_AZUREML_BASE_URL", url},
		{"IDENTITY_ENDPOINT", url + "/identity"}, {"IDENTITY_HEADER", azuremltest.IdentityHeader},
	} {
		fmt.Printf("export %s=%s\n", setting[0], setting[1])
	}
	log.Fatal(http.Serve(listener, mux))
}

// live moves runs on: queued for a second, then running, then completed.
func live(workspace *azuremltest.Service, took time.Duration) {
	began := map[string]time.Time{}
	for range time.Tick(time.Second) {
		for _, run := range workspace.Runs() {
			switch begun, known := began[run.ID]; {
			case azuremltest.Ended(run.Status):
			case !known:
				began[run.ID] = time.Now()
				workspace.Move(run.ID, "Running", "")
			case time.Since(begun) > took:
				workspace.Move(run.ID, "Completed", "")
			}
		}
	}
}
