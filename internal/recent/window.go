// Package recent knows what happened a short while ago, in memory and within a
// bound: a restart forgets it.
package recent

import (
	"container/list"
	"crypto/sha256"
	"time"
)

// Key is what a value is kept under, a digest: what strangers send is not kept.
type Key = [sha256.Size]byte

// KeyOf is the key of a text.
func KeyOf(s string) Key { return sha256.Sum256([]byte(s)) }

// Window keeps values for some time, at most so many: the oldest goes first.
// It is not safe for concurrent use.
type Window[V any] struct {
	keep  time.Duration
	max   int
	known map[Key]*list.Element
	order list.List // of *kept[V], oldest first
}

type kept[V any] struct {
	key Key
	at  time.Time
	v   V
}

// NewWindow makes a window of at most max values.
func NewWindow[V any](keep time.Duration, max int) Window[V] {
	return Window[V]{keep: keep, max: max, known: map[Key]*list.Element{}}
}

// Find gives what is kept under a key.
func (w *Window[V]) Find(now time.Time, key Key) (V, bool) {
	for e := w.order.Front(); e != nil && now.Sub(e.Value.(*kept[V]).at) >= w.keep; e = w.order.Front() {
		w.Drop(e.Value.(*kept[V]).key)
	}
	if e, ok := w.known[key]; ok {
		return e.Value.(*kept[V]).v, true
	}
	var none V
	return none, false
}

// Set keeps v from now on.
func (w *Window[V]) Set(now time.Time, key Key, v V) {
	w.Drop(key)
	if len(w.known) >= w.max {
		w.Drop(w.order.Front().Value.(*kept[V]).key)
	}
	w.known[key] = w.order.PushBack(&kept[V]{key, now, v})
}

// Drop forgets a key.
func (w *Window[V]) Drop(key Key) {
	if e, ok := w.known[key]; ok {
		w.order.Remove(e)
		delete(w.known, key)
	}
}
