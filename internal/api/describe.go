package api

import (
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"bolwerk/internal/account"
)

// each calls fn for every operation of a description.
func each(doc *huma.OpenAPI, fn func(method, path string, op *huma.Operation)) {
	for path, item := range doc.Paths {
		for method, op := range map[string]*huma.Operation{http.MethodGet: item.Get, http.MethodPost: item.Post, http.MethodPut: item.Put, http.MethodDelete: item.Delete} {
			if op != nil {
				fn(method, path, op)
			}
		}
	}
}

// describe completes the description of every operation from what the routes already
// say: who may, how a list goes on, how it is refused.
func (x *Routes) describe(doc *huma.OpenAPI) {
	for _, s := range doc.Components.Schemas.Map() {
		wide(s, 0)
	}
	each(doc, func(method, path string, op *huma.Operation) {
		if len(op.Tags) == 0 {
			first, _, _ := strings.Cut(strings.TrimPrefix(path, Path+"/"), "/")
			op.Tags = []string{first}
		}
		right, guarded := x.rights[method+" "+path]
		op.Description = strings.TrimSpace(op.Description + " " + whoMay(right, guarded, op))
		if slices.ContainsFunc(op.Parameters, func(p *huma.Param) bool { return p.Name == "cursor" }) {
			op.Description += " A page holds up to `limit` items; send `next` as `cursor` for the page after, until there is no `next`."
		}
		if method == http.MethodPost && guarded {
			op.Parameters = append(op.Parameters, &huma.Param{Name: "Idempotency-Key", In: "header", Schema: &huma.Schema{Type: huma.TypeString},
				Description: "a text of your own for this request: sent again within 24 hours it has one effect and the same answer"})
		}
		for status, when := range refusals(method, path, guarded) {
			if op.Responses[status] == nil {
				op.Responses[status] = x.Refused(when)
			}
		}
	})
}

// illustrate puts an example beside every body that has none. A test holds each
// against its schema.
func (x *Routes) illustrate(doc *huma.OpenAPI) {
	e := exampler{doc.Components.Schemas}
	each(doc, func(_, _ string, op *huma.Operation) {
		if op.RequestBody != nil {
			for _, m := range op.RequestBody.Content {
				if m.Example == nil && m.Schema != nil {
					m.Example = e.of("", m.Schema, 0)
				}
			}
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
	})
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

func whoMay(right account.Right, guarded bool, op *huma.Operation) string {
	switch {
	case !guarded && len(op.Security) == 1 && len(op.Security[0]) == 0:
		return "Needs no token."
	case !guarded:
		return "Needs what its description says."
	}
	return map[account.Right]string{
		account.Look:        "Needs a token of the scope `read` (or `decide`), or a session.",
		account.Decide:      "Needs a token of the scope `decide`, or a session, of an analyst or a duty officer.",
		account.Lead:        "Needs a session of a duty officer.",
		account.Administer:  "Needs a token of the scope `admin`, or a session, of an administrator.",
		account.Fetch:       "Needs a token of the scope `feed` or `read`, or a session.",
		account.Oversee:     "Needs a token of the scope `privacy`, or a session, of a privacy officer.",
		account.Countersign: "Needs a session of a privacy officer or a duty officer.",
		account.OwnBrand:    "Needs a token of the scope `brand`, or a session, of somebody of a brand. What is another brand's is not there: 404.",
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
	}
	return out
}
