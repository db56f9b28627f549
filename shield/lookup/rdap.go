// Package lookup asks others what they know of a name: a registry by RDAP, the
// DNS, a certificate transparency log. It judges nothing; an answer that did not
// come is an error, never an answer.
package lookup

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"bolwerk"
)

// Registration is what a registry says of a registrable domain.
type Registration struct {
	Name    bolwerk.Domain `json:"name"`
	Created time.Time      `json:"created,omitzero"` // zero where the registry does not tell
	Changed time.Time      `json:"changed,omitzero"`
	Expires time.Time      `json:"expires,omitzero"`
	// Registrar and its IANA number.
	Registrar string   `json:"registrar,omitempty"`
	IANA      string   `json:"iana,omitempty"`
	Abuse     []string `json:"abuse,omitempty"` // mail addresses of the registrar's abuse contacts
	Servers   []string `json:"servers,omitempty"`
	Status    []string `json:"status,omitempty"`
	From      string   `json:"from"` // the RDAP server that answered
}

// ErrNoServer says that the bootstrap file knows no RDAP server of the suffix.
var ErrNoServer = errors.New("no RDAP server is known for this suffix")

// ErrUnregistered says that the registry knows no such domain or network.
var ErrUnregistered = errors.New("the registry does not know it")

// Bootstrap says which RDAP server answers for a suffix: IANA's dns.json
// (RFC 9224 section 4).
type Bootstrap map[string]string

// Bounds of what is read.
const (
	maxBootstrap = 4 << 20 // IANA's of 2026 has some 60 kB
	maxAnswer    = 1 << 20
	maxEntities  = 50
	maxListed    = 20
)

// ParseBootstrap reads the file. Only https servers are taken; the first of a
// service counts.
func ParseBootstrap(r io.Reader) (Bootstrap, error) {
	out := Bootstrap{}
	if err := services(r, func(suffix, base string) { out[strings.ToLower(suffix)] = base }); err != nil {
		return nil, err
	}
	if len(out) == 0 {
		return nil, bolwerk.Invalid("an RDAP bootstrap file without a server")
	}
	return out, nil
}

// services reads a bootstrap file (RFC 9224 section 3) and tells which server
// answers for each of its entries.
func services(r io.Reader, each func(entry, base string)) error {
	var f struct {
		Services [][][]string `json:"services"`
	}
	b, err := io.ReadAll(io.LimitReader(r, maxBootstrap+1))
	if err == nil && len(b) > maxBootstrap {
		return bolwerk.Invalid("an RDAP bootstrap file of more than %d octets", maxBootstrap)
	}
	if err == nil {
		err = json.Unmarshal(b, &f)
	}
	if err != nil {
		return bolwerk.Invalid("an RDAP bootstrap file (RFC 9224) is JSON with \"services\": %v", err)
	}
	for _, s := range f.Services {
		if len(s) != 2 {
			continue
		}
		for _, base := range s[1] {
			if u, err := url.Parse(base); err != nil || u.Scheme != "https" || u.Host == "" || u.RawQuery != "" {
				continue
			}
			for _, entry := range s[0] {
				each(entry, strings.TrimSuffix(base, "/"))
			}
			break
		}
	}
	return nil
}

// Server gives the server for a name: that of its longest suffix.
func (b Bootstrap) Server(name bolwerk.Domain) (string, bool) {
	for rest := name.String(); ; {
		if s, ok := b[rest]; ok {
			return s, true
		}
		_, up, ok := strings.Cut(rest, ".")
		if !ok {
			return "", false
		}
		rest = up
	}
}

// Ask asks the registry of a registrable domain (RFC 9082 section 3.1.3). The
// client bounds the time and follows no redirect that it does not want.
func (b Bootstrap) Ask(ctx context.Context, client *http.Client, name bolwerk.Domain) (Registration, error) {
	base, ok := b.Server(name)
	if !ok {
		return Registration{}, ErrNoServer
	}
	body, err := get(ctx, client, base+"/domain/"+name.String())
	if err != nil {
		return Registration{}, err
	}
	r, err := ParseRegistration(body)
	if err != nil {
		return r, err
	}
	if !strings.EqualFold(r.Name.String(), name.String()) {
		return r, fmt.Errorf("rdap: %s answered for %s when asked for %s", base, r.Name, name)
	}
	r.From = base
	return r, nil
}

