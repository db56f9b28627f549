package rpz

import (
	"iter"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"bolwerk"
)

const (
	chunkLen    = 4096 // entries that are read under one lock, and allocated at once
	maxPerOwner = 8    // records of one owner: more would not fit an answer over UDP
)

// zone is one zone in memory: an append-only table of entries, each with the
// generation in which it was born and died. A transfer reads the generation at
// which it began, without a copy and without holding commits up; a commit costs
// what it changes.
type zone struct {
	cfg   Zone
	taken []bolwerk.Domain // canary names of all zones: no record may cover them
	names []byte           // MNAME and RNAME in wire form
	keep  int              // records of the journal
	fixed []fixed          // of a catalog, all it has

	mu     sync.RWMutex
	loaded bool
	serial uint32
	epoch  int64
	at     time.Time // of the last change
	gen    uint64
	seen   uint32 // highest serial that we delivered or a secondary showed us

	index   map[bolwerk.Domain]uint32 // name -> living entry
	chunks  []*[chunkLen]entry
	used    uint32
	free    []freed // entries that died, oldest first
	readers map[*snapshot]bool
	records int

	sets  []set
	setOf map[string]uint32
	step1 map[setAdd]uint32 // set and one more record -> set

	journal  []step
	jrecords int
	base     step // where the journal begins; only serial and epoch count
}

// entry is what the zone says about a name and about all names below it.
type entry struct {
	name       bolwerk.Domain
	at, below  uint32 // sets; 0 says nothing
	born, died uint64 // generations; died 0 lives
}

type freed struct {
	entry uint32
	died  uint64
}

// set is a set of data that owners share: a million names have a handful.
type set struct {
	data  []Data // sorted
	tails [][]byte
}

type setAdd struct {
	set uint32
	add Data
}

// step is a change of the past.
type step struct {
	Change
	at time.Time
}

func newZone(cfg Zone, server, contact bolwerk.Domain, taken []bolwerk.Domain, keep int) *zone {
	return &zone{
		cfg: cfg, taken: taken, keep: keep,
		names:   appendName(appendName(nil, server), contact),
		readers: map[*snapshot]bool{},
	}
}

// clear empties the zone. Transfers under way keep what they read.
func (z *zone) clear() {
	z.index = map[bolwerk.Domain]uint32{}
	z.chunks, z.used, z.free, z.records = nil, 0, nil, 0
	z.sets, z.setOf, z.step1 = []set{{}}, map[string]uint32{"": 0}, map[setAdd]uint32{}
	z.journal, z.jrecords = nil, 0
	z.readers = map[*snapshot]bool{}
}

func (z *zone) entry(i uint32) *entry { return &z.chunks[i/chunkLen][i%chunkLen] }

// alloc finds a place for a new entry. A dead one's is taken where no transfer
// still reads it.
func (z *zone) alloc() uint32 {
	if len(z.free) > 0 {
		oldest := uint64(math.MaxUint64)
		for r := range z.readers {
			oldest = min(oldest, r.gen)
		}
		if f := z.free[0]; f.died <= oldest {
			z.free = z.free[1:]
			return f.entry
		}
	}
	if int(z.used) == len(z.chunks)*chunkLen {
		z.chunks = append(z.chunks, new([chunkLen]entry))
	}
	z.used++
	return z.used - 1
}

// put makes the zone say at and below about name from generation gen on.
func (z *zone) put(name bolwerk.Domain, at, below uint32, gen uint64) {
	if i, ok := z.index[name]; ok {
		e := z.entry(i)
		z.records -= len(z.sets[e.at].data) + len(z.sets[e.below].data)
		e.died = gen
		z.free = append(z.free, freed{i, gen})
		delete(z.index, name)
	}
	if at == 0 && below == 0 {
		return
	}
	i := z.alloc()
	*z.entry(i) = entry{name: name, at: at, below: below, born: gen}
	z.index[name] = i
	z.records += len(z.sets[at].data) + len(z.sets[below].data)
}

// intern is the number of the set with these sorted data.
func (z *zone) intern(data []Data) (uint32, error) {
	var b strings.Builder
	for _, d := range data {
		b.WriteString(string(d))
		b.WriteByte('\n')
	}
	if n, ok := z.setOf[b.String()]; ok {
		return n, nil
	}
	s := set{data: data}
	for _, d := range data {
		typ, rdata, err := d.wire()
		if err != nil {
			return 0, err
		}
		s.tails = append(s.tails, tail(typ, seconds(z.cfg.TTL), rdata))
	}
	n := uint32(len(z.sets))
	z.sets = append(z.sets, s)
	z.setOf[b.String()] = n
	return n, nil
}

