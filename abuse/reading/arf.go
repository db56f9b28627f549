package reading

import (
	"regexp"
	"slices"
	"strings"
)

// arf reads RFC 5965 and what extends it: auth failures (RFC 6591), the use
// beside feedback loops (RFC 6650), the source's port (RFC 6692), not-spam
// (RFC 6430) and what feedback loops leave out.
func (r *reader) arf(report part, parts []part) Format {
	h, _ := split(append(report.body, "\r\n\r\n"...))
	e := Event{Kind: strings.ToLower(h.get("feedback-type")), Application: "smtp", Protocol: "tcp", Basis: Handshake}
	if h.get("version") == "" || h.get("user-agent") == "" {
		e.warn("arf-incomplete")
	}
	switch e.Kind {
	case "abuse", "complaint", "":
		e.Class = Spam
	case "fraud":
		e.Class = Phishing
	case "virus":
		e.Class = MalwareSite
	case "auth-failure":
		// Forged, or forwarded by a list: the report cannot tell.
		e.Class = Masquerade
		e.warn("may-be-forwarded")
	case "not-spam", "opt-out", "opt-out-list":
		e.Class, e.Role = Other, NoAbuse
	default:
		e.Class = Undetermined
	}
	e.SourceIP, _ = addr(h.get("source-ip"))
	e.SourcePort, _ = port(h.get("source-port"))
	e.at(first(h.get("arrival-date"), h.get("received-date")), "")
	e.Count = count(h.get("incidents"))
	e.DestinationName = h.get("reporting-mta")
	if _, name, ok := strings.Cut(e.DestinationName, ";"); ok {
		e.DestinationName = strings.TrimSpace(name)
	}
	for _, u := range h.all("reported-uri") {
		e.addURL(strings.Trim(u, "<>"))
	}
	var original header
	for _, p := range parts {
		if p.kind == "message/rfc822" || p.kind == "text/rfc822-headers" || p.kind == "message/global" || p.kind == "message/rfc822-headers" {
			original, _ = split(p.body)
			e.Evidence = append(e.Evidence, evidence(p.kind, p.body, false))
			break
		}
	}
	r.fillFromMail(&e, original, bodyText(parts))
	if !e.SourceIP.IsValid() {
		e.SourceDomain = h.get("reported-domain")
		if len(e.URLs) > 0 && e.Kind == "fraud" {
			e.SourceURL = e.URLs[0]
		}
	}
	r.emit(e)
	return ARF
}

// isXARF says that a message/feedback-report is none of RFC 5965: XARF over mail has the
// same frame, and the report itself as JSON in it.
func isXARF(p part) bool {
	h, _ := split(append(slices.Clip(p.body), "\r\n\r\n"...))
	return strings.EqualFold(h.get("feedback-type"), "xarf")
}

var receivedFrom = regexp.MustCompile(`received from (?:IP )?\[?([0-9A-Fa-f.:]+)\]?\s+on\s+([^\r\n]+)`)

// fillFromMail finds the source and time of a mail that was complained about:
// where the report's fields have none, in its text, then in the topmost Received
// field, which the reporter's own server wrote.
func (r *reader) fillFromMail(e *Event, original header, said string) {
	if m := receivedFrom.FindStringSubmatch(said); m != nil {
		if a, ok := addr(m[1]); ok && !e.SourceIP.IsValid() {
			e.SourceIP = a
			e.warn("source-from-text")
		}
		if e.Time.IsZero() {
			e.at(strings.TrimRight(strings.TrimSpace(m[2]), "."), "")
		}
	}
	for _, field := range original.all("received") {
		if e.SourceIP.IsValid() && !e.Time.IsZero() {
			return
		}
		a, at := received(field)
		if !a.IsValid() {
			continue
		}
		if !e.SourceIP.IsValid() {
			e.SourceIP = a
			e.warn("source-from-received")
		}
		if e.Time.IsZero() && a == e.SourceIP {
			e.at(at, "")
		}
	}
	if e.Time.IsZero() && len(original) > 0 {
		if field := original.get("received"); field != "" {
			_, at := received(field)
			if e.at(at, "") {
				e.warn("time-from-received")
			}
		}
	}
}
