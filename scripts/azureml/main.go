// Command azureml is an Azure Machine Learning workspace to try Carillon with: the services of azuremltest with
// pipelines whose runs take some seconds, the token endpoint of a managed identity, and a way to make all of it fail.
// What it does not prove stands in azuremltest.
package main

import (
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
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
	fill(workspace)
	go live(workspace, *took)
	tell(os.Stdout, workspace, "http://"+listener.Addr().String())
	log.Fatal(http.Serve(listener, handler(workspace)))
}

func handler(workspace *azuremltest.Service) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/identity", azuremltest.Identity())
	mux.HandleFunc("GET /faults", func(w http.ResponseWriter, _ *http.Request) { listFaults(w, workspace) })
	mux.HandleFunc("POST /faults", answer(func(r *http.Request) (string, error) { return putFaults(workspace, r.URL.Query()) }))
	mux.HandleFunc("POST /manners", answer(func(r *http.Request) (string, error) { return behave(workspace, r.Body) }))
	mux.Handle("/", workspace)
	return mux
}

// tell prints, as a script for a shell, what Carillon has to be told, and what there is to try.
func tell(w io.Writer, workspace *azuremltest.Service, url string) {
	for _, setting := range [][2]string{
		{"CARILLON_AZUREML_SUBSCRIPTION", workspace.Subscription}, {"CARILLON_AZUREML_RESOURCE_GROUP", workspace.ResourceGroup},
		{"CARILLON_AZUREML_WORKSPACE", workspace.Workspace}, {"CARILLON_AZUREML_BASE_URL", url},
		{"IDENTITY_ENDPOINT", url + "/identity"}, {"IDENTITY_HEADER", azuremltest.IdentityHeader},
	} {
		fmt.Fprintf(w, "export %s=%s\n", setting[0], setting[1])
	}
	for _, line := range [][2]string{
		{"a published pipeline (v1), takes epochs and data", "{kind: published, id: " + trains + "}"},
		{"another one, whose second step fails", "{kind: published, id: " + fails + "}"},
		{"a pipeline endpoint (v1), of the first", "{kind: pipeline_endpoint, id: " + endpoint + "}"},
		{"a batch endpoint, takes epochs and data", "{kind: batch_endpoint, id: nightly}, or nightly/green"},
		{"a component as a pipeline job, the same", `{kind: pipeline_job, id: "component:train:1"}`},
		{"a job that was made by hand, as a template", `{kind: pipeline_job, id: "job:by-hand"}`},
		{"a data asset, for data of those three", "azureml:heart@latest"},
		{"old schedules of v1 and v2", "carillon import v1; carillon import v2"},
		{"what can fail, by its name", "curl " + url + "/faults"},
		{"too many requests", "curl -X POST '" + url + "/faults?op=make-a-job&status=429&retry_after=7'"},
		{"an answer that is lost; the run is found after six minutes", "curl -X POST '" + url + "/faults?op=call-a-batch-endpoint&drop=true&after_work=true'"},
		{"a request that is lost; Uncertain after six minutes", "curl -X POST '" + url + "/faults?op=call-a-batch-endpoint&drop=true'"},
		{"three broken answers, each after ten seconds", "curl -X POST '" + url + "/faults?op=get-a-job&status=500&hold=10s&count=3'"},
		{"v2 schedules that are long in changing", `curl -d '{"SchedulesLag": 5}' ` + url + "/manners"},
	} {
		fmt.Fprintf(w, "# %-60s %s\n", line[0]+":", line[1])
	}
}
