package edge

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"bolwerk"
	"bolwerk/internal/lineview"
)

// View is which blocks a line sees. An order is seen in every view: nobody opts
// out of one.
type View uint8

// The views.
const (
	DefaultView View = iota // the operator's own blocks, and orders
	OptOut                  // orders alone
	OptIn                   // also what is blocked only for those who ask for it (Requested)

	GardenLeaky  // of a line in quarantine: as DefaultView, and see Garden
	GardenStrict // the same, and only what Garden allows resolves
)

var viewNames = [...]string{lineview.Default, lineview.OptOut, lineview.OptIn, lineview.GardenLeaky, lineview.GardenStrict}

// ParseView reads default, opt_out or opt_in.
func ParseView(s string) (View, error) {
	if i := slices.Index(viewNames[:GardenLeaky], s); i >= 0 {
		return View(i), nil
	}
	return 0, bolwerk.Invalid("view %q: want default, opt_out or opt_in", s)
}

// parseTold reads also the views of a garden, which the desk alone gives.
func parseTold(s string) (View, error) {
	if i := slices.Index(viewNames[:], s); i >= 0 {
		return View(i), nil
	}
	return ParseView(s)
}

// String is the view's name.
func (v View) String() string { return viewNames[v] }

// sees says whether a block on that ground holds in the view.
func (v View) sees(g Ground) bool {
	switch g {
	case ByOrder:
		return true
	case Requested:
		return v == OptIn
	}
	return v != OptOut
}

// Session is who has addresses just now, as a lease or the accounting of a session
// tells it. It decides for its prefixes alone, whatever the file of fixed lines says,
// so that nobody inherits the view of who had the address before.
type Session struct {
	// ID tells sessions apart, such as Acct-Session-Id with the access server's name.
	ID string `json:"id"`
	// Prefixes are what the session has: an address, a delegated prefix.
	Prefixes []netip.Prefix `json:"prefixes"`
	View     string         `json:"view"` // default, opt_out, opt_in
	// Until is when it ends unless it is told again, at most a day ahead: the end of the
	// lease, or a few intervals of the interim updates.
	Until time.Time `json:"until"`
}

const (
	maxViewLines      = 1 << 20
	maxSessions       = 1 << 20
	maxSessionTime    = 24 * time.Hour
	maxSessionID      = 256
	maxSessionNets    = 16
	viewsEvery        = 10 * time.Second // how late a changed file is seen
	maxViewsFile      = 128 << 20
	maxViewLineLength = 4096
)

// netKey is a prefix, an IPv4 one mapped into IPv6.
type netKey struct {
	addr [16]byte
	bits uint8
}

func keyOf(p netip.Prefix) netKey {
	bits := p.Bits()
	if p.Addr().Is4() {
		bits += 96
	}
	return netKey{mask(p.Addr().As16(), bits), uint8(bits)}
}

func mask(a [16]byte, bits int) [16]byte {
	clear(a[(bits+7)/8:])
	if r := bits % 8; r != 0 {
		a[bits/8] &= 0xff << (8 - r)
	}
	return a
}

// fixed are the lines of the file; it is never changed.
type fixed struct {
	lengths []uint8 // that occur, the longest first
	rows    map[netKey]row
}

type row struct {
	until int64 // seconds since 1970; 0 is open: it has an owner
	view  View
}

type session struct {
	id    string
	until int64
	view  View
	told  bool // by the copy: it holds only while that is sure
}

// views knows which line has which view. Questions look here only once a
// block has been found for their name.
type views struct {
	fixed atomic.Pointer[fixed] // nil: none
	bad   atomic.Int64          // lines of the file that cannot be read

	some     atomic.Int64 // sessions: questions look here first
	mu       sync.RWMutex
	sessions map[netKey]session
	nets     map[string][]netKey // of each session
	lengths  [129]int            // how many sessions have prefixes of that length
	gardens  atomic.Int64        // prefixes in quarantine: only then every question looks here

	alive   atomic.Int64 // seconds since 1970: until then accounting is known to come in
	suspect atomic.Bool  // the clock jumped
	behind  atomic.Bool  // the clock is behind the desk's
}

// of is the view of who asks from a. The longest prefix decides.
func (v *views) of(a netip.Addr, now int64) View {
	f := v.fixed.Load()
	if f == nil && v.some.Load() == 0 || !a.IsValid() {
		return DefaultView
	}
	ip := a.As16()
	if v.some.Load() > 0 {
		if s, ok := v.session(ip, now); ok {
			return s
		}
	}
	if f == nil {
		return DefaultView
	}
	for _, bits := range f.lengths {
		if r, ok := f.rows[netKey{mask(ip, int(bits)), bits}]; ok {
			if r.until != 0 && r.until <= now {
				return DefaultView // who had it is gone; a wider one is somebody else's
			}
			return r.view
		}
	}
	return DefaultView
}