// get asks an RDAP server (RFC 7480). What it does not know is ErrUnregistered.
func get(ctx context.Context, client *http.Client, address string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/rdap+json")
	res, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("rdap: %w", err)
	}
	defer res.Body.Close()
	switch {
	case res.StatusCode == http.StatusNotFound:
		return nil, ErrUnregistered
	case res.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("rdap: %s answered %s", req.URL.Host, res.Status)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("rdap: %w", err)
	}
	return body, nil
}

// entity is a party of RFC 9083 section 5.1, as far as we read it.
type entity struct {
	Roles     []string          `json:"roles"`
	VCard     []json.RawMessage `json:"vcardArray"`
	PublicIDs []struct {
		Type       string `json:"type"`
		Identifier string `json:"identifier"`
	} `json:"publicIds"`
	Entities []entity `json:"entities"`
}

// ParseRegistration reads an answer of class "domain" (RFC 9083 section 5.3).
func ParseRegistration(b []byte) (r Registration, err error) {
	if len(b) > maxAnswer {
		return r, bolwerk.Invalid("an RDAP answer of more than %d octets", maxAnswer)
	}
	var a struct {
		Class  string `json:"objectClassName"`
		LDH    string `json:"ldhName"`
		Events []struct {
			Action string `json:"eventAction"`
			Date   string `json:"eventDate"`
		} `json:"events"`
		Status      []string `json:"status"`
		Nameservers []struct {
			LDH string `json:"ldhName"`
		} `json:"nameservers"`
		Entities []entity `json:"entities"`
	}
	if err := json.Unmarshal(b, &a); err != nil || a.Class != "domain" {
		return r, bolwerk.Invalid("not an RDAP answer about a domain")
	}
	if r.Name, err = bolwerk.ParseDomain(strings.TrimSuffix(a.LDH, ".")); err != nil {
		return r, bolwerk.Invalid("an RDAP answer about %.80q", a.LDH)
	}
	for _, e := range a.Events {
		at, err := time.Parse(time.RFC3339, e.Date)
		if err != nil || at.Year() < 1980 || at.Year() > 2200 {
			continue
		}
		switch e.Action {
		case "registration":
			r.Created = at.UTC()
		case "last changed":
			r.Changed = at.UTC()
		case "expiration":
			r.Expires = at.UTC()
		}
	}
	for _, n := range a.Nameservers {
		if d, err := bolwerk.ParseDomain(strings.TrimSuffix(n.LDH, ".")); err == nil && len(r.Servers) < maxListed {
			r.Servers = append(r.Servers, d.String())
		}
	}
	slices.Sort(r.Servers)
	for _, s := range a.Status {
		if len(r.Status) < maxListed {
			r.Status = append(r.Status, line(s))
		}
	}
	left := maxEntities
	r.parties(a.Entities, &left, 3)
	slices.Sort(r.Abuse)
	r.Abuse = slices.Compact(r.Abuse)
	return r, nil
}

// parties looks for the registrar and for abuse contacts, wherever they stand.
func (r *Registration) parties(all []entity, left *int, depth int) {
	for _, e := range all {
		if *left == 0 || depth == 0 {
			return
		}
		*left--
		name, mails := card(e.VCard)
		if slices.Contains(e.Roles, "registrar") {
			r.Registrar = cmp.Or(r.Registrar, name)
			for _, id := range e.PublicIDs {
				if strings.Contains(strings.ToLower(id.Type), "iana") {
					r.IANA = line(id.Identifier)
				}
			}
		}
		if slices.Contains(e.Roles, "abuse") && len(r.Abuse) < maxListed {
			r.Abuse = append(r.Abuse, mails...)
		}
		r.parties(e.Entities, left, depth-1)
	}
}

// card takes name and mail addresses out of a jCard (RFC 7095 section 3.3).
func card(v []json.RawMessage) (name string, mails []string) {
	if len(v) != 2 {
		return "", nil
	}
	var properties [][]json.RawMessage
	if json.Unmarshal(v[1], &properties) != nil {
		return "", nil
	}
	for _, p := range properties {
		var key, value string
		if len(p) < 4 || json.Unmarshal(p[0], &key) != nil || json.Unmarshal(p[3], &value) != nil {
			continue
		}
		switch key {
		case "fn":
			name = line(value)
		case "email":
			if v := line(value); strings.Count(v, "@") == 1 && len(mails) < 5 && !strings.ContainsAny(v, " <>,;") {
				mails = append(mails, v)
			}
		}
	}
	return name, mails
}

// line is a stranger's value as one short line.
func line(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	s = strings.TrimSpace(s)
	for len(s) > 200 {
		s = s[:len(s)-1]
	}
	return strings.ToValidUTF8(s, "")
}
