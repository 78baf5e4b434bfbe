// Command azureml is an Azure Machine Learning workspace to try Carillon with: the services of azuremltest with a
// published pipeline and its endpoint, a batch endpoint with two deployments and a component, whose runs take some
// seconds, and the token endpoint of a managed identity. What it does not prove stands in azuremltest.
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
	fill(workspace)
	go live(workspace, *took)
	mux := http.NewServeMux()
	mux.Handle("/identity", azuremltest.Identity())
	mux.Handle("/", workspace)
	url := "http://" + listener.Addr().String()
	for _, setting := range [][2]string{
		{"CARILLON_AZUREML_SUBSCRIPTION", workspace.Subscription}, {"CARILLON_AZUREML_RESOURCE_GROUP", workspace.ResourceGroup},
		{"CARILLON_AZUREML_WORKSPACE", workspace.Workspace}, {"CARILLON_AZUREML_BASE_URL", url},
		{"IDENTITY_ENDPOINT", url + "/identity"}, {"IDENTITY_HEADER", azuremltest.IdentityHeader},
	} {
		fmt.Printf("export %s=%s\n", setting[0], setting[1])
	}
	log.Fatal(http.Serve(listener, mux))
}

// fill puts up what can be run, and prints what schedules write for it.
func fill(workspace *azuremltest.Service) {
	const id, endpoint = "aaaaaaaa-0000-4000-8000-000000000001", "bbbbbbbb-0000-4000-8000-000000000001"
	workspace.Put(azuremltest.Pipeline{ID: id, Name: "train", Description: "Trains a model, as v1 does"})
	workspace.PutEndpoint(azuremltest.Endpoint{ID: endpoint, Name: "train", Description: "Whichever version is the default", Pipeline: id})
	workspace.PutComponent(azuremltest.Component{
		Name: "train", Version: "1", DisplayName: "Train", Description: "Trains a model on a folder of data",
		Inputs: map[string]azuremltest.ComponentInput{
			"data": {Type: "uri_folder", Optional: true}, "epochs": {Type: "integer", Default: "3"},
		},
		Outputs: map[string]string{"model": "uri_folder"},
	})
	workspace.PutBatchEndpoint(azuremltest.BatchEndpoint{
		Name: "nightly", Description: "Trains each night", Default: "blue",
		Deployments: []azuremltest.Deployment{
			{Name: "blue", Component: "train:1"}, {Name: "green", Component: "train:1", Description: "The next one"},
		},
	})
	old(workspace, id)
	fmt.Printf("# a published pipeline (v1):                   {kind: published, id: %s}\n", id)
	fmt.Printf("# its endpoint (v1):                           {kind: pipeline_endpoint, id: %s}\n", endpoint)
	fmt.Println("# a batch endpoint, inputs data and epochs:    {kind: batch_endpoint, id: nightly}, or nightly/blue, nightly/green")
	fmt.Println("# a component, the same, as a pipeline job:    {kind: pipeline_job, id: \"component:train:1\"}")
}

// old puts up schedules of v1 and v2, to be imported. Nothing here makes them fire.
func old(workspace *azuremltest.Service, pipeline string) {
	const id = "55555555-0000-4000-8000-00000000000"
	daily := map[string]any{
		"Frequency": "Day", "Interval": 1, "StartTime": "2024-01-01T00:00:00", "TimeZone": nil,
		"Schedule": map[string]any{"Hours": []int{9}, "Minutes": []int{30}},
	}
	workspace.PutV1Schedule(
		azuremltest.V1Entity(id+"1", "Train daily", pipeline, "train", map[string]any{"Recurrence": daily}),
		azuremltest.V1Entity(id+"2", "Train on new data", pipeline, "train", map[string]any{
			"ScheduleType": "DataStore", "DataStoreTriggerInfo": map[string]any{"DataStoreName": "inbox", "PollingInterval": 5, "PathOnDataStore": "incoming"},
		}),
		azuremltest.V1Entity(id+"3", "Train no more", pipeline, "train", map[string]any{"Recurrence": daily, "EntityStatus": "Disabled"}),
	)
	job := map[string]any{
		"jobType": "Pipeline", "experimentName": "train", "settings": map[string]any{"continue_on_step_failure": false},
		"componentId": "/subscriptions/" + workspace.Subscription + "/resourceGroups/" + workspace.ResourceGroup +
			"/providers/Microsoft.MachineLearningServices/workspaces/" + workspace.Workspace + "/components/train/versions/1",
		"inputs": map[string]any{"epochs": map[string]any{"jobInputType": "literal", "value": "5"}},
	}
	for name, trigger := range map[string]map[string]any{
		"six-hours": {"triggerType": "Recurrence", "frequency": "Hour", "interval": 6, "startTime": "2026-01-01 00:20:00", "timeZone": "UTC"},
		"first-day": {"triggerType": "Cron", "expression": "0 6 1 * *", "timeZone": "W. Europe Standard Time"},
	} {
		workspace.PutV2ScheduleOf(name, "2026-01-01T00:00:00Z", map[string]any{
			"isEnabled": true, "trigger": trigger, "action": map[string]any{"actionType": "CreateJob", "jobDefinition": job},
		})
	}
	fmt.Println("# old schedules of v1 and v2:                   carillon import v1; carillon import v2")
}

// live moves runs on: queued for a second, then running, then completed or canceled.
func live(workspace *azuremltest.Service, took time.Duration) {
	began := map[string]time.Time{}
	for range time.Tick(time.Second) {
		for _, run := range workspace.Runs() {
			switch begun, known := began[run.ID]; {
			case azuremltest.Ended(run.Status):
			case run.Status == "CancelRequested":
				workspace.Move(run.ID, "Canceled", "")
			case !known:
				began[run.ID] = time.Now()
				workspace.Move(run.ID, "Running", "")
			case time.Since(begun) > took:
				end := time.Now()
				workspace.Tell(run.ID, azuremltest.Step{Name: "train", Status: "Completed", Started: begun, Ended: end})
				workspace.Move(run.ID, "Completed", "")
			}
		}
	}
}
