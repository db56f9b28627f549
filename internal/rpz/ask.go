package rpz

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"bolwerk"

	"github.com/miekg/dns"
)

// Answer is what a resolver said.
type Answer struct {
	Rcode string `json:"rcode"` // NOERROR, NXDOMAIN, ...
	// Records are those of the answer section, in zone-file form without class.
	Records []string `json:"records,omitempty"`
	// Addresses are the A and AAAA records, Text the TXT records.
	Addresses []netip.Addr `json:"addresses,omitempty"`
	Text      []string     `json:"text,omitempty"`
	// EDE are the extended errors (RFC 8914), as "15 Blocked: text".
	EDE  []string      `json:"ede,omitempty"`
	Took time.Duration `json:"took"`
}

// Ask asks a resolver about name, qtype as "A", over UDP and again over TCP
// where the answer was cut. It tries three times, 700 ms, 1.4 s and 2.1 s, within
// ctx. An error means that no answer came; an Rcode is no error.
func Ask(ctx context.Context, resolver netip.AddrPort, name bolwerk.Domain, qtype string) (Answer, error) {
	t, ok := dns.StringToType[strings.ToUpper(qtype)]
	if !ok || name.IsZero() {
		return Answer{}, bolwerk.Invalid("ask %s for %q %s: no such type, or no name", resolver, name, qtype)
	}
	m := new(dns.Msg).SetQuestion(name.String()+".", t)
	m.SetEdns0(maxUDP, false)
	var errs error
	for try := range 3 {
		start := time.Now()
		r, err := exchange(ctx, "udp", resolver, m, time.Duration(try+1)*700*time.Millisecond)
		if err == nil && r.Truncated {
			r, err = exchange(ctx, "tcp", resolver, m, 3*time.Second)
		}
		if err == nil {
			return read(r, time.Since(start)), nil
		}
		errs = err
		if ctx.Err() != nil {
			break
		}
	}
	return Answer{}, fmt.Errorf("ask %s for %s %s: %w", resolver, name, qtype, errs)
}

// AskPatiently asks as a customer's machine does that waits: the same question goes
// out again after two and five seconds, and the first answer counts, until ctx ends.
// took is from the first question on.
func AskPatiently(ctx context.Context, resolver netip.AddrPort, name bolwerk.Domain, qtype string) (a Answer, took time.Duration, err error) {
	t, ok := dns.StringToType[strings.ToUpper(qtype)]
	if !ok || name.IsZero() {
		return a, 0, bolwerk.Invalid("ask %s for %q %s: no such type, or no name", resolver, name, qtype)
	}
	start := time.Now()
	tries, end := context.WithCancel(ctx)
	defer end()
	came := make(chan *dns.Msg, len(patience))
	var wg sync.WaitGroup
	defer wg.Wait()
	defer end()
	for _, after := range patience {
		wg.Go(func() {
			select {
			case <-tries.Done():
				return
			case <-time.After(after):
			}
			m := new(dns.Msg).SetQuestion(name.String()+".", t)
			m.SetEdns0(maxUDP, false)
			if r, err := exchange(tries, "udp", resolver, m, time.Minute); err == nil {
				came <- r
			}
		})
	}
	select {
	case r := <-came:
		return read(r, time.Since(start)), time.Since(start), nil
	case <-ctx.Done():
		return a, time.Since(start), fmt.Errorf("ask %s for %s %s: %w", resolver, name, qtype, ctx.Err())
	}
}

// patience is when a question that waits for its answer goes out.
var patience = [...]time.Duration{0, 2 * time.Second, 5 * time.Second}

// exchange asks once.
func exchange(ctx context.Context, network string, to netip.AddrPort, m *dns.Msg, wait time.Duration) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	m.Id = dns.Id()
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, to.String())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	end := context.AfterFunc(ctx, func() { conn.Close() })
	defer end()
	client := dns.Client{Net: network, Timeout: wait, UDPSize: maxUDP}
	r, _, err := client.ExchangeWithConnContext(ctx, m, &dns.Conn{Conn: conn, UDPSize: maxUDP})
	if err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, err
	}
	if len(r.Question) != 1 || !strings.EqualFold(r.Question[0].Name, m.Question[0].Name) || r.Question[0].Qtype != m.Question[0].Qtype {
		return nil, errors.New("the answer is to another question")
	}
	return r, nil
}

// read takes out of a message what people look at.
func read(r *dns.Msg, took time.Duration) Answer {
	a := Answer{Rcode: rcodeText(r.Rcode), Took: took}
	if a.Rcode == "" {
		a.Rcode = "RCODE" + strconv.Itoa(r.Rcode)
	}
	for _, rr := range r.Answer {
		h := rr.Header()
		value := strings.TrimPrefix(rr.String(), h.String())
		a.Records = append(a.Records, fmt.Sprintf("%s %d %s %s", h.Name, h.Ttl, dns.Type(h.Rrtype), value))
		switch v := rr.(type) {
		case *dns.A:
			if ip, ok := netip.AddrFromSlice(v.A); ok {
				a.Addresses = append(a.Addresses, ip.Unmap())
			}
		case *dns.AAAA:
			if ip, ok := netip.AddrFromSlice(v.AAAA); ok {
				a.Addresses = append(a.Addresses, ip)
			}
		case *dns.TXT:
			a.Text = append(a.Text, strings.Join(v.Txt, ""))
		}
	}
	if opt := r.IsEdns0(); opt != nil {
		for _, o := range opt.Option {
			if e, ok := o.(*dns.EDNS0_EDE); ok {
				text := strconv.Itoa(int(e.InfoCode)) + " " + dns.ExtendedErrorCodeToString[e.InfoCode]
				if e.ExtraText != "" {
					text += ": " + e.ExtraText
				}
				a.EDE = append(a.EDE, text)
			}
		}
	}
	return a
}
