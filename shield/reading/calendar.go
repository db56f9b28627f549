package reading

import (
	"slices"
	"strings"
)

func (l *leaf) isCalendar(ending string) bool {
	return l.kind == "text/calendar" || l.kind == "application/ics" || ending == ".ics" || ending == ".vcs"
}

// readCalendar reads an invitation (RFC 5545): its text, what it attaches, and
// the addresses in its parameters.
func (l *leaf) readCalendar(e *evidence) string {
	s := l.text(e)
	// Long lines are folded: a line end and one space (section 3.1).
	s = strings.NewReplacer("\r\n ", "", "\n ", "", "\r\n\t", "", "\n\t", "").Replace(s)
	via := append(slices.Clone(e.via), "text/calendar")
	var text strings.Builder
	for line := range strings.Lines(s) {
		name, val := calendarLine(strings.TrimRight(line, "\r\n"))
		// Who invites and who is invited are no lure.
		role := e.role
		if (name == "organizer" || name == "attendee") && role == Lure {
			role = Sender
		}
		plain := strings.NewReplacer(`\n`, "\n", `\N`, "\n", `\,`, ",", `\;`, ";", `\\`, `\`).Replace(clean(val))
		switch name {
		case "prodid", "uid", "tzid", "tzurl":
			continue
		case "x-alt-desc":
			p := parsePage(plain, e.c.seen.tlds)
			for _, k := range p.links {
				e.c.add(k.raw, k.role, append(slices.Clone(via), "x-alt-desc:"+k.how), k.text)
			}
			continue
		case "summary", "description", "location":
			text.WriteString(plain + "\n")
		}
		e.c.scanText(plain, role, append(slices.Clone(via), firstOf(name, "line")))
		// ALTREP="https://.." and the like stand before the value.
		if i := len(line) - len(val); i > 0 && schemeAt(line[:min(i, len(line))]) >= 0 {
			e.c.scanText(clean(line[:min(i, len(line))]), role, append(slices.Clone(via), name+":parameter"))
		}
	}
	return text.String()
}

// calendarLine cuts NAME;PARAMETER="..":VALUE.
func calendarLine(line string) (name, val string) {
	quoted := false
	for i := 0; i < len(line); i++ {
		switch line[i] {
		case '"':
			quoted = !quoted
		case ':':
			if !quoted {
				name, _, _ = strings.Cut(line[:i], ";")
				if len(name) > 40 || strings.ContainsAny(name, " .") {
					return "", line
				}
				return strings.ToLower(value(name)), line[i+1:]
			}
		}
	}
	return "", line
}