func (v *views) session(ip [16]byte, now int64) (View, bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	for bits := 128; bits > 0; bits-- {
		if v.lengths[bits] == 0 {
			continue
		}
		if s, ok := v.sessions[netKey{mask(ip, bits), uint8(bits)}]; ok && s.until > now {
			if s.told && v.doubt(now) {
				return DefaultView, true
			}
			return s.view, true
		}
	}
	return 0, false
}

// start takes a session, or what has changed of it.
func (v *views) start(s Session, now time.Time) error {
	parse := ParseView
	if told(s.ID) {
		parse = parseTold
	}
	view, err := parse(s.View)
	if err != nil {
		return err
	}
	switch {
	case s.ID == "" || len(s.ID) > maxSessionID:
		return bolwerk.Invalid("session: id: want 1 to %d octets", maxSessionID)
	case len(s.Prefixes) == 0 || len(s.Prefixes) > maxSessionNets:
		return bolwerk.Invalid("session %s: prefixes: want 1 to %d", s.ID, maxSessionNets)
	case !s.Until.After(now) || s.Until.After(now.Add(maxSessionTime)):
		return bolwerk.Invalid("session %s: until %s: want a time within the next 24 hours; tell it again before it ends", s.ID, s.Until.Format(time.RFC3339))
	}
	for _, p := range s.Prefixes {
		if err := ownLine(p); err != nil {
			return bolwerk.Invalid("session %s: %v", s.ID, err)
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.drop(s.ID)
	if len(v.sessions)+len(s.Prefixes) > maxSessions {
		return bolwerk.ErrFull
	}
	if v.sessions == nil {
		v.sessions, v.nets = map[netKey]session{}, map[string][]netKey{}
	}
	for _, p := range s.Prefixes {
		k := keyOf(p)
		if before, ok := v.sessions[k]; ok && before.id != s.ID {
			// Its end has not been told, or will be told late.
			v.nets[before.id] = slices.DeleteFunc(v.nets[before.id], func(o netKey) bool { return o == k })
			if len(v.nets[before.id]) == 0 {
				delete(v.nets, before.id)
			}
		}
		before, ok := v.sessions[k]
		if !ok {
			v.lengths[k.bits]++
		}
		v.count(before.view, -1)
		v.count(view, 1)
		v.sessions[k] = session{s.ID, s.Until.Unix(), view, told(s.ID)}
		if !slices.Contains(v.nets[s.ID], k) {
			v.nets[s.ID] = append(v.nets[s.ID], k)
		}
	}
	v.some.Store(int64(len(v.sessions)))
	return nil
}

// end forgets a session. The addresses that somebody else has by now stay theirs.
func (v *views) end(id string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.drop(id)
}

func (v *views) drop(id string) {
	for _, k := range v.nets[id] {
		v.count(v.sessions[k].view, -1)
		delete(v.sessions, k)
		v.lengths[k.bits]--
	}
	delete(v.nets, id)
	v.some.Store(int64(len(v.sessions)))
}

// count keeps the number of prefixes in quarantine.
func (v *views) count(view View, n int64) {
	if view >= GardenLeaky {
		v.gardens.Add(n)
	}
}

// sweep forgets the sessions that have ended without a word.
func (v *views) sweep(now int64) {
	if v.some.Load() == 0 {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, s := range v.sessions {
		if s.until <= now {
			v.drop(s.id)
		}
	}
}

// ownLine refuses prefixes behind which subscribers share an address.
func ownLine(p netip.Prefix) error {
	switch {
	case !p.IsValid() || p != p.Masked() || p.Addr().Is4In6():
		return bolwerk.Invalid("prefix %s: want one such as 198.51.100.7/32 or 2001:db8:0:100::/56", p)
	case p.Overlaps(shared):
		return bolwerk.Invalid("prefix %s: behind carrier-grade NAT there are no personal views", p)
	case p.Bits() == 0:
		return bolwerk.Invalid("prefix %s: that is everybody", p)
	}
	return nil
}

// readFixed reads the file of fixed lines:
//
//	PREFIX VIEW OWNER [UNTIL]
//
// # begins a comment. Each has an owner or an end, so that it is clear whose it is: an
// OWNER of - has none and needs an UNTIL (2027-01-31, which is included, or RFC
// 3339). What cannot be read, and a prefix that stands there twice, is left out:
// the default view is always safe. bad are the numbers of such lines.
func readFixed(in io.Reader) (f *fixed, bad []int, err error) {
	f = &fixed{rows: map[netKey]row{}}
	twice := map[netKey]bool{}
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 4096), maxViewLineLength)
	n := 0
	for lines.Scan() {
		n++
		text, _, _ := bytes.Cut(lines.Bytes(), []byte("#"))
		words := strings.Fields(string(text))
		if len(words) == 0 {
			continue
		}
		k, r, err := readLine(words)
		if _, again := f.rows[k]; err == nil && (again || twice[k]) {
			delete(f.rows, k)
			twice[k], err = true, bolwerk.ErrConflict
		}
		if err != nil {
			bad = append(bad, n)
			continue
		}
		if len(f.rows) >= maxViewLines {
			return nil, nil, bolwerk.Invalid("more than %d lines", maxViewLines)
		}
		f.rows[k] = r
	}
	if err := lines.Err(); err != nil {
		return nil, nil, fmt.Errorf("line %d: %w", n+1, err)
	}
	for k := range f.rows {
		if !slices.Contains(f.lengths, k.bits) {
			f.lengths = append(f.lengths, k.bits)
		}
	}
	slices.SortFunc(f.lengths, func(a, b uint8) int { return int(b) - int(a) })
	return f, bad, nil
}

func readLine(words []string) (k netKey, r row, err error) {
	if len(words) < 3 || len(words) > 4 || words[2] == "-" && len(words) == 3 {
		return k, r, bolwerk.ErrInvalid
	}
	p, err := netip.ParsePrefix(words[0])
	if err != nil {
		return k, r, err
	}
	if err := ownLine(p); err != nil {
		return k, r, err
	}
	if r.view, err = ParseView(words[1]); err != nil {
		return k, r, err
	}
	if len(words) == 4 {
		day, err := time.Parse(time.DateOnly, words[3])
		if err == nil {
			day = day.AddDate(0, 0, 1)
		} else if day, err = time.Parse(time.RFC3339, words[3]); err != nil {
			return k, r, err
		}
		r.until = max(day.Unix(), 1)
	}
	return keyOf(p), r, nil
}

// Session takes a session, or what has changed of it. It acts on the next question
// and is forgotten at a restart: the default view holds until it is told again.
func (e *Edge) Session(s Session) error { return e.views.start(s, time.Unix(e.now.Load(), 0)) }

// EndSession forgets a session; the next holder of its addresses starts anew.
func (e *Edge) EndSession(id string) { e.views.end(id) }

// followViews reads the file of fixed lines whenever it has changed, until ctx ends.
func (e *Edge) followViews(ctx context.Context) {
	if e.cfg.ViewsFile == "" {
		return
	}
	tick := time.NewTicker(viewsEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			e.readViews()
		}
	}
}

