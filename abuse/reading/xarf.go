package reading

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// The schemas of XARF 4.2.0, MIT licence, see NOTICE. They are compiled once;
// nothing is ever fetched.
//
//go:embed schema
var schemaFiles embed.FS

const schemaRoot = "https://xarf.org/schemas/v4/"

// schemas are the compiled ones, by category/type; "core" is what all share.
var schemas = sync.OnceValues(func() (map[string]*jsonschema.Schema, error) {
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	c.UseLoader(jsonschema.SchemeURLLoader{}) // no file, no network
	var names []string
	for _, dir := range []string{"schema", "schema/types"} {
		files, err := schemaFiles.ReadDir(dir)
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			if f.IsDir() || path.Ext(f.Name()) != ".json" {
				continue
			}
			b, err := schemaFiles.ReadFile(dir + "/" + f.Name())
			if err != nil {
				return nil, err
			}
			doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
			if err != nil {
				return nil, fmt.Errorf("schema %s: %w", f.Name(), err)
			}
			name := strings.TrimPrefix(path.Join(dir, f.Name()), "schema/")
			if err := c.AddResource(schemaRoot+name, doc); err != nil {
				return nil, err
			}
			if strings.HasPrefix(name, "types/") && name != "types/content-base.json" {
				names = append(names, name)
			}
		}
	}
	all := map[string]*jsonschema.Schema{}
	for _, name := range names {
		s, err := c.Compile(schemaRoot + name)
		if err != nil {
			return nil, err
		}
		category, typ, _ := strings.Cut(strings.TrimSuffix(path.Base(name), ".json"), "-")
		all[category+"/"+strings.ReplaceAll(typ, "-", "_")] = s
	}
	s, err := c.Compile(schemaRoot + "xarf-core.json")
	if err != nil {
		return nil, err
	}
	all["core"] = s
	return all, nil
})

// valid checks a report against the schema of its category and type.
func valid(o object) error {
	all, err := schemas()
	if err != nil {
		return err
	}
	kind := o.str("category") + "/" + o.str("type")
	s := all[kind]
	if s == nil {
		return fmt.Errorf("%q is no category and type of XARF 4", short(kind, 100))
	}
	return against(s, o)
}

// against gives the first thing that a schema does not like.
func against(s *jsonschema.Schema, o object) error {
	err := s.Validate(map[string]any(o))
	var v *jsonschema.ValidationError
	if errors.As(err, &v) {
		for len(v.Causes) > 0 { // the first leaf says what is wrong
			v = v.Causes[0]
		}
		return fmt.Errorf("/%s: %s", strings.Join(v.InstanceLocation, "/"), strings.ReplaceAll(v.Error(), "\n", " "))
	}
	return err
}

func (r *reader) xarf4(o object, row int) {
	if !strings.HasPrefix(o.str("xarf_version"), "4.") {
		r.refuse(BadVersion, row, "XARF %q; 4 and 3 are read", short(o.str("xarf_version"), 20))
		return
	}
	delete(o, "_internal") // the sender's own; never passed on
	for _, key := range []string{"tags", "evidence"} {
		if list, _ := o[key].([]any); len(list) > 1000 { // before the schema looks at each
			r.refuse(BadSchema, row, "/%s: %d items", key, len(list))
			return
		}
	}
	if err := valid(o); err != nil {
		r.refuse(BadSchema, row, "%v", err)
		return
	}
	kind := o.str("category") + "/" + o.str("type")
	e := Event{Class: taggedClass(o, kind), XARF: kind, Kind: o.str("type"), Row: row, Role: Doer,
		Reporter: o.at("reporter").str("org"), ReportID: o.str("report_id"), Confidence: sure(o.num("confidence"), 1)}
	switch o.str("category") {
	case "vulnerability":
		e.Role = Exposed
	case "reputation":
		e.Role = NoAbuse
	}
	e.source(o.str("source_identifier"))
	if !e.hasSource() {
		r.refuse(BadAddress, row, "source_identifier %q is no address, name or link", short(o.str("source_identifier"), 100))
		return
	}
	if p := o.port("source_port"); p > 0 {
		e.SourcePort = p
	}
	e.at(o.str("timestamp"), "")
	e.span(o.str("first_seen"), o.str("last_seen"))
	e.DestinationIP, _ = addr(o.str("destination_ip"))
	e.DestinationPort = o.port("destination_port")
	e.transport(o.str("protocol"))
	e.Application = first(e.Application, o.str("service"))
	e.Malware = o.firstStr("malware_family", "malware_name")
	e.Count = count(o.firstStr("attempt_count", "complaint_count", "message_count", "request_count", "total_requests"))
	e.addURL(o.firstStr("url"))
	e.Basis = xarfBasis(o, &e)
	r.xarfEvidence(o, &e)
	r.emit(e)
}

