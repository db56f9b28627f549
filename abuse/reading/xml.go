package reading

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

// node is an element of an XML document.
type node struct {
	name string
	attr map[string]string
	text string
	kids []*node
}

// tree reads a document into nodes, with bounds and without recursion. Entities
// beyond XML's own five, external ones above all, are an error.
func tree(raw []byte) (*node, error) {
	d := xml.NewDecoder(bytes.NewReader(raw))
	d.Strict = true
	d.CharsetReader = func(label string, in io.Reader) (io.Reader, error) {
		switch strings.ToLower(label) {
		case "utf-8", "us-ascii", "ascii":
			return in, nil
		case "iso-8859-1", "latin1", "windows-1252":
			b, err := io.ReadAll(in)
			var out strings.Builder
			for _, c := range b {
				out.WriteRune(rune(c))
			}
			return strings.NewReader(out.String()), err
		}
		return nil, fmt.Errorf("character set %q", label)
	}
	root := &node{}
	stack, n := []*node{root}, 0
	for {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			if len(root.kids) == 0 {
				return nil, errors.New("no element")
			}
			return root.kids[0], nil
		}
		if err != nil {
			return nil, err
		}
		top := stack[len(stack)-1]
		switch t := t.(type) {
		case xml.StartElement:
			if n++; n > maxNodes || len(stack) > MaxDepth {
				return nil, fmt.Errorf("more than %d elements, or deeper than %d", maxNodes, MaxDepth)
			}
			e := &node{name: t.Name.Local, attr: map[string]string{}}
			for _, a := range t.Attr {
				if len(e.attr) < 50 {
					e.attr[a.Name.Local] = short(a.Value, MaxField)
				}
			}
			top.kids = append(top.kids, e)
			stack = append(stack, e)
		case xml.EndElement:
			if len(stack) > 1 {
				stack = stack[:len(stack)-1]
			}
		case xml.CharData:
			if len(top.text) < MaxField {
				top.text += short(string(t), MaxField)
			}
		}
	}
}

// all are the elements of a name below, in order.
func (n *node) all(name string) (found []*node) {
	stack := []*node{n}
	for len(stack) > 0 {
		e := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if e.name == name && e != n {
			found = append(found, e)
		}
		for i := len(e.kids) - 1; i >= 0; i-- {
			stack = append(stack, e.kids[i])
		}
	}
	return found
}

// value is the text of the first element of a name below.
func (n *node) value(name string) string {
	for _, e := range n.all(name) {
		if s := strings.TrimSpace(e.text); s != "" {
			return s
		}
	}
	return ""
}

func (n *node) kid(name string) *node {
	for _, k := range n.kids {
		if k.name == name {
			return k
		}
	}
	return nil
}

// xml reads the documents that are known; "" says that it is none.
func (r *reader) xml(raw []byte) Format {
	head := string(raw[:min(len(raw), 4096)])
	switch {
	case strings.Contains(head, "IODEF-Document"):
		doc, err := tree(raw)
		if err != nil {
			r.refuse(BadSyntax, 0, "IODEF: %v", err)
			return Unreadable
		}
		r.iodef(doc)
		return IODEF
	case strings.Contains(head, "<notification_message"):
		doc, err := tree(raw)
		if err != nil {
			r.refuse(BadSyntax, 0, "Safe Browsing: %v", err)
			return Unreadable
		}
		r.safeBrowsing(doc)
		return SafeBrowsing
	}
	return ""
}

// safeBrowsing reads Google's notice to the owner of a network. List 0 is
// malware, list 1 phishing.
func (r *reader) safeBrowsing(doc *node) {
	for _, list := range doc.all("list") {
		class := Undetermined
		switch list.attr["type"] {
		case "0":
			class = MalwareSite
		case "1":
			class = Phishing
		}
		for _, u := range list.all("url_info") {
			e := Event{Class: class, Kind: "list-" + short(list.attr["type"], 20), Basis: Content, Protocol: "tcp", Application: "http", Reporter: "Google Safe Browsing",
				SourceURL: short(u.attr["url"], MaxField)}
			e.SourceIP, _ = addr(u.attr["ip"])
			e.SourcePort = urlPort(e.SourceURL)
			// The notice names a day.
			if e.at(doc.attr["date"]+" 00:00:00", "") {
				e.span(doc.attr["date"]+" 00:00:00", doc.attr["date"]+" 23:59:59")
			}
			r.emit(e)
		}
	}
}

