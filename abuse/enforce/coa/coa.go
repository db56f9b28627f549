// Package coa puts sessions into a profile by RADIUS: a CoA-Request (RFC 5176) to the
// access server that has them, signed in both directions, at its pace.
package coa

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/time/rate"

	"bolwerk"
	"bolwerk/abuse/enforce"
	"bolwerk/abuse/session"
	"bolwerk/internal/clock"
	"bolwerk/internal/radius"
)

const (
	shortest = 8               // octets of a secret
	patience = time.Second     // how long a change waits for its turn; longer is Busy
	soon     = 5 * time.Second // Busy: when to try again
	later    = time.Minute     // Silent: when to try again
)

// Port is one access server.
type Port struct {
	cfg    Config
	secret bolwerk.Secret
	pace   *rate.Limiter
	clock  clock.Clock
	drop   func(why string)
	dial   func(ctx context.Context) (net.Conn, error)
}

// New reads the secret of an access server. drop, which may be nil, hears of each
// answer that was not taken: malformed, forged, unsigned or other.
func New(cfg Config, c clock.Clock, drop func(why string)) (*Port, error) {
	cfg = cfg.Settled()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	b, err := os.ReadFile(cfg.SecretFile)
	if err != nil {
		return nil, fmt.Errorf("secret_file: %w", err)
	}
	first, _, _ := strings.Cut(string(b), "\n")
	if first = strings.TrimRight(first, "\r"); len(first) < shortest {
		return nil, bolwerk.WithHint(bolwerk.Invalid("secret_file: %s holds a secret of %d octets, at least %d are needed", cfg.SecretFile, len(first), shortest), "openssl rand -hex 16 makes one")
	}
	if drop == nil {
		drop = func(string) {}
	}
	return &Port{cfg: cfg, secret: bolwerk.NewSecret(first), pace: rate.NewLimiter(rate.Limit(cfg.Pace), max(cfg.Pace/10, 1)), clock: c, drop: drop,
		dial: func(ctx context.Context) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "udp", cfg.Address)
		}}, nil
}

// Put tells the access server what a session is to have. The session is named by the
// server's own name for it and by whose it is; never by an address alone.
func (p *Port) Put(ctx context.Context, o enforce.Order) (enforce.Result, error) {
	if o.Profile != enforce.Normal && p.cfg.named(o.Profile) == "" {
		return enforce.Result{State: enforce.Refused, Code: "the access server has no profile " + string(o.Profile)}, nil
	}
	keys := p.keys(o.Session)
	if keys == nil {
		return enforce.Result{State: enforce.Refused, Code: "accounting does not name the session and whose it is"}, nil
	}
	now := p.clock.Now()
	if o.Profile != enforce.Normal && !o.Until.IsZero() && !o.Until.After(now) {
		o.Profile, o.Until = enforce.Normal, time.Time{} // it is over
	}
	res := enforce.Result{State: enforce.Refused}
	for _, s := range p.cfg.steps(o, now) {
		r, err := p.change(ctx, radius.CoARequest, slices.Concat(keys, s.attrs))
		if err != nil {
			return enforce.Result{}, err
		}
		if s.perhaps && r.State == enforce.Refused {
			if res.State != enforce.Applied {
				res = r
			}
			continue
		}
		if res = r; r.State != enforce.Applied {
			break
		}
	}
	if o.Profile == enforce.Normal && res.State == enforce.Refused && o.Over && p.cfg.Timer() {
		return enforce.Result{State: enforce.Applied, Code: "its own timer has ended it; " + res.Code}, nil
	}
	if o.Profile == enforce.Normal && res.State == enforce.Refused && p.cfg.Disconnect {
		return p.end(ctx, keys, res.Code)
	}
	return res, nil
}

// end disconnects a session whose way back is refused.
func (p *Port) end(ctx context.Context, keys []radius.Attribute, why string) (enforce.Result, error) {
	r, err := p.change(ctx, radius.DisconnectRequest, keys)
	if err == nil && r.State == enforce.Applied {
		return enforce.Result{State: enforce.Offline, Code: why + "; disconnected"}, nil
	}
	return r, err
}

