package door

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"

	"bolwerk/internal/openapi"
)

// Every route of the API is described, and its answers are as they are described.
func TestTheAPIIsDescribed(t *testing.T) {
	doc := openapi.New("", "")
	Describe(doc)
	op := func(method, path string) *huma.Operation {
		p := doc.Paths[path]
		switch {
		case p == nil:
			return nil
		case method == "POST":
			return p.Post
		}
		return p.Get
	}
	s := site(t)
	n := 0
	for pattern := range s.routes() {
		if method, path, _ := strings.Cut(pattern, " "); strings.HasPrefix(path, "/api/") {
			if n++; op(method, path) == nil {
				t.Errorf("%s is not described", pattern)
			}
		}
	}
	if n != len(doc.Paths) {
		t.Errorf("%d routes, %d described", n, len(doc.Paths))
	}
	check := func(method, path string, want int, w *httptest.ResponseRecorder) {
		t.Helper()
		resp := op(method, path).Responses[fmt.Sprint(w.Code)]
		if w.Code != want || resp == nil || resp.Content[w.Header().Get("Content-Type")] == nil {
			t.Fatalf("%s %s: %d as %s, want %d: %s", method, path, w.Code, w.Header().Get("Content-Type"), want, w.Body)
		}
		var v any
		if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
			t.Fatal(err)
		}
		var res huma.ValidateResult
		huma.Validate(doc.Components.Schemas, resp.Content[w.Header().Get("Content-Type")].Schema, huma.NewPathBuffer(nil, 0), huma.ModeReadFromServer, v, &res)
		if len(res.Errors) > 0 {
			t.Errorf("%s %s: %s does not fit: %v", method, path, w.Body, res.Errors)
		}
	}
	const reports = "/api/v1/abuse/reports"
	w := s.do("POST", reports, "text/csv", "a,b\n1,2\n", "Idempotency-Key", "k")
	check("POST", reports, 201, w)
	check("POST", reports, 422, s.do("POST", reports, "text/csv", "a,b\n1,3\n", "Idempotency-Key", "k"))
	check("POST", reports, 415, s.do("POST", reports, "image/png", "x"))
	check("POST", reports, 400, s.do("POST", reports, "application/json", "x"))
	check("GET", reports+"/{code}", 200, s.do("GET", w.Header().Get("Location"), "", ""))
	check("GET", reports+"/{code}", 503, s.do("GET", reports+"/abcdefghjkmnpqrstuvwxyz023", "", ""))
	s.full = true
	check("POST", reports, 503, s.do("POST", reports, "text/csv", "a,b\n1,2\n"))
}