// tagRSIT is the namespace of the tag with which ToXARF says an event's class: XARF has
// no type of its own for many.
const tagRSIT = "rsit:"

// taggedClass is the class that a report's tag names, where an event of that class is told
// as a report of this kind; else the class of the kind. So a tag makes no more of the
// evidence: whatever goes out as the nearest rests on a claim or on an answer.
func taggedClass(o object, kind string) Class {
	category, typ, _ := strings.Cut(kind, "/")
	of := ofXARF(category, typ)
	tags, _ := o["tags"].([]any)
	for _, t := range tags {
		s, _ := t.(string)
		name, ok := strings.CutPrefix(s, tagRSIT)
		if c := classOf(name); ok && c != "" && slices.Contains(c.told(), kind) {
			return c
		}
	}
	return of
}

// told are the kinds of XARF, nearest first, that an event of a class is told as.
func (c Class) told() (kinds []string) {
	if near := c.xarf(); near != "" {
		kinds = append(kinds, near)
	}
	if c.role() == Exposed {
		kinds = append(kinds, "vulnerability/open_service")
	}
	return append(kinds, "infrastructure/compromised_server")
}

// xarfBasis judges what the report rests on. XARF does not say whether a TCP
// connection stood, so only what cannot be done without one counts as one.
func xarfBasis(o object, e *Event) Basis {
	switch o.str("category") {
	case "messaging":
		if o.str("protocol") == "smtp" || o.str("smtp_from") != "" {
			return Handshake
		}
	case "content":
		if o.str("type") == "suspicious_registration" {
			return Claim // of a name's looks
		}
		return Content
	case "vulnerability":
		return Answered
	case "connection":
		switch {
		case e.Protocol == "udp" || e.Protocol == "icmp":
			return UDP
		case e.Protocol != "tcp":
			return Claim
		}
		switch o.str("type") {
		case "login_attack", "sql_injection", "vulnerability_scan", "scraping", "infected_host":
			return Handshake
		case "ddos":
			if v := o.str("attack_vector"); strings.Contains(v, "http") || strings.Contains(v, "slowloris") {
				return Handshake
			}
		}
		return SYN
	}
	return Claim
}

func (r *reader) xarfEvidence(o object, e *Event) {
	for i, v := range o.list("evidence") {
		if i == 10 {
			e.warn("more-evidence")
			return
		}
		body, err := base64.StdEncoding.DecodeString(v.str("payload"))
		if err != nil {
			body = []byte(v.str("payload"))
			e.warn("evidence-not-base64")
		}
		// Pictures of children are handed on as a digest at most.
		got := evidence(v.str("content_type"), body, strings.HasPrefix(v.str("content_type"), "text/plain") && e.Class != Violence)
		if algo, sum, ok := strings.Cut(v.str("hash"), ":"); ok && algo == "sha256" && !strings.EqualFold(sum, got.SHA256) {
			e.warn("evidence-digest-differs")
		}
		e.Evidence = append(e.Evidence, got)
	}
}

func (e *Event) addURL(u string) {
	if u != "" && u != e.SourceURL && len(e.URLs) < 20 && len(u) <= MaxField {
		e.URLs = append(e.URLs, u)
	}
}

// v3types are the report types of XARF 3 in XARF 4's words.
var v3types = map[string]string{
	"spam": "messaging/spam", "login-attack": "connection/login_attack", "loginattack": "connection/login_attack", "port-scan": "connection/port_scan", "portscan": "connection/port_scan",
	"ddos": "connection/ddos", "phishing": "content/phishing", "malware": "content/malware", "botnet": "infrastructure/botnet", "copyright": "copyright/copyright",
	"fraud": "content/fraud", "child-abuse": "content/csam", "childabuse": "content/csam", "trademark": "content/brand_infringement", "open-service": "vulnerability/open_service",
	"openservice": "vulnerability/open_service", "web-hack": "content/remote_compromise", "webhack": "content/remote_compromise",
}

