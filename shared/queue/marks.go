package queue

import (
	"encoding/json"
	"fmt"
	"slices"
)

// Marks names schedules that the clock has found to be acted on: Look at their folders, or Close their windows.
type Marks struct {
	Look  []string `json:"look,omitempty"`
	Close []string `json:"close,omitempty"`
}

// marksPerMessage keeps a look that takes long from holding up many others.
const marksPerMessage = 8

// Bodies spreads marks over as few messages as hold them.
func (m Marks) Bodies() (bodies [][]byte) {
	for names := range slices.Chunk(m.Look, marksPerMessage) {
		body, _ := json.Marshal(Marks{Look: names})
		bodies = append(bodies, body)
	}
	for names := range slices.Chunk(m.Close, marksPerMessage) {
		body, _ := json.Marshal(Marks{Close: names})
		bodies = append(bodies, body)
	}
	return bodies
}

// ReadMarks reads a message of marks; false says that the body is something else.
func ReadMarks(body []byte) (m Marks, ok bool, err error) {
	if json.Unmarshal(body, &m) != nil || len(m.Look)+len(m.Close) == 0 {
		return m, false, nil
	}
	if n := len(m.Look) + len(m.Close); n > MaxOccurrences {
		err = fmt.Errorf("a message with %d schedules: %d are allowed", n, MaxOccurrences)
	}
	return m, true, err
}