// readViews reads the file if it is another one than before. One that cannot be
// read leaves what was there.
func (e *Edge) readViews() {
	if e.cfg.ViewsFile == "" {
		return
	}
	stamp, f, bad, err := openViews(e.cfg.ViewsFile, e.viewsStamp)
	if stamp == e.viewsStamp && stamp != "" {
		return // also one that was bad: it is told once
	}
	e.viewsStamp = stamp
	if err != nil {
		e.log.Error("the file of views cannot be read; the views of before stand", "file", e.cfg.ViewsFile, "err", err, "alarm", true)
		return
	}
	if e.views.bad.Store(int64(len(bad))); len(bad) > 0 {
		e.log.Error("lines of the file of views cannot be read, or name a prefix twice; they have the default view", "file", e.cfg.ViewsFile,
			"lines", bad[:min(len(bad), 20)], "count", len(bad), "alarm", true)
	}
	if len(f.rows) == 0 {
		f = nil
	}
	e.views.fixed.Store(f)
}

// openViews reads the file unless it has the stamp that was seen.
func openViews(path, seen string) (stamp string, f *fixed, bad []int, err error) {
	file, err := os.Open(path)
	if err != nil {
		return err.Error(), nil, nil, err
	}
	defer file.Close()
	st, err := file.Stat()
	if err != nil {
		return err.Error(), nil, nil, err
	}
	if stamp = fmt.Sprint(st.Size(), st.ModTime().UnixNano()); stamp == seen {
		return stamp, nil, nil, nil
	}
	if st.Size() > maxViewsFile {
		return stamp, nil, nil, bolwerk.Invalid("%d octets, at most %d", st.Size(), maxViewsFile)
	}
	f, bad, err = readFixed(io.LimitReader(file, maxViewsFile))
	return stamp, f, bad, err
}