// with is set n and one more record.
func (z *zone) with(n uint32, r Record) (uint32, error) {
	if m, ok := z.step1[setAdd{n, r.Data}]; ok {
		return m, nil
	}
	old := z.sets[n].data
	i, there := slices.BinarySearch(old, r.Data)
	switch {
	case there:
		return 0, bolwerk.Conflict("zone %s: %s: is there already", z.cfg.Name, r)
	case len(old) > 0 && (r.Data.Type() == "CNAME" || old[0].Type() == "CNAME"):
		return 0, bolwerk.Conflict("zone %s: %s: a CNAME stands alone, and %s is there (RFC 1034 section 3.6.2)", z.cfg.Name, r, old[0])
	case len(old) == maxPerOwner:
		return 0, bolwerk.Invalid("zone %s: %s: has %d records already", z.cfg.Name, r.owner(), maxPerOwner)
	}
	m, err := z.intern(slices.Insert(slices.Clone(old), i, r.Data))
	if err == nil {
		z.step1[setAdd{n, r.Data}] = m
	}
	return m, err
}

// without is set n less one record.
func (z *zone) without(n uint32, r Record) (uint32, error) {
	old := z.sets[n].data
	i, there := slices.BinarySearch(old, r.Data)
	if !there {
		return 0, bolwerk.NotFound("zone %s: %s: is not there", z.cfg.Name, r)
	}
	return z.intern(slices.Delete(slices.Clone(old), i, i+1))
}

// lint refuses a record that can never be published.
func (z *zone) lint(r Record) error {
	if t := trigger(r.Name); t != "" {
		return bolwerk.Invalid("zone %s: %s: the label %s would make it another trigger", z.cfg.Name, r.owner(), t)
	}
	if !Fits(z.cfg.Name, r.Name) {
		return bolwerk.Invalid("zone %s: name %q and the zone's have more than 255 octets", z.cfg.Name, r.Name)
	}
	for _, c := range z.taken {
		if r.Name.Below(c) || r.Below && c.Below(r.Name) {
			return bolwerk.Invalid("zone %s: %s: covers the canary name %s", z.cfg.Name, r.owner(), c)
		}
	}
	return nil
}

// plan is what a change makes of the names that it touches.
type plan map[bolwerk.Domain][2]uint32

// plan checks the whole change before anything is done.
func (z *zone) plan(c Change) (plan, error) {
	p := plan{}
	for i := range len(c.Del) + len(c.Add) {
		var r Record
		if i < len(c.Del) {
			r = c.Del[i]
		} else {
			r = c.Add[i-len(c.Del)]
		}
		if err := z.lint(r); err != nil {
			return nil, err
		}
		now, ok := p[r.Name]
		if !ok {
			if j, ok := z.index[r.Name]; ok {
				now = [2]uint32{z.entry(j).at, z.entry(j).below}
			}
		}
		side, err := 0, error(nil)
		if r.Below {
			side = 1
		}
		if i < len(c.Del) {
			now[side], err = z.without(now[side], r)
		} else {
			now[side], err = z.with(now[side], r)
		}
		if err != nil {
			return nil, err
		}
		p[r.Name] = now
	}
	return p, nil
}

// commit makes the change, for readers all at once.
func (z *zone) commit(c Change, now time.Time) error {
	z.mu.Lock()
	defer z.mu.Unlock()
	if !z.loaded {
		return bolwerk.NotFound("zone %s: is not loaded", z.cfg.Name)
	}
	if err := z.after(c.Serial); err != nil {
		return err
	}
	p, err := z.plan(c)
	if err != nil {
		return err
	}
	z.gen++
	for name, s := range p {
		z.put(name, s[0], s[1], z.gen)
	}
	z.serial, z.epoch, z.at = c.Serial, c.Epoch, now
	z.raise(c.Serial)
	z.remember(step{c, now})
	return nil
}

// after refuses a serial that is not after the one that stands.
func (z *zone) after(serial uint32) error {
	switch {
	case serial == 0:
		return bolwerk.Invalid("zone %s: serial 0: some secondaries take it for no zone", z.cfg.Name)
	case z.serial != 0 && !Newer(serial, z.serial): // also of a zone that was forgotten meanwhile
		return bolwerk.Conflict("zone %s: serial %d does not come after %d", z.cfg.Name, serial, z.serial)
	}
	return nil
}

// raise notes a serial that somebody has.
func (z *zone) raise(serial uint32) {
	if z.seen == 0 || Newer(serial, z.seen) {
		z.seen = serial
	}
}

