package shield

import (
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"bolwerk/internal/account"
)

// document completes the description of every operation, from what the routes
// already say: who may, how a list goes on, how it is refused, and an example of
// what is sent and answered. A test holds each example against its schema.
func (a *API) document(api huma.API) {
	doc := api.OpenAPI()
	for _, s := range doc.Components.Schemas.Map() {
		wide(s, 0)
	}
	problem := doc.Components.Schemas.Schema(problemType, true, "Problem")
	for path, item := range doc.Paths {
		for method, op := range map[string]*huma.Operation{http.MethodGet: item.Get, http.MethodPost: item.Post} {
			if op != nil {
				a.documentOne(doc.Components.Schemas, problem, method, path, op)
			}
		}
	}
}

func (a *API) documentOne(schemas huma.Registry, problem *huma.Schema, method, path string, op *huma.Operation) {
	if len(op.Tags) == 0 {
		first, _, _ := strings.Cut(strings.TrimPrefix(path, APIPath+"/"), "/")
		op.Tags = []string{first}
	}
	right, guarded := a.rights[method+" "+path]
	op.Description = strings.TrimSpace(op.Description + " " + a.who(right, guarded, op))
	if slices.ContainsFunc(op.Parameters, func(p *huma.Param) bool { return p.Name == "cursor" }) {
		op.Description += " A page holds up to `limit` items; send `next` as `cursor` for the page after, until there is no `next`."
	}
	if method == http.MethodPost && guarded {
		op.Parameters = append(op.Parameters, &huma.Param{Name: "Idempotency-Key", In: "header", Schema: &huma.Schema{Type: huma.TypeString},
			Description: "a text of your own for this request: sent again within 24 hours it has one effect and the same answer"})
	}
	for status, when := range refusals(method, path, guarded) {
		if op.Responses[status] == nil {
			op.Responses[status] = &huma.Response{Description: when, Content: map[string]*huma.MediaType{"application/problem+json": {Schema: problem}}}
		}
	}
	a.statuses(method, path, op)
	e := exampler{schemas}
	if op.RequestBody != nil {
		for _, m := range op.RequestBody.Content {
			if m.Example == nil && m.Schema != nil {
				m.Example = e.of("", m.Schema, 0)
			}
		}
	}
	// A file says in its header what it is.
	for _, kind := range map[string][]string{APIPath + "/figures/csv": {"text/csv"}, APIPath + "/figures/report": {"text/html", "application/pdf"}}[path] {
		delete(op.Responses["200"].Content, "application/octet-stream")
		if op.Responses["200"].Content == nil {
			op.Responses["200"].Content = map[string]*huma.MediaType{}
		}
		op.Responses["200"].Content[kind] = &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString}}
	}
	for status, r := range op.Responses {
		for kind, m := range r.Content {
			switch {
			case m.Example != nil || m.Schema == nil:
			case kind == "application/problem+json":
				m.Example = refusalExample(status)
			case kind == "application/json":
				m.Example = e.of("", m.Schema, 0)
			}
		}
	}
}

// statuses describes those answers that are not 200: what was made, and what waits
// for a second person.
func (a *API) statuses(method, path string, op *huma.Operation) {
	if method != http.MethodPost {
		return
	}
	also := func(status, what string) {
		op.Responses[status] = &huma.Response{Description: what, Content: map[string]*huma.MediaType{"application/json": {Schema: op.Responses["200"].Content["application/json"].Schema}}}
	}
	const made, waits = "Done: it is committed", "A second person must approve it: nothing is in force yet"
	switch path {
	case APIPath + "/blocks", APIPath + "/exemptions":
		also("201", made)
		also("202", waits)
		op.Responses["200"].Description = "With dry_run: what would come of it"
	case APIPath + "/cases/{id}/confirm":
		also("202", waits)
	case APIPath + "/webhooks":
		also("201", made)
		delete(op.Responses, "200")
	}
}

// wide makes room for numbers of 32 bits without a sign, as serials are: generated
// clients would take them for numbers with one.
func wide(s *huma.Schema, depth int) {
	if s == nil || depth > exampleDepth {
		return
	}
	if s.Type == huma.TypeInteger && s.Format == "int32" && s.Minimum != nil && *s.Minimum == 0 {
		s.Format = "int64"
	}
	for _, p := range s.Properties {
		wide(p, depth+1)
	}
	wide(s.Items, depth+1)
}

func (a *API) who(right account.Right, guarded bool, op *huma.Operation) string {
	switch {
	case !guarded && len(op.Security) == 1 && len(op.Security[0]) == 0:
		return "Needs no token."
	case !guarded:
		return "Needs what its description says."
	}
	return map[account.Right]string{
		account.Look:       "Needs a token of the scope `read` (or `decide`), or a session.",
		account.Decide:     "Needs a token of the scope `decide`, or a session, of an analyst or a duty officer.",
		account.Lead:       "Needs a session of a duty officer.",
		account.Administer: "Needs a token of the scope `admin`, or a session, of an administrator.",
		account.Fetch:      "Needs a token of the scope `feed` or `read`, or a session.",
		account.OwnBrand:   "Needs a token of the scope `brand`, or a session, of somebody of a brand. What is another brand's is not there: 404.",
	}[right]
}

// refusals are the statuses with which an operation may refuse.
func refusals(method, path string, guarded bool) map[string]string {
	out := map[string]string{}
	if guarded {
		out["401"] = "No valid token or session came with the request"
		out["403"] = "Its person, or the token's scopes, do not allow it; or a guard refuses"
		out["422"] = "The request does not have the shape that this description gives"
	}
	if strings.Contains(path, "{") {
		out["404"] = "There is no such thing"
	}
	if method == http.MethodPost && guarded {
		out["409"] = "It is done already, or has changed since"
		if strings.HasPrefix(path, APIPath+"/brand/") {
			out["429"] = "Too often in an hour; Retry-After says in how many seconds"
		}
	}
	return out
}

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
