// Package api is the desk's JSON interface as capabilities share it: routes with the
// right that each takes, one shape of lists and refusals, and a description of all of
// them in OpenAPI 3.1. What there is to see and do is the capabilities'.
package api

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"bolwerk"
	"bolwerk/internal/account"
	"bolwerk/internal/idem"
)

// Path is the root of the API.
const Path = "/api/v1"

// Routes is the API while capabilities add to it. It answers under Path, describes
// itself at Path/openapi.json, and refuses with problem details (RFC 9457).
type Routes struct {
	door   *account.Door
	once   *idem.Keeper
	log    *slog.Logger
	mux    *http.ServeMux
	huma   huma.API
	rights map[string]account.Right // by pattern; a pattern without is open
	finish []func(*huma.OpenAPI)
}

// New begins an API on a site's mux. door says who asks; once gives a POST with an
// Idempotency-Key one effect.
func New(mux *http.ServeMux, door *account.Door, once *idem.Keeper, log *slog.Logger) *Routes {
	x := &Routes{door: door, once: once, log: log, mux: mux, rights: map[string]account.Right{}}
	x.huma = humago.New(guarded{mux, x}, huma.Config{
		OpenAPI: &huma.OpenAPI{
			Info: &huma.Info{
				Title:   "Bolwerk",
				Version: "1",
				Description: "The desk. Ids are strings; where a path takes an {id} it takes the number that people use (C-2026-000001) " +
					"and the name too. Lists are newest first and have pages: `next` is the `cursor` of the page after. Times are UTC, RFC 3339. " +
					"A POST may carry an `Idempotency-Key`: repeated within 24 hours it has one effect and the same answer (409 where the desk carried it out and was stopped before it answered); with another body it is refused with 422.",
			},
			Components: &huma.Components{
				Schemas: huma.NewMapRegistry("#/components/schemas/", schemaName),
				SecuritySchemes: map[string]*huma.SecurityScheme{
					"token":   {Type: "http", Scheme: "bearer", Description: "A personal token: bolwerk token create, or the account page of the console."},
					"session": {Type: "apiKey", In: "cookie", Name: "bolwerk_session", Description: "A log-in to the console."},
				},
			},
			Security: []map[string][]string{{"token": {}}, {"session": {}}},
		},
		Formats:       map[string]huma.Format{"application/json": huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat},
		DefaultFormat: "application/json",
		Transformers:  []huma.Transformer{ourProblem},
	})
	return x
}

// Schemas are the shapes of all bodies.
func (x *Routes) Schemas() huma.Registry { return x.huma.OpenAPI().Components.Schemas }

// OpenAPI is the description so far.
func (x *Routes) OpenAPI() *huma.OpenAPI { return x.huma.OpenAPI() }

// Later calls fn once all routes are there, before the description is written.
func (x *Routes) Later(fn func(*huma.OpenAPI)) { x.finish = append(x.finish, fn) }

// Done ends the adding, and serves the description.
func (x *Routes) Done() {
	doc := x.huma.OpenAPI()
	x.describe(doc)
	for _, fn := range x.finish {
		fn(doc)
	}
	x.illustrate(doc)
	delete(doc.Components.Schemas.Map(), "ErrorModel") // huma's own; ours is Problem
	spec, err := json.Marshal(doc)
	if err != nil {
		panic(err) // made of our own types: a bug at start-up
	}
	x.mux.HandleFunc("GET "+Path+"/openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/openapi+json")
		w.Write(spec) // a broken connection is all that can go wrong
	})
}

// first is the capability whose types have their names without its own before them:
// programs know them so.
const first = "shield"

// schemaName is the type's own name; another capability's begins with that one's, and
// so does a page of them.
func schemaName(t reflect.Type, hint string) string {
	name := huma.DefaultSchemaNamer(t, hint)
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	path := t.PkgPath()
	if _, of, generic := strings.Cut(t.Name(), "["); generic {
		path = of // a page of what a capability has is the capability's
	}
	rest, ok := strings.CutPrefix(path, "bolwerk/")
	whose, _, _ := strings.Cut(rest, "/")
	if ok && whose != "internal" && whose != "desk" && whose != first {
		return strings.ToUpper(whose[:1]) + whose[1:] + name
	}
	return name
}

// guarded puts who may, and the Idempotency-Key, before each route. Routes stand
// on the site's own mux, so that its frame answers what there is not.
type guarded struct {
	*http.ServeMux
	routes *Routes
}

func (g guarded) HandleFunc(pattern string, h func(http.ResponseWriter, *http.Request)) {
	right, ok := g.routes.rights[pattern]
	if !ok {
		g.ServeMux.HandleFunc(pattern, h)
		return
	}
	person := func(r *http.Request) string { return Who(r.Context()).ID }
	g.ServeMux.Handle(pattern, g.routes.Let(right, g.routes.once.Wrap(person, http.HandlerFunc(h))))
}

type whoKey struct{}

// Who is the person behind a request that Let passed.
func Who(ctx context.Context) account.Person {
	p, _ := ctx.Value(whoKey{}).(account.Person)
	return p
}

// Let lets a request through when its person may do this. Who may decide may
// look at what it decides.
func (x *Routes) Let(right account.Right, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, err := x.door.Identify(r)
		switch {
		case errors.Is(err, bolwerk.ErrForbidden):
			w.Header().Set("WWW-Authenticate", `Bearer realm="bolwerk"`)
			err = bolwerk.WithHint(bolwerk.Forbidden("no valid token or session came with this request"), "bolwerk token create makes a token; --token-file names its file")
			refusal := x.Explain(r.Context(), err)
			refusal.Status, refusal.Title = http.StatusUnauthorized, http.StatusText(http.StatusUnauthorized)
			refusal.Write(w)
		case err != nil:
			x.Explain(r.Context(), err).Write(w)
		case p.May(right) || right == account.Look && p.May(account.Decide):
			h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), whoKey{}, p)))
		default:
			w.Header().Set("WWW-Authenticate", `Bearer realm="bolwerk", error="insufficient_scope"`) // RFC 6750: not this request, but who asks
			x.Explain(r.Context(), mayNot(p, right)).Write(w)
		}
	})
}

func mayNot(p account.Person, right account.Right) error {
	if scope := map[account.Right]account.Scope{account.Look: account.Read, account.Decide: account.DecideScope, account.Fetch: account.Feed, account.Administer: account.Administrate, account.OwnBrand: account.BrandScope, account.Oversee: account.PrivacyScope}[right]; p.By == account.ByToken {
		as := p
		as.By = account.BySession
		if as.May(right) {
			return bolwerk.WithHint(bolwerk.Forbidden("this token lacks the scope %s", scope), "bolwerk token create "+p.Login+" --name NAME --scopes "+string(scope))
		}
	}
	whom := "ask an analyst or a duty officer"
	switch right {
	case account.Administer:
		whom = "ask an administrator"
	case account.Oversee:
		whom = "ask a privacy officer"
	case account.Countersign:
		whom = "ask a privacy officer or a duty officer"
	case account.OwnBrand:
		whom = "it is for somebody of a brand: bolwerk user invite LOGIN --brand NAME"
	}
	return bolwerk.WithHint(bolwerk.Forbidden("the role %s may not do this", p.Role), whom)
}
