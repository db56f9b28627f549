package rpz

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/miekg/dns"
)

const (
	notifyGap  = time.Second     // between two NOTIFY of a zone to a secondary
	notifyWait = time.Second     // for the acknowledgement
	notifyMax  = time.Minute     // back-off of one that is not acknowledged
	fetchFirst = 5 * time.Second // acknowledged but not fetched: ask again
	fetchMax   = 5 * time.Minute
)

// courier carries NOTIFY (RFC 1996) for one zone to one secondary, and knows
// what the secondary has. It is pure: it is told the time and never waits.
//
// The gap is kept per zone, so that a withdrawal in the first zone never waits
// for a block in the second.
type courier struct {
	zone  *zone
	fixed bool // the zone never changes
	wake  chan struct{}

	mu       sync.Mutex
	serial   uint32    // last sent
	sentAt   time.Time // when
	tries    int       // of serial, since the last acknowledgement
	acked    uint32
	ackedAt  time.Time
	problem  string
	holds    uint32 // what the secondary has, as it showed or as we delivered
	holdsAt  time.Time
	kind     string // of the last transfer
	transfer time.Time
}

func newCourier(z *zone) *courier {
	return &courier{zone: z, wake: make(chan struct{}, 1)}
}

// courier is the one of zone z.
func (q *peer) courier(z *zone) *courier {
	for _, c := range q.all {
		if c.zone == z {
			return c
		}
	}
	return nil
}

func (c *courier) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// due says what to do about serial at now: send, or how long to wait. A wait of
// 0 is until the zone changes.
func (c *courier) due(serial uint32, now time.Time) (send bool, wait time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if serial == 0 || c.holds == serial || c.fixed && c.acked == serial {
		return false, 0 // a catalog stays what it is: who heard of it and has it does not fetch it
	}
	gap := notifyGap
	if c.serial == serial { // again
		if c.acked == serial {
			gap = backOff(fetchFirst, fetchMax, c.tries)
		} else {
			gap = backOff(notifyGap, notifyMax, c.tries-1)
		}
	}
	if c.sentAt.IsZero() {
		return true, 0
	}
	if wait = gap - now.Sub(c.sentAt); wait <= 0 || wait > gap { // or the clock went back
		return true, 0
	}
	return false, wait
}

// backOff doubles first with each try, up to most.
func backOff(first, most time.Duration, tries int) time.Duration {
	d := first
	for ; tries > 0 && d < most; tries-- {
		d *= 2
	}
	return min(d, most)
}

// sent notes that NOTIFY for serial goes out.
func (c *courier) sent(serial uint32, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if serial != c.serial {
		c.tries = 0
	}
	c.serial, c.sentAt = serial, now
	c.tries++
}

// answered notes what came back; nil is an acknowledgement.
func (c *courier) answered(serial uint32, err error, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.problem = err.Error()
		return
	}
	c.problem = ""
	if c.acked != serial {
		c.tries = 0
	}
	c.acked, c.ackedAt = serial, now
}

// delivered notes a transfer that we sent to the end.
func (c *courier) delivered(serial uint32, kind string, now time.Time) {
	c.mu.Lock()
	c.holds, c.holdsAt, c.kind, c.transfer = serial, now, kind, now
	c.mu.Unlock()
	c.poke()
}

// shown notes the serial that the secondary says it has.
func (c *courier) shown(serial uint32, now time.Time) {
	c.mu.Lock()
	c.holds, c.holdsAt = serial, now
	c.mu.Unlock()
}

// carry keeps one secondary told about one zone until ctx ends.
func (p *Primary) carry(ctx context.Context, q *peer, c *courier, from netip.Addr) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.wake:
		case <-timer.C:
		}
		c.zone.mu.RLock()
		serial := c.zone.serial
		c.zone.mu.RUnlock()
		send, wait := c.due(serial, p.clock.Now())
		if send && !p.speaks() {
			timer.Stop()
			timer.Reset(notifyGap)
			continue
		}
		if send {
			c.sent(serial, p.clock.Now())
			err := p.notify(ctx, q, c.zone, serial, from)
			if ctx.Err() != nil {
				return
			}
			c.answered(serial, err, p.clock.Now())
			result := "acknowledged"
			if err != nil {
				result = "failed"
				p.log.Warn("rpz: notify", "secondary", q.Name, "zone", c.zone.cfg.Name, "serial", serial, "error", err)
			}
			p.count.notifies.WithLabelValues(q.Name, result).Inc()
			c.poke() // look again: when to try next, or a change meanwhile
			continue
		}
		timer.Stop()
		if wait > 0 {
			timer.Reset(wait)
		}
	}
}

// notify sends one NOTIFY and waits for its acknowledgement.
func (p *Primary) notify(ctx context.Context, q *peer, z *zone, serial uint32, from netip.Addr) error {
	ctx, cancel := context.WithTimeout(ctx, notifyWait)
	defer cancel()
	m := new(dns.Msg).SetNotify(z.cfg.Name.String() + ".")
	m.Answer = []dns.RR{&dns.SOA{
		Hdr: dns.RR_Header{Name: z.cfg.Name.String() + ".", Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: seconds(z.cfg.TTL)},
		Ns:  p.cfg.Server.String() + ".", Mbox: p.cfg.Contact.String() + ".", Serial: serial,
		Refresh: seconds(z.cfg.Refresh), Retry: seconds(z.cfg.Retry), Expire: seconds(z.cfg.Expire), Minttl: seconds(z.cfg.TTL),
	}}
	if q.key != "" {
		m.SetTsig(q.key, p.keys[q.key].algorithm, fudge, p.clock.Now().Unix())
	}
	var d net.Dialer
	if from.IsValid() && from.Is4() == q.Notify.Addr().Unmap().Is4() {
		d.LocalAddr = net.UDPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
	}
	conn, err := d.DialContext(ctx, "udp", q.Notify.String())
	if err != nil {
		return err
	}
	defer conn.Close()
	client := dns.Client{Timeout: notifyWait, TsigProvider: p.keys}
	r, _, err := client.ExchangeWithConnContext(ctx, m, &dns.Conn{Conn: conn, TsigProvider: p.keys})
	if err != nil {
		return err
	}
	if !r.Response || r.Opcode != dns.OpcodeNotify {
		return errors.New("the answer is no acknowledgement")
	}
	if r.Rcode != dns.RcodeSuccess {
		return errors.New("answered " + rcodeText(r.Rcode))
	}
	return nil
}
