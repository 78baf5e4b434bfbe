package queue

import (
	"encoding/json"
	"fmt"
)

const (
	// MaxOccurrences is how many occurrences one message may name.
	MaxOccurrences = 50
	// PerMessage is how many Messages puts into one: as many as are submitted at once, by whoever gets it.
	PerMessage = 16
)

// Message names occurrences that are to be submitted or looked at. It carries nothing else: what they are is in
// the store.
type Message struct {
	Occurrences []string `json:"occurrences"`
}

// Messages spreads occurrences over as few messages as hold them, and returns their bodies.
func Messages(occurrences []string) [][]byte {
	var bodies [][]byte
	for len(occurrences) > 0 {
		n := min(len(occurrences), PerMessage)
		body, _ := json.Marshal(Message{Occurrences: occurrences[:n]}) // plain text; below MaxBody, as ids are short
		bodies, occurrences = append(bodies, body), occurrences[n:]
	}
	return bodies
}

// Read reads a message's body.
func Read(body []byte) (Message, error) {
	var m Message
	if err := json.Unmarshal(body, &m); err != nil {
		return m, fmt.Errorf("a message that Carillon did not send: %w", err)
	}
	if len(m.Occurrences) == 0 || len(m.Occurrences) > MaxOccurrences {
		return m, fmt.Errorf("a message with %d occurrences: 1 to %d are allowed", len(m.Occurrences), MaxOccurrences)
	}
	return m, nil
}
