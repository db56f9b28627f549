package api

import (
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

func refusalExample(status string) map[string]any {
	n, title, detail := 409, "Conflict", "B-2026-000001 (merelbank-inloggen.example) is withdrawn already"
	switch status {
	case "401":
		n, title, detail = 401, "Unauthorized", "no valid token or session came with this request"
	case "403":
		n, title, detail = 403, "Forbidden", "this token lacks the scope decide"
	case "404":
		n, title, detail = 404, "Not Found", `no block "B-2026-000009"`
	case "429":
		n, title, detail = 429, "Too Many Requests", "60 in an hour is the most that one person can send"
	case "422":
		n, title, detail = 422, "Unprocessable Entity", "body.reason: expected required property reason to be present"
	}
	return map[string]any{"type": "about:blank", "title": title, "status": n, "detail": detail, "hint": "bolwerk block list shows the blocks and their ids", "request": "9f2c4e1ab03d5577"}
}

// exampler makes an example of a schema out of what fields are called.
type exampler struct{ schemas huma.Registry }

// examples are by the name of a field; they are used where the schema takes them.
var examples = map[string]string{
	"id": "01a21492-56aa-7b0e-9a57-2e416fbf9371", "ref": "B-2026-000001", "name": "merelbank-inloggen.example", "value": "merelbank-inloggen.example",
	"reason": "asks for the bank password", "brand": "Merelbank", "for": "72h", "next": "01a21492-56aa-7b0e-9a57-2e416fbf9371", "cursor": "",
	"url": "https://siem.example/bolwerk", "subjects": "shield.block", "actor": "person:01a21492-4c1e-7d02-8a6b-5f2d90e0b7c1", "operator": "Polder Telecom",
	"by": "Polder Telecom", "by_public": "Polder Telecom", "ground": "policy", "legal": "Regulation (EU) 2015/2120 art. 3(3)(b)", "class": "phishing", "case": "C-2026-000001",
	"text": "This is my own site; the form was removed.", "issuer": "national-cert", "ruleset": "1", "salt": "91e5dcf895151158c9ce59a3d18e489bb8215e0b87339f9f6c776dd87891e0a9",
	"why": "our card service, see our imprint", "campaign": "K-2026-000001",
	"key": "shield.example/log+793de025+AayJRDByuKPFKJj63bz5aDJ7Wug2AS2FmRt2LPsqt3Va", "note": "SIEM", "digest": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
}

const exampleDepth = 6

func (e exampler) of(name string, s *huma.Schema, depth int) any {
	if s.Ref != "" {
		s = e.schemas.SchemaFromRef(s.Ref)
	}
	switch {
	case len(s.Examples) > 0:
		return s.Examples[0]
	case len(s.Enum) > 0:
		return s.Enum[0]
	case s.Default != nil:
		return s.Default
	}
	switch s.Type {
	case huma.TypeObject:
		return e.object(s, depth)
	case huma.TypeArray:
		if depth >= exampleDepth || s.Items == nil {
			return []any{}
		}
		return []any{e.of(name, s.Items, depth+1)}
	case huma.TypeString:
		return e.text(name, s)
	case huma.TypeInteger:
		return int64(bound(s, 3))
	case huma.TypeNumber:
		return bound(s, 0.5)
	case huma.TypeBoolean:
		return false
	}
	return map[string]any{}
}

func (e exampler) object(s *huma.Schema, depth int) map[string]any {
	out := map[string]any{}
	for k, p := range s.Properties {
		required := slices.Contains(s.Required, k)
		// What a request may leave out and what would contradict the rest stays out.
		if !required && (depth >= exampleDepth || k == "until" || k == "cursor" || k == "permanent" || k == "finish" || k == "proposal" || k == "objections") {
			continue
		}
		out[k] = e.of(k, p, depth+1)
	}
	if more, ok := s.AdditionalProperties.(*huma.Schema); ok && depth < exampleDepth {
		out["example"] = e.of("", more, depth+1)
	}
	return out
}

func (e exampler) text(name string, s *huma.Schema) string {
	switch s.Format {
	case "date-time":
		return "2026-11-25T21:17:44Z"
	case "date":
		return "2026-11-25"
	case "uri":
		return "https://shield.example/r/4H7K-2M9Q"
	}
	text, ok := examples[name]
	if !ok {
		text = strings.ReplaceAll(name, "_", " ")
	}
	if s.MaxLength != nil && len(text) > *s.MaxLength {
		text = text[:*s.MaxLength]
	}
	if s.ContentEncoding == "base64" {
		return "RnJvbTogYUBiLmV4YW1wbGUK"
	}
	if s.MinLength != nil && len(text) < *s.MinLength {
		text += strings.Repeat(".", *s.MinLength-len(text))
	}
	return text
}

func bound(s *huma.Schema, want float64) float64 {
	if s.Minimum != nil {
		want = max(want, *s.Minimum)
	}
	if s.Maximum != nil {
		want = min(want, *s.Maximum)
	}
	return want
}
