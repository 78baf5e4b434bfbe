package azureml

import (
	"sync"
	"time"
)

// remembered keeps what was read of the workspace. Safe for concurrent use.
type remembered[V any] struct {
	keep time.Duration // how long; 0 for ever

	mu     sync.Mutex
	values map[string]memory[V]
}

type memory[V any] struct {
	value V
	at    time.Time
}

// mostRemembered bounds what is kept: beyond it, all is forgotten.
const mostRemembered = 1000

func (r *remembered[V]) get(key string, now time.Time) (V, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m, ok := r.values[key]
	if !ok || r.keep > 0 && now.Sub(m.at) >= r.keep {
		var none V
		return none, false
	}
	return m.value, true
}

func (r *remembered[V]) put(key string, value V, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.values == nil || len(r.values) >= mostRemembered {
		r.values = map[string]memory[V]{}
	}
	r.values[key] = memory[V]{value, now}
}
