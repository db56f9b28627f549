package dnsserve

import (
	"crypto/rand"
	"encoding/binary"
	"math/bits"
	"sync/atomic"
)

// limiter bounds how many questions a second one client gets answered. A client is an
// IPv4 address or an IPv6 /64. It may ask as many as one second's at once.
//
// Each client has a place with the time at which all that it asked is paid for (the
// generic cell rate algorithm). Places lie in sets of eight, a cache line each; who
// comes new takes that of the one who owes least, so that many forged
// addresses do not drive out the one that asks most. All workers share them.
type limiter struct {
	step, burst uint64 // microseconds: what a question costs, what may be owed
	seed        [2]uint64
	sets        []set
	exempt      acl
}

// set: tag 24 bits | time 40 bits, in microseconds (12 days, then from 0 again)
type set [8]atomic.Uint64

const (
	limiterSets = 4096 // for 32,768 clients that ask within the same second
	timeBits    = 40
	timeMask    = 1<<timeBits - 1
	// slip: of so many questions of a client that asks too often one is answered with
	// TC, so that it may come over TCP if it exists: nobody can forge that.
	slip = 2
)

// newLimiter bounds each client to rate questions a second; 0 is no bound.
func newLimiter(rate int, exempt acl) *limiter {
	l := &limiter{exempt: exempt}
	if rate == 0 {
		return l
	}
	l.step, l.burst = 1_000_000/uint64(rate), 1_000_000
	var b [16]byte
	rand.Read(b[:])
	l.seed = [2]uint64{binary.LittleEndian.Uint64(b[:]), binary.LittleEndian.Uint64(b[8:])}
	l.sets = make([]set, limiterSets)
	return l
}

// after is how many microseconds too early the question comes; 0 takes it into
// account. What comes over a stream, where an address cannot be forged, counts apart:
// who asks in a client's name over UDP does not spoil its way out.
func (l *limiter) after(ip [16]byte, stream bool, now uint64) uint64 {
	if l.sets == nil {
		return 0
	}
	early := l.place(ip, stream, now)
	if early > 0 && l.exempt.has(ip) {
		return 0
	}
	return early
}

func (l *limiter) place(ip [16]byte, stream bool, now uint64) uint64 {
	a, b := binary.BigEndian.Uint64(ip[:8]), uint64(0)
	if a == 0 {
		b = binary.BigEndian.Uint64(ip[8:])
	}
	if stream {
		b ^= 1 << 63
	}
	hi, lo := bits.Mul64(a^l.seed[0], b^l.seed[1])
	h := hi ^ lo
	tag, s := h>>timeBits|1, &l.sets[h%limiterSets]
	for i := range s {
		if v := s[i].Load(); v>>timeBits == tag {
			return l.take(&s[i], v, now)
		}
	}
	least, free := uint64(1<<63), 0
	for i := range s {
		if owed := l.owed(s[i].Load(), now); owed < least {
			least, free = owed, i
		}
	}
	s[free].Store(tag<<timeBits | (now+l.step)&timeMask)
	return 0
}

// take has the client in at, of which v was read, pay for one question more.
func (l *limiter) take(at *atomic.Uint64, v, now uint64) uint64 {
	for range 4 { // who loses against other workers so often is let through
		owed := l.owed(v, now) + l.step
		if owed > l.burst {
			return owed - l.burst
		}
		if at.CompareAndSwap(v, v&^timeMask|(now+owed)&timeMask) {
			break
		}
		next := at.Load()
		if next>>timeBits != v>>timeBits {
			break // its place was taken
		}
		v = next
	}
	return 0
}

// owed is how far the time in v lies ahead. One that is further ahead than can be is
// from before the clock began anew.
func (l *limiter) owed(v, now uint64) uint64 {
	d := (v - now) & timeMask
	if d > l.burst {
		return 0
	}
	return d
}
