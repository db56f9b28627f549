package reading

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"bolwerk"
)

// Party is who stands behind a report of XARF.
type Party struct {
	Org     string `json:"org"`
	Contact string `json:"contact"` // mail address
	Domain  string `json:"domain"`
}

// ToXARF is an event as a report in XARF 4, to hand on to whom the line was lent: by is
// both its reporter and its sender, so that nothing of who reported to us is in it. id
// names the report: the same id gives the same report_id.
//
// Of the category and type that come nearest, a report must hold more than every event
// has. Then it goes as the nearest that it can be. Its class is in the description for
// people, and in a tag (rsit:TYPE) from which our reader has it back.
// The result is held against the schema; bolwerk.ErrInvalid says that it cannot be told.
func ToXARF(e Event, by Party, id string) ([]byte, error) {
	o := object{"xarf_version": "4.2.0", "report_id": nameID(id), "timestamp": e.Time.UTC().Format(time.RFC3339),
		"reporter": by, "sender": by, "description": "Class: " + string(e.Class) + "."}
	if _, typ, ok := strings.Cut(string(e.Class), "/"); ok {
		o["tags"] = []string{tagRSIT + typ}
	}
	switch {
	case e.SourceIP.IsValid():
		o["source_identifier"] = e.SourceIP.String()
	case e.SourceDomain != "":
		o["source_identifier"] = e.SourceDomain
	case e.SourceURL != "":
		o["source_identifier"] = e.SourceURL
	default:
		return nil, bolwerk.Invalid("the event names no source")
	}
	set := func(key string, v any, there bool) {
		if there {
			o[key] = v
		}
	}
	set("source_port", e.SourcePort, e.SourcePort > 0)
	set("destination_ip", e.DestinationIP.String(), e.DestinationIP.IsValid())
	set("destination_port", e.DestinationPort, e.DestinationPort > 0)
	set("url", e.SourceURL, e.SourceURL != "")
	first := e.Time
	if !e.From.IsZero() {
		first = e.From
		set("last_seen", e.To.UTC().Format(time.RFC3339), !e.To.IsZero())
	}
	service := e.Application
	if service == "" {
		service = e.Kind
	}
	if service == "" {
		service = "unknown"
	}
	kinds := []string{e.XARF}
	if strings.HasPrefix(e.XARF, "vulnerability/") || e.Role == Exposed {
		kinds = append(kinds, "vulnerability/open_service")
	}
	kinds = append(kinds, "infrastructure/compromised_server")
	var last error
	for _, kind := range kinds {
		category, typ, ok := strings.Cut(kind, "/")
		if !ok {
			continue
		}
		r := object{"category": category, "type": typ}
		for k, v := range o {
			r[k] = v
		}
		switch category {
		case "connection":
			r["protocol"], r["first_seen"] = e.Protocol, first.UTC().Format(time.RFC3339)
			if typ == "vulnerability_scan" {
				r["scan_type"] = "vulnerability_scan"
			}
		case "messaging":
			r["protocol"] = "other" // "smtp" wants the sender's address, which is nobody's business
		case "vulnerability":
			r["service"] = service
			if e.SourcePort > 0 {
				r["service_port"] = e.SourcePort
			}
		case "infrastructure":
			if typ == "botnet" {
				what := e.Malware
				if what == "" {
					what = string(e.Class)
				}
				r["compromise_evidence"] = what
			} else {
				r["compromise_method"] = "unknown"
			}
		}
		b, err := json.Marshal(r)
		if err != nil {
			return nil, err
		}
		var plain map[string]any
		if err := json.Unmarshal(b, &plain); err != nil {
			return nil, err
		}
		if last = valid(object(plain)); last == nil {
			return b, nil
		}
	}
	return nil, bolwerk.Invalid("the event cannot be told in XARF: %v", last)
}

// nameID is a UUID (version 4 in form) that a name always gives.
func nameID(name string) string {
	b := sha256.Sum256([]byte("bolwerk xarf " + name))
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:16])
}
