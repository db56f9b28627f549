// Package openapi describes routes whose handlers are plain ones, from the types that
// they speak: an OpenAPI 3.1 document to which each of those who serve a site adds theirs.
package openapi

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"bolwerk/internal/web"
)

// Doc is a description in the making.
type Doc struct {
	*huma.OpenAPI
	reg huma.Registry
}

// New is a description without a route.
func New(title, text string) *Doc {
	reg := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	return &Doc{&huma.OpenAPI{OpenAPI: "3.1.0", Info: &huma.Info{Title: title, Version: "1", Description: text}, Components: &huma.Components{Schemas: reg}}, reg}
}

// JSON is the description as it is served.
func (d *Doc) JSON() ([]byte, error) { return json.Marshal(d.OpenAPI) }

// Schema is that of the type of v.
func (d *Doc) Schema(v any) *huma.Schema { return d.reg.Schema(reflect.TypeOf(v), true, "") }

// Text is a text of at most max octets, 0 is unbounded; enum are all that it may be.
func Text(max int, enum ...any) *huma.Schema {
	s := &huma.Schema{Type: huma.TypeString, Enum: enum}
	if max > 0 {
		s.MaxLength = &max
	}
	return s
}

// Answers are the JSON of v with a status, and problems (RFC 9457) with others.
func (d *Doc) Answers(status int, text string, v any, headers map[string]*huma.Param, problems ...int) map[string]*huma.Response {
	out := map[string]*huma.Response{strconv.Itoa(status): {Description: text, Headers: headers, Content: map[string]*huma.MediaType{"application/json": {Schema: d.Schema(v)}}}}
	for _, p := range problems {
		r := &huma.Response{Description: http.StatusText(p), Content: map[string]*huma.MediaType{"application/problem+json": {Schema: d.Schema(web.Problem{})}}}
		if p == http.StatusTooManyRequests || p == http.StatusServiceUnavailable {
			r.Headers = map[string]*huma.Param{"Retry-After": {Description: "seconds to wait", Schema: &huma.Schema{Type: huma.TypeInteger}}}
		}
		out[strconv.Itoa(p)] = r
	}
	return out
}
