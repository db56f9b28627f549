package shield_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"bolwerk/internal/account"
)

// description is the document as a generator of clients reads it.
type description struct {
	t   *testing.T
	raw map[string]any
	c   *jsonschema.Compiler
}

const descriptionURL = "https://desk.example/openapi.json"

func readDescription(t *testing.T, d *apiDesk) *description {
	t.Helper()
	text := d.ask("", "GET", "/openapi.json", "").want(t, 200).raw
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	if err := c.AddResource(descriptionURL, v); err != nil {
		t.Fatal(err)
	}
	return &description{t, v.(map[string]any), c}
}

// schema compiles the schema at a place in the document.
func (d *description) schema(place ...string) *jsonschema.Schema {
	d.t.Helper()
	for i, p := range place {
		place[i] = url.PathEscape(strings.NewReplacer("~", "~0", "/", "~1").Replace(p))
	}
	s, err := d.c.Compile(descriptionURL + "#/" + strings.Join(place, "/"))
	if err != nil {
		d.t.Fatalf("%s: %v", strings.Join(place, "/"), err)
	}
	return s
}

func (d *description) operations(fn func(path, method string, op map[string]any)) {
	for path, item := range d.raw["paths"].(map[string]any) {
		for method, op := range item.(map[string]any) {
			fn(path, method, op.(map[string]any))
		}
	}
}

func TestTheDescriptionIsWhole(t *testing.T) {
	doc := readDescription(t, newAPIDesk(t))
	refs(t, doc.raw, doc.raw)
	schemes := doc.raw["components"].(map[string]any)["securitySchemes"].(map[string]any)
	if schemes["token"] == nil || schemes["session"] == nil {
		t.Error("not every way in is described")
	}
	doc.operations(func(path, method string, op map[string]any) {
		t.Run(method+" "+path, func(t *testing.T) {
			for _, k := range []string{"operationId", "summary", "description", "tags"} {
				if op[k] == nil || op[k] == "" {
					t.Errorf("no %s", k)
				}
			}
			base := []string{"paths", path, method}
			if body, ok := op["requestBody"].(map[string]any); ok {
				doc.content(t, append(base, "requestBody"), body)
			}
			responses := op["responses"].(map[string]any)
			good := false
			for status, r := range responses {
				good = good || status[0] == '2'
				doc.content(t, append(base, "responses", status), r.(map[string]any))
			}
			if !good || responses["default"] == nil {
				t.Errorf("responses %v: want a good one and how it is refused", responses)
			}
			// Every part of the path is a parameter.
			for part := range strings.SplitSeq(path, "/") {
				name, ok := strings.CutPrefix(part, "{")
				if name = strings.TrimSuffix(name, "}"); !ok {
					continue
				}
				found := false
				params, _ := op["parameters"].([]any)
				for _, p := range params {
					p := p.(map[string]any)
					found = found || p["name"] == name && p["in"] == "path" && p["required"] == true
				}
				if !found {
					t.Errorf("the parameter %s is not described", name)
				}
			}
		})
	})
}

// content holds each example against its schema.
func (d *description) content(t *testing.T, at []string, of map[string]any) {
	t.Helper()
	all, _ := of["content"].(map[string]any)
	for kind, m := range all {
		m := m.(map[string]any)
		if m["schema"] == nil {
			t.Errorf("%s %s: no schema", strings.Join(at, "/"), kind)
			continue
		}
		if !strings.Contains(kind, "json") {
			continue
		}
		if m["example"] == nil {
			t.Errorf("%s %s: no example", strings.Join(at, "/"), kind)
			continue
		}
		if err := d.schema(append(append([]string{}, at...), "content", kind, "schema")...).Validate(m["example"]); err != nil {
			b, _ := json.Marshal(m["example"])
			t.Errorf("%s %s: the example %s: %v", strings.Join(at, "/"), kind, b, err)
		}
	}
}

// refs follows every reference.
func refs(t *testing.T, root, v any) {
	switch v := v.(type) {
	case map[string]any:
		if ref, ok := v["$ref"].(string); ok {
			at := root
			for part := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
				m, _ := at.(map[string]any)
				at = m[part]
			}
			if at == nil {
				t.Errorf("%s leads nowhere", ref)
			}
		}
		for _, x := range v {
			refs(t, root, x)
		}
	case []any:
		for _, x := range v {
			refs(t, root, x)
		}
	}
}

// A client that knows nothing but the description: it asks for everything that
// can be asked for and holds each answer against its schema.
func TestAClientMadeOfTheDescriptionIsUnderstood(t *testing.T) {
	d := newAPIDesk(t)
	who := d.token("ann", account.Read, account.DecideScope)
	d.ask(who, "POST", "/blocks", `{"name":"bad.example","reason":"seen"}`).want(t, 201)
	d.ask(who, "POST", "/exemptions", `{"name":"good.example","reason":"ours"}`).want(t, 201)
	doc := readDescription(t, d)
	admin := d.token("root", account.Read, account.Administrate)
	asked := 0
	doc.operations(func(path, method string, op map[string]any) {
		if method != "get" {
			return
		}
		t.Run(path, func(t *testing.T) {
			to := strings.NewReplacer("{id}", "bad.example", "{name}", "bad.example").Replace(strings.TrimPrefix(path, "/api/v1"))
			token := who
			if strings.Contains(op["description"].(string), "`admin`") {
				token = admin
			}
			r := d.ask(token, "GET", to, "")
			responses := op["responses"].(map[string]any)
			status := http.StatusText(r.status)
			code := string([]byte{byte('0' + r.status/100), byte('0' + r.status/10%10), byte('0' + r.status%10)})
			answer, ok := responses[code].(map[string]any)
			if !ok {
				code = "default"
				answer = responses[code].(map[string]any)
			}
			if r.status >= 500 {
				t.Fatalf("%s: %s: %s", to, status, r.raw)
			}
			kind, _, _ := strings.Cut(r.header.Get("Content-Type"), ";")
			content, _ := answer["content"].(map[string]any)
			if content[kind] == nil {
				t.Fatalf("%s: %s answers %q, which is not described", to, status, kind)
			}
			if !strings.Contains(kind, "json") || strings.HasPrefix(to, "/feeds/") {
				return
			}
			v, err := jsonschema.UnmarshalJSON(bytes.NewReader([]byte(r.raw)))
			if err != nil {
				t.Fatal(err)
			}
			if err := doc.schema("paths", path, "get", "responses", code, "content", kind, "schema").Validate(v); err != nil {
				t.Errorf("%s: %v in %s", to, err, r.raw)
			}
			if r.status < 300 {
				asked++
			}
		})
	})
	if asked < 10 {
		t.Errorf("only %d answers were good", asked)
	}
}