// xarf3 converts a report of XARF 3 to XARF 4, holds what both know against the
// schema of XARF 4, and reads that.
func (r *reader) xarf3(o object, row int) {
	info, report := o.at("ReporterInfo"), o.at("Report")
	if v := o.str("Version"); v != "3" && !strings.HasPrefix(v, "3.") {
		r.refuse(BadVersion, row, "XARF %q; 4 and 3 are read", short(v, 20))
		return
	}
	kind := v3types[strings.ToLower(strings.ReplaceAll(strings.TrimSpace(report.str("ReportType")), "_", "-"))]
	if kind == "" {
		r.refuse(BadSchema, row, "report type %q is not known", short(report.str("ReportType"), 100))
		return
	}
	category, typ, _ := strings.Cut(kind, "/")
	source, more := report.at("Source"), report.at("AdditionalInfo")
	id := first(source.firstStr("IP", "URL", "Domain"), report.firstStr("SourceIp", "SourceIP", "SourceUrl", "SourceURL", "Url", "SourceDomain", "Domain"))
	domain := info.str("ReporterOrgDomain")
	if _, d, ok := strings.Cut(info.str("ReporterOrgEmail"), "@"); ok && domain == "" {
		domain = d
	}
	who := map[string]any{"org": info.str("ReporterOrg"), "contact": info.firstStr("ReporterOrgEmail", "ReporterContactEmail"), "domain": domain}
	t, _, ok := when(report.str("Date"))
	if !ok {
		r.refuse(BadSchema, row, "/Report/Date: %q is no time", short(report.str("Date"), 100))
		return
	}
	v4 := object{"xarf_version": "4.2.0", "legacy_version": "3", "report_id": pseudoUUID(o), "timestamp": t.Format("2006-01-02T15:04:05.999999Z07:00"),
		"reporter": who, "sender": who, "source_identifier": id, "category": category, "type": typ}
	if p := first(source.str("Port"), report.str("SourcePort")); p != "" {
		v4["source_port"] = json.Number(p)
	}
	if err := core(v4); err != nil {
		r.refuse(BadSchema, row, "converted to XARF 4: %v", err)
		return
	}
	e := Event{Class: ofXARF(category, typ), XARF: kind, Kind: report.str("ReportType"), Row: row, Role: Doer, Reporter: who["org"].(string),
		ReportID: o.firstStr("ReportID", "ReportId"), Malware: more.firstStr("MalwareFamily", "MalwareName")}
	if category == "vulnerability" {
		e.Role = Exposed
	}
	e.source(id)
	if e.SourcePort == 0 {
		e.SourcePort, _ = port(first(source.str("Port"), report.str("SourcePort")))
	}
	e.at(report.str("Date"), "")
	e.span(more.firstStr("FirstSeen"), more.firstStr("LastSeen"))
	dest := report.at("Destination")
	e.DestinationIP, _ = addr(first(dest.str("IP"), report.firstStr("DestinationIp", "DestinationIP")))
	e.DestinationPort, _ = port(first(dest.str("Port"), report.str("DestinationPort")))
	e.DestinationName = more.str("C2Server")
	e.transport(first(more.str("Protocol"), report.str("Protocol")))
	v4["protocol"] = e.Protocol
	if category == "messaging" {
		v4["protocol"] = "smtp"
	}
	e.Basis = xarfBasis(v4, &e)
	for i, a := range report.list("Attachment") {
		if i < 10 {
			body, err := base64.StdEncoding.DecodeString(a.str("Data"))
			if err != nil {
				body = []byte(a.str("Data"))
				e.warn("evidence-not-base64")
			}
			e.Evidence = append(e.Evidence, evidence(a.str("ContentType"), body, strings.HasPrefix(a.str("ContentType"), "text/plain")))
		}
	}
	r.emit(e)
}

// core holds a report against what all of XARF 4 asks for.
func core(o object) error {
	all, err := schemas()
	if err != nil {
		return err
	}
	if err := against(all["core"], o); err != nil {
		return err
	}
	var e Event
	if e.source(o.str("source_identifier")); !e.hasSource() {
		return fmt.Errorf("/source_identifier: %q is no address, name or link", short(o.str("source_identifier"), 100))
	}
	return nil
}

// pseudoUUID names a report that has no id by its content.
func pseudoUUID(o object) string {
	sum := sha256.Sum256(o.canonical())
	sum[6], sum[8] = sum[6]&0x0f|0x80, sum[8]&0x3f|0x80 // RFC 9562 version 8
	h := hex.EncodeToString(sum[:16])
	return strings.Join([]string{h[:8], h[8:12], h[12:16], h[16:20], h[20:]}, "-")
}
