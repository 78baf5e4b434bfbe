package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/kelseyhightower/envconfig"

	"carillon/functions/facade"
	"carillon/shared/local"
	"carillon/shared/schedule"
	"carillon/shared/source"
)

// config is every setting, with its default. Durations are written 5m, 1h30m or 2d.
type config struct {
	Data      string `envconfig:"DATA" default:"carillon-data"`    // the folder of a plain machine
	Listen    string `envconfig:"LISTEN" default:"127.0.0.1:7071"` // where a plain machine answers HTTP
	AtOnce    string `envconfig:"RUNS_AT_ONCE" default:"4"`        // local runs under way
	Output    string `envconfig:"OUTPUT_LIMIT" default:"10485760"` // bytes that are kept of a local step's output
	Retention string `envconfig:"RETENTION" default:"90d"`         // how long ended runs are kept
	LogLevel  string `envconfig:"LOG_LEVEL" default:"info"`        // debug, info, warn, error
	KeyList   string `envconfig:"KEY_LIST"`                        // keys by right, at least 16 characters
	KeyOp     string `envconfig:"KEY_OPERATE"`                     //
	KeyAuthor string `envconfig:"KEY_AUTHOR"`                      //

	// Datastores are containers of Azure Storage that schedules may watch: name=CONNECTION/container, with commas
	// between. With :events behind it the container's changes are all sent here, and it is not polled.
	Datastores string `envconfig:"DATASTORES"`

	// Facade makes the routes of Azure ML's v1 service answer: GUID=schedule, with commas between; a pipeline's or an
	// endpoint's id, and the schedule that is triggered when it is submitted.
	Facade string `envconfig:"FACADE"`

	// The Azure Machine Learning workspace whose pipelines are run.
	Subscription  string `envconfig:"AZUREML_SUBSCRIPTION"`
	ResourceGroup string `envconfig:"AZUREML_RESOURCE_GROUP"`
	Workspace     string `envconfig:"AZUREML_WORKSPACE"`
	Region        string `envconfig:"AZUREML_REGION"`
	Cloud         string `envconfig:"AZUREML_CLOUD" default:"public"` // or china, government
	ClientID      string `envconfig:"AZUREML_CLIENT_ID"`              // of the user-assigned identity that asks it, see identity
	Compute       string `envconfig:"AZUREML_COMPUTE"`                // for steps that name none: its name, or serverless
	BaseURL       string `envconfig:"AZUREML_BASE_URL"`               // of the v1 service, where it is not the region's public one
	ARMURL        string `envconfig:"AZUREML_ARM_URL"`                // of the resource manager, where it is not the cloud's
	InferenceURL  string `envconfig:"AZUREML_INFERENCE_URL"`          // of batch endpoints, where it is not their own

	named     []source.Named
	facade    map[string]string
	atOnce    int
	output    int64
	retention time.Duration
	level     slog.Level
}

var clientID = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// readConfig reads CARILLON_* and reports everything that is wrong with it at once, without the values of keys.
func readConfig() (config, error) {
	var c config
	if err := envconfig.Process("CARILLON", &c); err != nil {
		return c, err
	}
	var wrong []error
	check := func(name string, err error) {
		if err != nil {
			wrong = append(wrong, fmt.Errorf("CARILLON_%s: %w", name, err))
		}
	}
	var err error
	c.atOnce, err = whole(c.AtOnce, 1, 1000)
	check("RUNS_AT_ONCE", err)
	output, err := whole(c.Output, 1<<10, 1<<30)
	check("OUTPUT_LIMIT", err)
	c.output = int64(output)
	c.retention, err = schedule.ParseDuration(c.Retention)
	check("RETENTION", err)
	if err == nil && c.retention < 30*24*time.Hour {
		check("RETENTION", errors.New("has to be 30d or more: what prevents a second firing is kept so long"))
	}
	if _, ok := clouds[c.Cloud]; !ok {
		check("AZUREML_CLOUD", fmt.Errorf("has to be public, china or government, not %q", c.Cloud))
	}
	if c.ClientID != "" && !clientID.MatchString(c.ClientID) {
		check("AZUREML_CLIENT_ID", fmt.Errorf("has to be the client id of a user-assigned identity, a GUID, not %q", c.ClientID))
	}
	c.named, err = source.ParseNamed(c.Datastores)
	check("DATASTORES", err)
	c.facade, err = facade.Parse(c.Facade)
	check("FACADE", err)
	check("LOG_LEVEL", c.level.UnmarshalText([]byte(c.LogLevel)))
	for name, key := range map[string]string{"KEY_LIST": c.KeyList, "KEY_OPERATE": c.KeyOp, "KEY_AUTHOR": c.KeyAuthor} {
		if key != "" && len(key) < 16 {
			check(name, errors.New("has to have 16 characters or more"))
		}
	}
	return c, errors.Join(wrong...)
}

func whole(text string, least, most int) (int, error) {
	var n int
	if _, err := fmt.Sscanf(text, "%d", &n); err != nil || fmt.Sprint(n) != strings.TrimSpace(text) || n < least || n > most {
		return 0, fmt.Errorf("has to be a whole number from %d to %d, not %q", least, most, text)
	}
	return n, nil
}

func (c config) keys() local.Keys {
	return local.Keys{List: c.KeyList, Operate: c.KeyOp, Author: c.KeyAuthor}
}

func (c config) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: c.level}))
}
