package metrics

import "sync"

// memo remembers what was made for a key: the series of some labels, which the library would find by hashing and comparing
// every label's text anew. Keys must be of a bounded number, as label values are.
type memo[K comparable, V any] struct {
	mutex sync.RWMutex
	known map[K]V
	make  func(K) V
}

func newMemo[K comparable, V any](make func(K) V) *memo[K, V] {
	return &memo[K, V]{known: map[K]V{}, make: make}
}

func (m *memo[K, V]) get(k K) V {
	m.mutex.RLock()
	v, ok := m.known[k]
	m.mutex.RUnlock()
	if ok {
		return v
	}
	v = m.make(k)
	m.mutex.Lock()
	m.known[k] = v
	m.mutex.Unlock()
	return v
}
