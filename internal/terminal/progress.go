package terminal

import (
	"fmt"
	"io"
	"time"
)

// Progress tells on standard error how far a long piece of work is: a line that
// is written over where people look, else a line now and then. Work of less than
// a second or two says nothing.
type Progress struct {
	w           io.Writer
	over        bool // the line is written over
	what        string
	bytes       bool // what is counted are octets, told in MB
	total, done int64
	now         func() time.Time
	began, said time.Time
	shown       bool
}

// How often it is said.
const (
	overEvery  = 200 * time.Millisecond
	linesEvery = 10 * time.Second
	quietFor   = time.Second
)

// Progress begins. total 0 is not known.
func (t *Terminal) Progress(what string, total int64) *Progress {
	p := &Progress{w: t.Err, over: IsTerminal(t.Err), what: what, total: total, now: time.Now}
	p.began = p.now()
	p.said = p.began
	return p
}

// Bytes says that octets are counted.
func (p *Progress) Bytes() *Progress {
	p.bytes = true
	return p
}

// Add notes that n more is done.
func (p *Progress) Add(n int64) {
	p.done += n
	now := p.now()
	every := linesEvery
	if p.over {
		every = overEvery
	}
	if now.Sub(p.said) < every || now.Sub(p.began) < quietFor {
		return
	}
	p.said = now
	p.say(now)
}

// Aside takes the line away, for something else to be said; it comes back.
func (p *Progress) Aside() {
	if p.over && p.shown {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}

// Done ends it; what was said stays. A total that was not reached was a guess, or
// the work was broken off: it is not told again, nor what would be left.
func (p *Progress) Done() {
	if !p.shown {
		return
	}
	if p.done < p.total {
		p.total = 0
	}
	p.say(p.now())
	if p.over {
		fmt.Fprintln(p.w)
	}
}

func (p *Progress) say(now time.Time) {
	p.shown = true
	line := fmt.Sprintf("%s: %s", Escape(p.what), p.count(p.done))
	took := now.Sub(p.began)
	rate := float64(p.done) / max(took.Seconds(), 0.001)
	if p.total > 0 {
		line += fmt.Sprintf(" of %s (%d %%)", p.count(p.total), p.done*100/p.total)
	}
	line += fmt.Sprintf(" · %s/s", p.count(int64(rate)))
	if left := p.total - p.done; left > 0 && rate > 0 {
		line += " · " + (time.Duration(float64(left)/rate) * time.Second).Round(time.Second).String() + " left"
	}
	if p.over {
		fmt.Fprint(p.w, "\r"+line+"\x1b[K")
		return
	}
	fmt.Fprintln(p.w, line)
}

// count writes a number of what is counted.
func (p *Progress) count(n int64) string {
	if !p.bytes {
		return Count(n)
	}
	return fmt.Sprintf("%s.%d MB", Count(n/1e6), n%1e6/1e5)
}
