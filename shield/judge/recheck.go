package judge

import "time"

// Live is what a later look at a blocked page found.
type Live string

// What a look finds. Cloaked is a page that shows itself to some and not to
// others; Unseen is a look that came to nothing and says nothing.
const (
	LiveOnline  Live = "online"
	LiveOffline Live = "offline"
	LiveParked  Live = "parked"
	LiveBenign  Live = "benign_now"
	LiveCloaked Live = "cloaked"
	LiveUnseen  Live = "unseen"
)

// Sight is one later look at what is behind a block.
type Sight struct {
	At   time.Time `json:"at"`
	Live Live      `json:"live"`
	// Profiles is as how many different visitors it was looked at.
	Profiles int `json:"profiles"`
	// Hash is that of the page's structure or of its kit; empty where none is known.
	Hash string `json:"hash,omitempty"`
}

// Gone says that there was nothing bad, for two different visitors. A page that
// hides is never gone, and a look that failed says nothing.
func (l Sight) Gone() bool {
	return l.Profiles >= 2 && (l.Live == LiveOffline || l.Live == LiveParked || l.Live == LiveBenign)
}

// NextLook is how long after the look number n (0 is the decision) the next one
// is due: an hour, six hours, a day, then every day (guard 13).
func NextLook(n int) time.Duration {
	switch n {
	case 0:
		return time.Hour
	case 1:
		return 6 * time.Hour
	}
	return 24 * time.Hour
}

// How long a block stays after nothing bad is seen, and how long it is watched
// after that.
const (
	GoneFor   = 48 * time.Hour
	GoneLooks = 3
	WatchFor  = 30 * 24 * time.Hour
	LiveFor   = 24 * time.Hour // evidence that is younger is live
)

// Quiet says that a block has nothing left to do: the last looks in a row, three
// or more over 48 hours or more, found it gone, and hardly anybody still asks for
// it. looks are in order of time.
func Quiet(looks []Sight, hitsPerDay int64, l Limits) bool {
	run := 0
	for i := len(looks) - 1; i >= 0 && looks[i].Gone(); i-- {
		run++
	}
	if run < GoneLooks || hitsPerDay >= l.QuietHits {
		return false
	}
	return looks[len(looks)-1].At.Sub(looks[len(looks)-run].At) >= GoneFor
}

// LiveEvidence says that the newest look that says anything saw the page and is
// younger than LiveFor.
func LiveEvidence(looks []Sight, now time.Time) bool {
	for i := len(looks) - 1; i >= 0; i-- {
		switch l := looks[i]; {
		case l.Live == LiveUnseen:
			continue
		default:
			return l.Live == LiveOnline && now.Sub(l.At) < LiveFor
		}
	}
	return false
}

// NoEvidence says that the newest look found it gone: what an appeal against an
// automatic block is suspended on. "Cloaked" and "unseen" are never that.
func NoEvidence(looks []Sight, since time.Time) bool {
	if len(looks) == 0 {
		return false
	}
	last := looks[len(looks)-1]
	return last.Gone() && !last.At.Before(since)
}

// Renewal is until when a block is extended that is about to end: zero where it
// ends. Only live evidence extends, only where people still ask for it, and never
// beyond the cap (guard 12). since is when it first came into force.
func Renewal(looks []Sight, hitsPerDay int64, length time.Duration, since, now time.Time, l Limits) time.Time {
	if !LiveEvidence(looks, now) || hitsPerDay < l.QuietHits {
		return time.Time{}
	}
	until := now.Add(length)
	if latest := since.Add(l.Cap); until.After(latest) {
		until = latest
	}
	if until.Sub(now) < time.Hour {
		return time.Time{}
	}
	return until.UTC().Truncate(time.Microsecond)
}

// Rearm says that what was expired is back as it was: the same structure or kit.
func Rearm(before string, now Sight) bool {
	return now.Live == LiveOnline && before != "" && now.Hash == before
}
