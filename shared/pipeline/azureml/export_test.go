package azureml

import "time"

// Pause sets how long a question waits before it is put again, where the service does not say.
func (w *Workspace) Pause(d time.Duration) { w.pause = d }
