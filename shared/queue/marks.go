package queue

import (
	"encoding/json"
	"fmt"
	"slices"
)

// Marks is what the clock has found to be acted on: schedules, of which the folders are to be looked at or the windows to
// be closed, and events that were parked.
type Marks struct {
	Look  []string          `json:"look,omitempty"`
	Close []string          `json:"close,omitempty"`
	Again []json.RawMessage `json:"again,omitempty"`
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
	for _, event := range m.Again {
		body, _ := json.Marshal(Marks{Again: []json.RawMessage{event}})
		bodies = append(bodies, body)
	}
	return bodies
}

// ReadMarks reads a message of marks; false says that the body is something else.
func ReadMarks(body []byte) (m Marks, ok bool, err error) {
	if json.Unmarshal(body, &m) != nil || len(m.Look)+len(m.Close)+len(m.Again) == 0 {
		return m, false, nil
	}
	if n := len(m.Look) + len(m.Close) + len(m.Again); n > MaxOccurrences {
		err = fmt.Errorf("a message with %d marks: %d are allowed", n, MaxOccurrences)
	}
	return m, true, err
}
