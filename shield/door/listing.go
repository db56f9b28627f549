package door

import (
	"encoding/hex"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"

	"bolwerk"
	copies "bolwerk/internal/copy"
	"bolwerk/shield/figures"
)

// listing is the copy "public" as it is looked up: receipts by the hash of their
// code, blocks by name. Receipts are many (10 million are the aim), so that one
// is 56 bytes without a pointer; texts that repeat are kept once.
type listing struct {
	mu       sync.RWMutex
	head     copies.Head
	ready    bool // a first snapshot has come
	bad      int  // entries that could not be read since the last snapshot
	receipts map[[16]byte]receiptRow
	appeals  map[[16]byte]appealRow // what only appeals have
	texts    texts
	counts   counts
	tallies  map[string]Tally       // by the block's reference
	decided  map[string]AppealState // by the appeal's number
	warnings map[string]warningRow  // by the campaign's number
	figures  *figures.Public        // nil before they are published
	refs     map[string]*blockRow
	names    map[string]*blockRow // the first of a chain of blocks of one name
}

type receiptRow struct {
	version     int64
	at, changed uint32 // seconds since 1970; 0 is none
	number      uint32
	same        uint32 // into counts
	until       uint32 // seconds since 1970, rounded up; 0 is open
	what, about uint32 // into texts: kind and state, name and block
}

// counts keeps a number under each key that receipts name; 0 is no key. It only
// grows; a snapshot starts new ones.
type counts struct {
	reports []uint32
	know    map[uint64]uint32
}

func newCounts() counts { return counts{[]uint32{0}, map[uint64]uint32{}} }

// at is where the count of key is kept; false is no key.
func (c *counts) at(key string) (uint32, bool) {
	k, err := strconv.ParseUint(key, 16, 64)
	if err != nil {
		return 0, false
	}
	i, ok := c.know[k]
	if !ok {
		i = uint32(len(c.reports))
		c.reports = append(c.reports, 0)
		c.know[k] = i
	}
	return i, true
}

type appealRow struct {
	ref string
	due uint32
}

type blockRow struct {
	Listed
	version int64
	from    int64 // microseconds, as in copies.Entry
	until   int64
	next    *blockRow
}

// texts keeps each text once. It only grows; a snapshot starts a new one.
type texts struct {
	all  []string
	know map[string]uint32
}

func newTexts() texts { return texts{[]string{""}, map[string]uint32{"": 0}} }

func (t *texts) keep(s string) uint32 {
	i, ok := t.know[s]
	if !ok {
		i = uint32(len(t.all))
		s = strings.Clone(s)
		t.all = append(t.all, s)
		t.know[s] = i
	}
	return i
}

// pair keeps two texts as one; neither holds a NUL.
func (t *texts) pair(a, b string) uint32 {
	if a == "" && b == "" {
		return 0
	}
	return t.keep(a + "\x00" + b)
}

func (t *texts) unpair(i uint32) (a, b string) {
	a, b, _ = strings.Cut(t.all[i], "\x00")
	return a, b
}

// one is the kept text that equals s.
func (t *texts) one(s string) string { return t.all[t.keep(s)] }

func (l *listing) clear() {
	l.receipts, l.appeals, l.texts = map[[16]byte]receiptRow{}, map[[16]byte]appealRow{}, newTexts()
	l.counts, l.tallies, l.decided = newCounts(), map[string]Tally{}, map[string]AppealState{}
	l.warnings, l.figures = map[string]warningRow{}, nil
	l.refs, l.names = map[string]*blockRow{}, map[string]*blockRow{}
}

// put takes an entry in; false is one that cannot be read, and what stood under
// its id stands on.
func (l *listing) put(e copies.Entry) bool {
	if hash, ok := strings.CutPrefix(e.ID, ReceiptEntry); ok {
		return l.putReceipt(hash, e)
	}
	if ref, ok := strings.CutPrefix(e.ID, BlockEntry); ok {
		return l.putBlock(ref, e)
	}
	if key, ok := strings.CutPrefix(e.ID, CountEntry); ok {
		return l.putCount(key, e)
	}
	if ref, ok := strings.CutPrefix(e.ID, TallyEntry); ok {
		return read(l.tallies, ref, e)
	}
	if ref, ok := strings.CutPrefix(e.ID, AppealEntry); ok {
		return read(l.decided, ref, e)
	}
	if ref, ok := strings.CutPrefix(e.ID, WarningEntry); ok {
		return l.putWarning(ref, e)
	}
	if e.ID == figures.PublicEntry {
		return l.putFigures(e)
	}
	return true // an entry of a kind that a later desk knows
}