// load replaces the zone by records at serial. The journal's last serial is
// serial; of its first change only serial and epoch count.
func (z *zone) load(serial uint32, epoch int64, records iter.Seq2[Record, error], journal []Change, now time.Time) error {
	// Readers go on with the old zone while the new one is read.
	fresh := &zone{cfg: z.cfg, taken: z.taken, names: z.names, keep: z.keep}
	fresh.clear()
	for r, err := range records {
		if err != nil {
			return err
		}
		if err := fresh.add(r); err != nil {
			return err
		}
	}
	if n := len(journal); n > 0 {
		if journal[n-1].Serial != serial || journal[n-1].Epoch != epoch {
			return bolwerk.Invalid("zone %s: the journal ends at serial %d, the zone is at %d", z.cfg.Name, journal[n-1].Serial, serial)
		}
		fresh.base = step{Change: Change{Serial: journal[0].Serial, Epoch: journal[0].Epoch}}
		for i, c := range journal[1:] {
			if !Newer(c.Serial, journal[i].Serial) {
				return bolwerk.Invalid("zone %s: the journal goes from serial %d to %d", z.cfg.Name, journal[i].Serial, c.Serial)
			}
			fresh.remember(step{c, now})
		}
	} else {
		fresh.base = step{Change: Change{Serial: serial, Epoch: epoch}}
	}

	z.mu.Lock()
	defer z.mu.Unlock()
	if err := z.after(serial); err != nil {
		return err
	}
	for r := range z.readers {
		r.orphan = &zone{cfg: z.cfg, names: z.names, chunks: z.chunks, used: z.used, sets: z.sets}
	}
	z.index, z.chunks, z.used, z.free, z.records = fresh.index, fresh.chunks, fresh.used, nil, fresh.records
	z.sets, z.setOf, z.step1 = fresh.sets, fresh.setOf, fresh.step1
	z.journal, z.jrecords, z.base = fresh.journal, fresh.jrecords, fresh.base
	z.readers = map[*snapshot]bool{}
	z.gen++
	for i := range z.used { // the new entries were born now
		z.entry(i).born = z.gen
	}
	z.loaded, z.serial, z.epoch, z.at = true, serial, epoch, now
	z.raise(serial)
	return nil
}

// forget unloads the zone; its next serial must still be newer.
func (z *zone) forget() {
	z.mu.Lock()
	z.loaded = false
	z.mu.Unlock()
}

// add puts one record into a zone that nobody reads yet.
func (z *zone) add(r Record) error {
	if err := z.lint(r); err != nil {
		return err
	}
	var err error
	i, ok := z.index[r.Name]
	if !ok {
		i = z.alloc()
		*z.entry(i) = entry{name: r.Name}
		z.index[r.Name] = i
	}
	e := z.entry(i)
	if r.Below {
		e.below, err = z.with(e.below, r)
	} else {
		e.at, err = z.with(e.at, r)
	}
	z.records++
	return err
}

// snapshot is the zone as it stands now, for one transfer. close it.
type snapshot struct {
	z       *zone
	serial  uint32
	epoch   int64
	gen     uint64
	records int
	orphan  *zone // the old tables, once the zone was loaded anew
}

func (z *zone) snapshot() *snapshot {
	z.mu.Lock()
	defer z.mu.Unlock()
	s := &snapshot{z: z, serial: z.serial, epoch: z.epoch, gen: z.gen, records: z.records}
	z.readers[s] = true
	return s
}

func (s *snapshot) close() {
	s.z.mu.Lock()
	delete(s.z.readers, s)
	s.z.mu.Unlock()
}

// each yields the entries of the snapshot with their sets. It holds no lock
// while it yields.
func (s *snapshot) each(yield func(name bolwerk.Domain, at, below set) bool) {
	type row struct {
		name      bolwerk.Domain
		at, below set
	}
	rows := make([]row, 0, chunkLen)
	for c := 0; ; c++ {
		rows = rows[:0]
		s.z.mu.RLock()
		z := s.z
		if s.orphan != nil {
			z = s.orphan
		}
		if c >= len(z.chunks) {
			s.z.mu.RUnlock()
			return
		}
		for i := range z.chunks[c] {
			if uint32(c*chunkLen+i) >= z.used {
				break
			}
			if e := &z.chunks[c][i]; e.born <= s.gen && (e.died == 0 || e.died > s.gen) {
				rows = append(rows, row{e.name, z.sets[e.at], z.sets[e.below]})
			}
		}
		s.z.mu.RUnlock()
		for _, r := range rows {
			if !yield(r.name, r.at, r.below) {
				return
			}
		}
	}
}
