package rpz

import "time"

// remember adds a step to the journal and forgets the oldest beyond the bound.
func (z *zone) remember(s step) {
	z.journal = append(z.journal, s)
	z.jrecords += size(s)
	for len(z.journal) > 0 && z.jrecords > z.keep {
		z.base = step{Change: Change{Serial: z.journal[0].Serial, Epoch: z.journal[0].Epoch}}
		z.jrecords -= size(z.journal[0])
		// The slice's start moves; the next growth lets the front go. It is not
		// cleared here: a transfer may be reading it.
		z.journal = z.journal[1:]
	}
}

// size is what a step weighs: its records and itself.
func size(s step) int { return 1 + len(s.Del) + len(s.Add) }

// diff is a condensed way from one serial to the current one.
type diff struct {
	from, to           uint32
	fromEpoch, toEpoch int64
	del, add           []Record
}

// diff is the way from serial to the present; false where the journal does not
// know serial, or the whole zone is shorter.
func (z *zone) diff(serial uint32) (diff, bool) {
	z.mu.RLock()
	d := diff{from: serial, to: z.serial, toEpoch: z.epoch}
	records := z.records
	var steps []step
	found := false
	for i := len(z.journal) - 1; i >= -1; i-- {
		at := z.base
		if i >= 0 {
			at = z.journal[i]
		}
		if at.Serial == serial {
			d.fromEpoch, steps, found = at.Epoch, z.journal[i+1:], true
			break
		}
	}
	z.mu.RUnlock()
	if !found {
		return diff{}, false
	}
	d.del, d.add = condense(steps)
	return d, len(d.del)+len(d.add) <= records+1
}

// condense merges steps: what was added and deleted again cancels out (RFC 1995
// section 5). The order is that of the first mention.
func condense(steps []step) (del, add []Record) {
	if len(steps) == 0 {
		return nil, nil
	}
	net := map[Record]int8{}
	var order []Record
	note := func(r Record, by int8) {
		if _, ok := net[r]; !ok {
			order = append(order, r)
		}
		net[r] += by
	}
	for _, s := range steps {
		for _, r := range s.Del {
			note(r, -1)
		}
		for _, r := range s.Add {
			note(r, +1)
		}
	}
	for _, r := range order {
		switch net[r] {
		case -1:
			del = append(del, r)
		case +1:
			add = append(add, r)
		}
	}
	return del, add
}

// since is when the zone left serial: the time of the first step after it. The
// zero time where the zone is at serial or does not know it.
func (z *zone) since(serial uint32) time.Time {
	z.mu.RLock()
	defer z.mu.RUnlock()
	if serial == z.serial {
		return time.Time{}
	}
	at := z.at
	for i := len(z.journal) - 1; i >= 0; i-- {
		if z.journal[i].Serial == serial {
			break
		}
		at = z.journal[i].at
	}
	return at
}