func (l *listing) putCount(key string, e copies.Entry) bool {
	i, ok := l.counts.at(key)
	var c Count
	if !ok || !e.Removed && json.Unmarshal(e.Body, &c) != nil {
		return false
	}
	l.counts.reports[i] = uint32(clip(c.Reports))
	return true
}

// read keeps an entry as a value of into. Entries of one id come in order.
func read[V any](into map[string]V, key string, e copies.Entry) bool {
	if e.Removed {
		delete(into, key)
		return true
	}
	var v V
	if json.Unmarshal(e.Body, &v) != nil {
		return false
	}
	into[strings.Clone(key)] = v
	return true
}

func receiptKey(hash string) (k [16]byte, ok bool) {
	if len(hash) != 64 {
		return k, false
	}
	n, err := hex.Decode(k[:], []byte(hash[:32]))
	return k, err == nil && n == 16
}

func (l *listing) putReceipt(hash string, e copies.Entry) bool {
	key, ok := receiptKey(hash)
	if !ok {
		return false
	}
	if old, ok := l.receipts[key]; ok && old.version > e.Version {
		return true // the highest version wins
	}
	if e.Removed {
		delete(l.receipts, key)
		delete(l.appeals, key)
		return true
	}
	var r Receipt
	if json.Unmarshal(e.Body, &r) != nil || r.Kind == "" || r.State == "" {
		return false
	}
	same, _ := l.counts.at(r.Same)
	l.receipts[key] = receiptRow{
		version: e.Version, at: seconds(r.At), changed: seconds(r.Changed), until: upSeconds(e.Until),
		number: uint32(clip(r.Number)), same: same, what: l.texts.pair(r.Kind, r.State), about: l.texts.pair(r.Name, r.Block),
	}
	if r.Ref != "" || !r.Due.IsZero() {
		l.appeals[key] = appealRow{r.Ref, seconds(r.Due)}
	}
	return true
}

func (l *listing) putBlock(ref string, e copies.Entry) bool {
	old := l.refs[ref]
	if old != nil && old.version > e.Version {
		return true
	}
	if e.Removed {
		l.dropBlock(old)
		return true
	}
	b := &blockRow{version: e.Version, from: e.From, until: e.Until}
	if json.Unmarshal(e.Body, &b.Listed) != nil || b.Ref != ref {
		return false
	}
	name, err := bolwerk.ParseDomain(b.Name)
	if err != nil {
		return false
	}
	b.Name = name.String()
	b.Scope, b.Class, b.Ground, b.By = l.texts.one(b.Scope), l.texts.one(b.Class), l.texts.one(b.Ground), l.texts.one(b.By)
	l.dropBlock(old)
	b.next = l.names[b.Name]
	l.refs[ref], l.names[b.Name] = b, b
	return true
}

func (l *listing) dropBlock(b *blockRow) {
	if b == nil {
		return
	}
	delete(l.refs, b.Ref)
	first := l.names[b.Name]
	if first == b {
		if b.next == nil {
			delete(l.names, b.Name)
		} else {
			l.names[b.Name] = b.next
		}
		return
	}
	for ; first != nil; first = first.next {
		if first.next == b {
			first.next = b.next
			return
		}
	}
}