// change sends one packet, as often as is configured, and waits for its answer.
func (p *Port) change(ctx context.Context, code byte, attrs []radius.Attribute) (enforce.Result, error) {
	if wait, ok := p.turn(ctx); !ok {
		return enforce.Result{State: enforce.Busy, Code: "waits for the access server's pace", Again: wait}, ctx.Err()
	}
	// Each packet has a socket of its own: what comes later, or from elsewhere, cannot
	// be taken for its answer.
	conn, err := p.dial(ctx)
	if err != nil {
		return enforce.Result{}, fmt.Errorf("access server %s: %w", p.cfg.Name, err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	secret := []byte(p.secret.Reveal())
	request := radius.Change(code, byte(p.clock.Now().UnixNano()>>10), p.clock.Now(), attrs, secret)
	buf := make([]byte, radius.MaxSize)
	silent := fmt.Sprintf("no answer to %d tries: is it there, is its port for changes open, is the secret the same on both sides?", p.cfg.Tries)
	for range p.cfg.Tries {
		conn.Write(request) // the same octets each time; an error is silence
		conn.SetReadDeadline(time.Now().Add(p.cfg.Timeout.D()))
		if ctx.Err() != nil {
			return enforce.Result{}, ctx.Err()
		}
		for end := time.Now().Add(p.cfg.Timeout.D()); ; {
			n, err := conn.Read(buf)
			if err != nil {
				if rest := time.Until(end); rest > 0 && ctx.Err() == nil && !errors.Is(err, os.ErrDeadlineExceeded) {
					select { // nothing listens there now
					case <-time.After(rest):
					case <-ctx.Done():
					}
				}
				break
			}
			answer, why := radius.Changed(buf[:n], request, secret)
			if why != nil && !(p.cfg.Unsigned && errors.Is(why, radius.ErrUnsigned)) {
				p.drop(dropped(why))
				if hint := hints[dropped(why)]; hint != "" {
					silent = hint
				}
				continue
			}
			return p.said(answer), nil
		}
	}
	if ctx.Err() != nil {
		return enforce.Result{}, ctx.Err()
	}
	return enforce.Result{State: enforce.Silent, Code: silent, Again: later}, nil
}

// turn waits for the pace. False is that it would take too long, and how long.
func (p *Port) turn(ctx context.Context) (time.Duration, bool) {
	r := p.pace.Reserve()
	wait := r.Delay()
	if wait > patience {
		r.Cancel()
		return wait, false
	}
	if wait == 0 {
		return 0, true
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return 0, true
	case <-ctx.Done():
		r.Cancel()
		return 0, false
	}
}

// hints are what a person looks at where answers were dropped.
var hints = map[string]string{
	"forged":   "its answers are of another secret: does secret_file hold the one that it has for us?",
	"unsigned": "its answers have no Message-Authenticator: \"unsigned = true\" takes them, where it sends none",
}

func dropped(why error) string {
	switch {
	case errors.Is(why, radius.ErrUnsigned):
		return "unsigned"
	case errors.Is(why, radius.ErrForged):
		return "forged"
	case errors.Is(why, radius.ErrOther):
		return "other"
	}
	return "malformed"
}

// said is what an answer means.
func (p *Port) said(a *radius.Packet) enforce.Result {
	if a.Code == radius.CoAACK || a.Code == radius.DisconnectACK {
		return enforce.Result{State: enforce.Applied}
	}
	n, ok := a.Number(radius.ErrorCause)
	if !ok {
		return enforce.Result{State: enforce.Refused, Code: "refused without a cause"}
	}
	r := enforce.Result{State: enforce.Refused, Code: radius.Cause(n)}
	switch n {
	case radius.CauseSessionContextNotFound:
		r.State = enforce.Offline
	case radius.CauseResourcesUnavailable, radius.CauseOtherProxyProcessingError, radius.CauseProxyRequestNotRoutable:
		r.State, r.Again = enforce.Busy, soon
	}
	return r
}

// keys name the session; nil where they would not name it and whose it is.
func (p *Port) keys(h session.Held) []radius.Attribute {
	if h.Session == "" || h.Source != session.Radius {
		return nil
	}
	out := []radius.Attribute{{Type: radius.AcctSessionID, Value: octets(h.Session)}}
	whose := false
	for _, k := range p.cfg.Keys {
		typ, v := byte(0), ""
		switch k {
		case "user":
			typ, v = radius.UserName, h.Subscriber
		case "class":
			typ, v = radius.Class, h.Subscriber
		case "calling":
			typ, v = radius.CallingStationID, h.Calling
		case "port":
			typ, v = radius.NASPortID, h.Line
		case "address":
			if a := h.Prefix.Addr(); a.Is4() && h.Prefix.IsSingleIP() {
				out = append(out, radius.Attribute{Type: radius.FramedIPAddress, Value: a.AsSlice()})
			}
			continue
		}
		if v == "" {
			return nil
		}
		out, whose = append(out, radius.Attribute{Type: typ, Value: octets(v)}), true
	}
	if !whose {
		return nil
	}
	return out
}

// octets is a name as the access server wrote it. Accounting keeps what is not text
// in hex, behind 0x.
func octets(s string) []byte {
	if rest, ok := strings.CutPrefix(s, "0x"); ok {
		if b, err := hex.DecodeString(rest); err == nil && (!utf8.Valid(b) || strings.ContainsFunc(string(b), unicode.IsControl)) {
			return b
		}
	}
	return []byte(s)
}

func seconds(d time.Duration) string { return strconv.Itoa(int(max(d/time.Second, 1))) }
