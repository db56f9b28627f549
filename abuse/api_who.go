package abuse

import (
	"context"
	"net/netip"
	"time"

	"bolwerk"
	"bolwerk/abuse/lines"
	"bolwerk/abuse/session"
	"bolwerk/abuse/who"
	"bolwerk/internal/account"
	"bolwerk/internal/api"
	"bolwerk/internal/audit"
	"bolwerk/internal/store"
)

type whoIn struct {
	Body struct {
		Address netip.Addr `json:"address" doc:"IPv4 or IPv6"`
		Port    uint16     `json:"port,omitempty" doc:"the line's own; needed where an address is shared"`
		At      time.Time  `json:"time"`
		Skew    int        `json:"skew_seconds,omitempty" minimum:"0" maximum:"86400" doc:"how far the clock of who saw it may be from ours"`
		Reason  string     `json:"reason" maxLength:"500" doc:"why; kept, the privacy officer sees it"`
		Case    string     `json:"case,omitempty" maxLength:"64"`
	}
}

// LeaseIn is a lease, as a DHCP server's own hook tells it.
type LeaseIn struct {
	Prefix     netip.Prefix `json:"prefix" doc:"198.51.100.7/32, 2001:db8:1::/56"`
	Subscriber string       `json:"subscriber,omitempty" maxLength:"253"`
	Line       string       `json:"line,omitempty" maxLength:"253" doc:"port or circuit"`
	Device     string       `json:"device,omitempty" maxLength:"253"`
	From       time.Time    `json:"from"`
	Until      time.Time    `json:"until" doc:"when it ends unless it is renewed; a lease that was given back ends now"`
}

type leasesIn struct {
	Body struct {
		Server string    `json:"server" maxLength:"253" doc:"the DHCP server"`
		Leases []LeaseIn `json:"leases" maxItems:"500"`
	}
}

// Taken is how much was kept.
type Taken struct {
	Taken int `json:"taken"`
}

func (d *Desk) whoAPI(x *api.Routes) {
	api.Add(x, account.Decide, "POST", "/abuse/who", "Who had an address at a time, as far as is known. That somebody asked is noted, with why.", func(ctx context.Context, in *whoIn) (*api.Answer[session.Answer], error) {
		b := in.Body
		if !b.Address.IsValid() || b.Address.Zone() != "" {
			return nil, bolwerk.Invalid("address: want one such as 198.51.100.7")
		}
		a, err := d.p.Who.Ask(ctx, who.Look{Question: session.Question{Addr: b.Address.Unmap(), Port: b.Port, At: b.At, Skew: time.Duration(b.Skew) * time.Second}, By: api.Who(ctx).Actor(), Reason: b.Reason, Case: b.Case})
		return &api.Answer[session.Answer]{Body: a}, err
	})
	api.Add(x, account.Administer, "POST", "/abuse/leases", "Tell leases of a DHCP server. The answer is given once they are durable.", func(ctx context.Context, in *leasesIn) (*api.Answer[Taken], error) {
		records, err := leases(in.Body.Server, in.Body.Leases)
		if err != nil {
			return nil, err
		}
		if err := d.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
			audit.Append(tx, api.Who(ctx).Actor(), "abuse.who.leases", in.Body.Server, "", map[string]int{"leases": len(records)})
			return nil
		}); err != nil {
			return nil, err
		}
		return &api.Answer[Taken]{Body: Taken{len(records)}}, d.p.Who.Take(ctx, records)
	})
}

// leases are leases as records.
func leases(server string, in []LeaseIn) ([]session.Record, error) {
	if server == "" {
		return nil, bolwerk.Invalid("server: want the name of the DHCP server")
	}
	out := make([]session.Record, 0, len(in))
	for i, l := range in {
		if !l.Prefix.IsValid() {
			return nil, bolwerk.Invalid("lease %d: prefix: want one such as 198.51.100.7/32", i+1)
		}
		r, err := lines.Lease(server, l.Prefix.Masked(), session.Identity{Subscriber: l.Subscriber, Line: l.Line, Calling: l.Device}, l.From, l.Until)
		if err != nil {
			return nil, bolwerk.Invalid("lease %d: %v", i+1, err)
		}
		out = append(out, r)
	}
	return out, nil
}