// receipt is what the holder of the code with this hash may see.
func (l *listing) receipt(now time.Time, hash string) (Receipt, bool) {
	key, ok := receiptKey(hash)
	if !ok {
		return Receipt{}, false
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	row, ok := l.receipts[key]
	if !ok || row.until != 0 && now.Unix() >= int64(row.until) {
		return Receipt{}, false
	}
	a := l.appeals[key]
	r := Receipt{At: stamp(row.at), Changed: stamp(row.changed), Ref: a.ref, Due: stamp(a.due)}
	r.Kind, r.State = l.texts.unpair(row.what)
	r.Name, r.Block = l.texts.unpair(row.about)
	// A report that is the fifth says itself that there are five.
	if of := max(l.counts.reports[row.same], row.number); of >= Few {
		r.Number, r.Of = int64(row.number), int64(of)
	}
	if d, ok := l.decided[r.Ref]; ok && r.Kind == "appeal" {
		r.State, r.Changed = d.State, d.Changed
	}
	if r.Block != "" && r.Kind == "report" {
		l.follow(now, &r)
	}
	return r, true
}

// follow tells of the block that a report led to as it stands now.
func (l *listing) follow(now time.Time, r *Receipt) {
	t := l.tallies[r.Block]
	if t.Visits >= Few {
		r.Visits = t.Visits
	}
	b := l.refs[r.Block]
	switch {
	case r.State != "blocked":
	case !t.Ended.IsZero():
		r.State, r.Changed, r.Why = "unblocked", t.Ended, t.Why
	case b != nil && b.until != 0 && now.UnixMicro() >= b.until:
		r.State, r.Changed, r.Why = "unblocked", time.UnixMicro(b.until).UTC(), "expired"
	}
}

// block is the block that catches the name: the most specific one, of two at
// the same name an order, as at the edge.
func (l *listing) block(now time.Time, name bolwerk.Domain) (Listed, bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	us := now.UnixMicro()
	for at := name; !at.IsZero(); at = at.Parent() {
		var best *blockRow
		for b := l.names[at.String()]; b != nil; b = b.next {
			if us < b.from || b.until != 0 && us >= b.until || !bolwerk.Scope(b.Scope).Covers(at, name, b.WWW) {
				continue
			}
			if best == nil || best.Ground != groundOrder && b.Ground == groundOrder {
				best = b
			}
		}
		if best != nil {
			return best.Listed, true
		}
	}
	return Listed{}, false
}

// groundOrder is edge.ByOrder.
const groundOrder = "order"

func seconds(t time.Time) uint32 {
	if t.IsZero() {
		return 0
	}
	return uint32(clip(t.Unix()))
}

func upSeconds(us int64) uint32 {
	if us == 0 {
		return 0
	}
	return uint32(max(1, clip((us+999_999)/1_000_000)))
}

func clip(n int64) int64 { return min(max(n, 0), math.MaxUint32) }

func stamp(s uint32) time.Time {
	if s == 0 {
		return time.Time{}
	}
	return time.Unix(int64(s), 0).UTC()
}

// Reset replaces all that the public may look up. An entry that cannot be read
// is skipped and counted.
func (d *Door) Reset(head copies.Head, seq func(yield func(copies.Entry) bool)) error {
	var next listing
	next.clear()
	seq(func(e copies.Entry) bool {
		if !next.put(e) {
			next.bad++
			d.log.Error("a public entry cannot be read", "entry", entryKind(e.ID), "alarm", true)
		}
		return true
	})
	l := &d.list
	l.mu.Lock()
	defer l.mu.Unlock()
	l.receipts, l.appeals, l.texts, l.refs, l.names = next.receipts, next.appeals, next.texts, next.refs, next.names
	l.counts, l.tallies, l.decided, l.warnings, l.figures = next.counts, next.tallies, next.decided, next.warnings, next.figures
	l.head, l.ready, l.bad = head, true, next.bad
	return nil
}

// Apply takes the changes of one publication: look-ups see all of them or none.
func (d *Door) Apply(head copies.Head, changes []copies.Entry) error {
	l := &d.list
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range changes {
		if !l.put(e) {
			l.bad++
			d.log.Error("a public entry cannot be read", "entry", entryKind(e.ID), "alarm", true)
		}
	}
	l.head, l.ready = head, true
	return nil
}

// entryKind is what a log may say about an entry: a receipt's hash stays out.
func entryKind(id string) string {
	if strings.HasPrefix(id, ReceiptEntry) {
		return "a receipt"
	}
	return id[:min(len(id), 80)]
}
