package abuse

import (
	"encoding/json"
	"net/netip"
	"time"

	"bolwerk/abuse/door"
	"bolwerk/abuse/reading"
)

// ReadTask is what a reader process is asked for a report of abuse.
const ReadTask = "abuse"

// pageEvents is how many events a reader process answers at once.
const pageEvents = 5000

// question is what Look is asked.
type question struct {
	Name     string    `json:"name,omitempty"`
	Form     door.Form `json:"form"`
	Received time.Time `json:"received"`
	From     int       `json:"from,omitempty"` // the first event that is wanted
	Mail     bool      `json:"mail,omitempty"` // it came as a mail: its header is wanted too
}

// readPage is what Look answers: the events from From, and how many there are.
type readPage struct {
	Format       reading.Format    `json:"format"`
	Person       bool              `json:"person,omitempty"`
	Total        int               `json:"total"`
	Events       []reading.Event   `json:"events"`
	Refused      []reading.Refusal `json:"refused,omitempty"`
	RefusedCount int               `json:"refused_count,omitempty"`
	Warnings     []string          `json:"warnings,omitempty"`
	Outer        *reading.Outer    `json:"outer,omitempty"` // of a mail
}

// Look reads a report in a reader process, where bytes of strangers are read.
func Look(raw []byte, ask json.RawMessage) json.RawMessage {
	var q question
	if json.Unmarshal(ask, &q) != nil {
		return nil
	}
	var r reading.Result
	if q.Form == door.Filled {
		r = filled(raw)
	} else {
		r = reading.Read(q.Name, raw, reading.Option{Received: q.Received})
	}
	p := readPage{Format: r.Format, Person: r.Person, Total: len(r.Events), Refused: r.Refused, RefusedCount: r.RefusedCount, Warnings: r.Warnings}
	if len(p.Refused) > 50 { // a person sees the first; the rest is a number
		p.Refused = p.Refused[:50]
	}
	if q.Mail {
		o := reading.OuterOf(raw)
		p.Outer = &o
	}
	from := min(max(q.From, 0), len(r.Events))
	p.Events = r.Events[from:min(len(r.Events), from+pageEvents)]
	out, err := json.Marshal(p)
	if err != nil {
		return nil
	}
	return out
}

// WebForm is the format of what came by the public site's form.
const WebForm reading.Format = "form"

var formClass = map[string]reading.Class{"spam": reading.Spam, "attack": reading.DDoS, "login": reading.BruteForce, "scan": reading.Scanner,
	"malware": reading.MalwareSite, "phishing": reading.Phishing, "open": reading.OpenService, "other": reading.Undetermined}

// filled is the one event of a form. Nobody has proved anything: it is a person's
// word, for a person.
func filled(raw []byte) reading.Result {
	var f door.Fields
	bad := func(why string) reading.Result {
		return reading.Result{Format: WebForm, Events: []reading.Event{}, Person: true, Refused: []reading.Refusal{{Code: reading.BadSyntax, Why: why}}, RefusedCount: 1}
	}
	if json.Unmarshal(raw, &f) != nil {
		return bad("not the fields of the form")
	}
	addr, err := netip.ParseAddr(f.Address)
	if err != nil || addr.Zone() != "" {
		return bad("no address of a line")
	}
	class := formClass[f.What]
	if class == "" {
		class = reading.Undetermined
	}
	role := reading.Doer
	if class == reading.OpenService {
		role = reading.Exposed
	}
	e := reading.Event{Class: class, Role: role, SourceIP: addr.Unmap(), SourcePort: f.Port, Time: f.At.UTC(), TimeKind: reading.Exact, Zone: "UTC",
		Basis: reading.Claim, Spoofable: true, Person: true}
	return reading.Result{Format: WebForm, Person: true, Events: []reading.Event{e}}
}
