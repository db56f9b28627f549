package edge

import (
	"bytes"
	"crypto/rand"
	"html/template"
	"net/http"
	"sync"

	"bolwerk"
)

// Rendered pages are kept, with holes for the little that differs between
// visitors of one block: the name that they typed, and their ticket. Every
// visitor of a campaign then costs a look-up and a write.

type keptPages struct {
	marks [3]string // what stands in the holes while a page is rendered; random, so that nobody can write one

	mu    sync.RWMutex
	pages map[pageKey][]piece
}

// maxKept bounds the kept pages: 512 of 12 kB are 6 MB. A flood of different
// names empties the table; it never grows.
const maxKept = 512

type pageKey struct {
	lang               bolwerk.Lang
	stopped, passed    bool
	term, number       uint32
	since              int64
	named, idn, ticket bool
}

// piece is a part of a page and the hole behind it.
type piece struct {
	text []byte
	hole int // of marks; -1 at the end
}

func newKeptPages() *keptPages {
	return &keptPages{marks: [3]string{rand.Text(), rand.Text(), rand.Text()}, pages: map[pageKey][]piece{}}
}

// write writes the page of a visit; render makes one that is not kept yet.
func (k *keptPages) write(w http.ResponseWriter, s visit, render func(visit) []byte) {
	if s.preview { // it shows the date of today
		w.Write(render(s))
		return
	}
	key := pageKey{lang: s.lang, stopped: s.stopped, passed: s.ok && s.pass, named: s.host != "", idn: s.host != s.aLabels, ticket: s.ticket != ""}
	if s.stopped {
		key.term, key.number, key.since = s.payload.term, s.number, s.from
	}
	k.mu.RLock()
	page, ok := k.pages[key]
	k.mu.RUnlock()
	if !ok {
		page = k.cut(render(k.marked(s)))
		k.mu.Lock()
		if len(k.pages) >= maxKept {
			clear(k.pages)
		}
		k.pages[key] = page
		k.mu.Unlock()
	}
	holes := [3]string{template.HTMLEscapeString(s.host), s.aLabels, s.ticket}
	var b bytes.Buffer
	b.Grow(12 << 10)
	for _, p := range page {
		b.Write(p.text)
		if p.hole >= 0 {
			b.WriteString(holes[p.hole])
		}
	}
	w.Write(b.Bytes()) // the visitor may be gone: nobody to tell
}

// marked is the visit with marks in the place of what differs.
func (k *keptPages) marked(s visit) visit {
	if s.host != "" {
		if s.host == s.aLabels {
			s.aLabels = k.marks[0]
		} else {
			s.aLabels = k.marks[1]
		}
		s.host = k.marks[0]
	}
	if s.ticket != "" {
		s.ticket = k.marks[2]
	}
	return s
}

// cut parts a page at its marks.
func (k *keptPages) cut(page []byte) (out []piece) {
	for {
		at, hole := len(page), -1
		for i, m := range k.marks {
			if j := bytes.Index(page, []byte(m)); j >= 0 && j < at {
				at, hole = j, i
			}
		}
		out = append(out, piece{page[:at], hole})
		if hole < 0 {
			return out
		}
		page = page[at+len(k.marks[hole]):]
	}
}
