package main

import "carillon/shared/pipeline/azureml/azuremltest"

// ids of what v1 has.
const (
	trains   = "aaaaaaaa-0000-4000-8000-000000000001"
	fails    = "aaaaaaaa-0000-4000-8000-000000000002"
	endpoint = "bbbbbbbb-0000-4000-8000-000000000001"
	old      = "55555555-0000-4000-8000-00000000000" // of schedules, but for a digit
)

// fill puts up what can be run, and old schedules of it.
func fill(workspace *azuremltest.Service) {
	takes := map[string]string{"epochs": "3", "data": ""}
	workspace.Put(
		azuremltest.Pipeline{ID: trains, Name: "train", Description: "Trains a model on a folder of data", Parameters: takes},
		azuremltest.Pipeline{ID: fails, Name: "train-badly", Description: "Its second step fails", Parameters: takes},
	)
	workspace.PutEndpoint(azuremltest.Endpoint{ID: endpoint, Name: "train", Description: "The pipeline that trains now", Pipeline: trains})
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
	workspace.PutData(
		azuremltest.DataAsset{Name: "heart", Version: "1", Type: "uri_folder", URI: "azureml://datastores/inbox/paths/heart/1/"},
		azuremltest.DataAsset{Name: "heart", Version: "2", Type: "uri_folder", URI: "azureml://datastores/inbox/paths/heart/2/"},
	)
	workspace.AddJob("by-hand", "Completed", job(workspace))
	fillV1(workspace)
	fillV2(workspace)
}

// fillV1 puts up schedules of v1. Nothing here makes them fire, nor those of v2.
func fillV1(workspace *azuremltest.Service) {
	daily := map[string]any{
		"Frequency": "Day", "Interval": 1, "StartTime": "2024-01-01T00:00:00", "TimeZone": nil,
		"Schedule": map[string]any{"Hours": []int{9}, "Minutes": []int{30}},
	}
	workspace.PutV1Schedule(
		azuremltest.V1Entity(old+"1", "Train daily", trains, "train", map[string]any{"Recurrence": daily}),
		azuremltest.V1Entity(old+"2", "Train on new data", trains, "train", map[string]any{
			"ScheduleType": "DataStore", "DataStoreTriggerInfo": map[string]any{
				"DataStoreName": "inbox", "PollingInterval": 5, "PathOnDataStore": "incoming", "DataPathParameterName": "data",
			},
		}),
		azuremltest.V1Entity(old+"3", "Train no more", trains, "train", map[string]any{"Recurrence": daily, "EntityStatus": "Disabled"}),
	)
}

func fillV2(workspace *azuremltest.Service) {
	for name, trigger := range map[string]map[string]any{
		"six-hours": {"triggerType": "Recurrence", "frequency": "Hour", "interval": 6, "startTime": "2026-01-01 00:20:00", "timeZone": "UTC"},
		"first-day": {"triggerType": "Cron", "expression": "0 6 1 * *", "timeZone": "W. Europe Standard Time"},
	} {
		workspace.PutV2ScheduleOf(name, "2026-01-01T00:00:00Z", map[string]any{
			"isEnabled": true, "trigger": trigger, "action": map[string]any{"actionType": "CreateJob", "jobDefinition": job(workspace)},
		})
	}
}

// job is a pipeline job of the component.
func job(workspace *azuremltest.Service) map[string]any {
	return map[string]any{
		"jobType": "Pipeline", "experimentName": "train", "settings": map[string]any{"continue_on_step_failure": false},
		"componentId": "/subscriptions/" + workspace.Subscription + "/resourceGroups/" + workspace.ResourceGroup +
			"/providers/Microsoft.MachineLearningServices/workspaces/" + workspace.Workspace + "/components/train/versions/1",
		"inputs": map[string]any{"epochs": map[string]any{"jobInputType": "literal", "value": "5"}},
	}
}