// iodef reads RFC 7970 and, as far as both go, RFC 5070.
func (r *reader) iodef(doc *node) {
	for row, in := range doc.all("Incident") {
		base := Event{Row: row + 1, Kind: in.attr["purpose"], TLP: tlp(strings.ReplaceAll(in.attr["restriction"], "white", "clear"))}
		if id := in.kid("IncidentID"); id != nil {
			base.ReportID, base.Reporter = strings.TrimSpace(id.text), id.attr["name"]
		}
		for _, c := range in.all("Contact") {
			base.Reporter = first(base.Reporter, c.value("ContactName"), c.value("Email"))
		}
		base.Class = iodefClass(in)
		for _, name := range []string{"StartTime", "DetectTime", "EndTime"} {
			if base.at(in.value(name), "") {
				break
			}
		}
		if base.Time.IsZero() {
			for _, name := range []string{"ReportTime", "GenerationTime"} {
				if base.at(in.value(name), "") {
					base.TimeKind = OfReport
					break
				}
			}
		}
		base.span(in.value("StartTime"), in.value("EndTime"))
		if c := in.all("Confidence"); len(c) > 0 {
			switch c[0].attr["rating"] {
			case "low":
				base.Confidence = 0.3
			case "medium":
				base.Confidence = 0.6
			case "high":
				base.Confidence = 0.9
			}
		}
		if r.systems(in, base) == 0 {
			r.refuse(NoSource, row+1, "no system with category source")
		}
	}
}

// systems emits one event for each address of a source.
func (r *reader) systems(in *node, base Event) (n int) {
	for _, s := range in.all("System") {
		if s.attr["category"] != "target" {
			continue
		}
		for _, a := range s.all("Address") {
			if got, ok := addr(a.text); ok && !base.DestinationIP.IsValid() {
				base.DestinationIP = got
			}
		}
		base.DestinationName = first(base.DestinationName, s.value("Name"))
		p, _ := port(s.value("Port"))
		base.DestinationPort = p
	}
	for _, s := range in.all("System") {
		if s.attr["category"] != "source" {
			continue
		}
		e := base
		for _, svc := range s.all("Service") {
			e.transport(first(svc.attr["ip-protocol"], svc.attr["ip_protocol"]))
			e.Application = first(e.Application, svc.value("ServiceName"))
		}
		e.SourcePort, _ = port(s.value("Port"))
		e.Count = count(s.value("Counter"))
		e.SourceDomain = first(s.value("Name"), s.value("NodeName"))
		e.Basis = classBasis(e.Class, e.Protocol)
		addresses := s.all("Address")
		for _, a := range addresses {
			each := e
			if each.source(a.text); each.SourceIP.IsValid() || each.SourceNet.IsValid() {
				n++
				r.emit(each)
			}
		}
		if len(addresses) == 0 && e.SourceDomain != "" {
			n++
			r.emit(e)
		}
	}
	return n
}

// iodefClass takes the class from what the assessment says: version 2's system
// impact, version 1's impact, and the words of the text where those are silent.
func iodefClass(in *node) Class {
	var kinds []string
	for _, name := range []string{"SystemImpact", "Impact", "IncidentCategory"} {
		for _, e := range in.all(name) {
			kinds = append(kinds, e.attr["type"], e.attr["ext-type"], e.text)
		}
	}
	for _, e := range in.all("Reference") {
		kinds = append(kinds, e.value("ReferenceName"))
	}
	said := strings.ToLower(strings.Join(kinds, " ") + " " + in.value("Description"))
	for _, rule := range []struct {
		words string
		class Class
	}{
		{"phish", Phishing}, {"social-engineering", SocialEng}, {"spam", Spam}, {"brute", BruteForce}, {"login", BruteForce}, {"ddos", DDoS}, {"dos", DoS}, {"denial", DoS}, {"botnet", Infected}, {"infected", Infected},
		{"recon", Scanner}, {"scan", Scanner}, {"malware", MalwareSite}, {"policy", UnauthorisedUse}, {"breach-privacy", DataLeak}, {"takeover-account", Account}, {"takeover-system", SysCompromise},
		{"admin", PrivilegedAcc}, {"user", Account}, {"availability", DoS}, {"unauthorized", UnauthorisedUse},
	} {
		if strings.Contains(said, rule.words) {
			return rule.class
		}
	}
	return Undetermined
}
