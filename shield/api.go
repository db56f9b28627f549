package shield

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"bolwerk"
	"bolwerk/internal/account"
	"bolwerk/internal/idem"
	"bolwerk/internal/web"
	"bolwerk/internal/webhook"
	"bolwerk/shield/aid"
)

// APIPath is the root of the API.
const APIPath = "/api/v1"

// API is the desk's JSON interface: what the console shows and does, for
// programs. It answers under APIPath, describes itself in OpenAPI 3.1 at
// /api/v1/openapi.json, and refuses with problem details (RFC 9457).
type API struct {
	shield *Shield
	door   *account.Door
	once   *idem.Keeper
	log    *slog.Logger
	hooks  *webhook.Hooks
	rights map[string]account.Right // by pattern; a pattern without is open
	spec   []byte
	also   []Also
}

// Also adds another capability's routes to the API. let says which right a pattern
// takes, explain makes the answer of an error, who is the person that asks.
type Also func(api huma.API, let func(pattern string, right account.Right), explain func(context.Context, error) error, who func(context.Context) account.Person)

// Also adds routes; before Routes.
func (a *API) Also(add Also) { a.also = append(a.also, add) }

// NewAPI keeps what it is given. door says who asks; once gives a POST with an
// Idempotency-Key one effect.
func NewAPI(s *Shield, door *account.Door, once *idem.Keeper) *API {
	return &API{shield: s, door: door, once: once, log: s.log, rights: map[string]account.Right{}}
}

// Routes adds the API to a site's mux.
func (a *API) Routes(mux *http.ServeMux) {
	schemas := huma.NewMapRegistry("#/components/schemas/", schemaName)
	schemas.RegisterTypeAlias(reflect.TypeFor[aid.Set](), reflect.TypeFor[[]string]()) // as it is written
	api := humago.New(guarded{mux, a}, huma.Config{
		OpenAPI: &huma.OpenAPI{
			Info: &huma.Info{
				Title:   "Bolwerk",
				Version: "1",
				Description: "The desk. Ids are strings; where a path takes an {id} it takes the number that people use (C-2026-000001) " +
					"and the name too. Lists are newest first and have pages: `next` is the `cursor` of the page after. Times are UTC, RFC 3339. " +
					"A POST may carry an `Idempotency-Key`: repeated within 24 hours it has one effect and the same answer (409 where the desk carried it out and was stopped before it answered); with another body it is refused with 422.",
			},
			Components: &huma.Components{
				Schemas: schemas,
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
	a.cases(api)
	a.blocks(api)
	a.orders(api)
	a.appeals(api)
	a.picture(api)
	a.transparency(api)
	a.figures(api)
	a.automatic(api)
	a.feeds(api, mux)
	a.webhooks(api)
	a.brands(api)
	a.notices(api)
	a.campaigns(api)
	for _, add := range a.also {
		add(api, func(pattern string, right account.Right) { a.rights[pattern] = right }, func(ctx context.Context, err error) error { return a.explain(ctx, err) }, whoAsks)
	}
	a.document(api)
	delete(api.OpenAPI().Components.Schemas.Map(), "ErrorModel") // huma's own; ours is Problem
	spec, err := json.Marshal(api.OpenAPI())
	if err != nil {
		panic(err) // made of our own types: a bug at start-up
	}
	a.spec = spec
	mux.HandleFunc("GET "+APIPath+"/openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/openapi+json")
		w.Write(a.spec) // a broken connection is all that can go wrong
	})
	// Reports go to the public site. A client that knows the desk's address only
	// is sent there.
	for _, pattern := range []string{"POST " + APIPath + "/reports", "GET " + APIPath + "/receipts/{code}"} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, strings.TrimSuffix(a.shield.cfg.PublicURL, "/")+r.URL.EscapedPath(), http.StatusTemporaryRedirect)
		})
	}
}

// schemaName is the type's own name; another capability's begins with that one's.
func schemaName(t reflect.Type, hint string) string {
	name := huma.DefaultSchemaNamer(t, hint)
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	rest, ok := strings.CutPrefix(t.PkgPath(), "bolwerk/")
	if whose, _, _ := strings.Cut(rest, "/"); ok && !slices.Contains([]string{Name, "internal", "desk"}, whose) {
		return strings.ToUpper(whose[:1]) + whose[1:] + name
	}
	return name
}

// guarded puts who may, and the Idempotency-Key, before each route. Routes stand
// on the site's own mux, so that its frame answers what there is not.
type guarded struct {
	*http.ServeMux
	api *API
}

func (g guarded) HandleFunc(pattern string, h func(http.ResponseWriter, *http.Request)) {
	right, ok := g.api.rights[pattern]
	if !ok {
		g.ServeMux.HandleFunc(pattern, h)
		return
	}
	person := func(r *http.Request) string { return whoAsks(r.Context()).ID }
	g.ServeMux.Handle(pattern, g.api.let(right, g.api.once.Wrap(person, http.HandlerFunc(h))))
}

type whoKey struct{}

// whoAsks is the person behind a request that let passed.
func whoAsks(ctx context.Context) account.Person {
	p, _ := ctx.Value(whoKey{}).(account.Person)
	return p
}

// let lets a request through when its person may do this. Who may decide may
// look at what it decides.
func (a *API) let(right account.Right, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, err := a.door.Identify(r)
		switch {
		case errors.Is(err, bolwerk.ErrForbidden):
			w.Header().Set("WWW-Authenticate", `Bearer realm="bolwerk"`)
			err = bolwerk.WithHint(bolwerk.Forbidden("no valid token or session came with this request"), "bolwerk token create makes a token; --token-file names its file")
			refusal := a.explain(r.Context(), err)
			refusal.Status, refusal.Title = http.StatusUnauthorized, http.StatusText(http.StatusUnauthorized)
			refusal.Write(w)
		case err != nil:
			a.explain(r.Context(), err).Write(w)
		case p.May(right) || right == account.Look && p.May(account.Decide):
			h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), whoKey{}, p)))
		default:
			w.Header().Set("WWW-Authenticate", `Bearer realm="bolwerk", error="insufficient_scope"`) // RFC 6750: not this request, but who asks
			a.explain(r.Context(), mayNot(p, right)).Write(w)
		}
	})
}

func mayNot(p account.Person, right account.Right) error {
	if scope := map[account.Right]account.Scope{account.Look: account.Read, account.Decide: account.DecideScope, account.Fetch: account.Feed, account.Administer: account.Administrate, account.OwnBrand: account.BrandScope}[right]; p.By == account.ByToken {
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
	case account.OwnBrand:
		whom = "it is for somebody of a brand: bolwerk user invite LOGIN --brand NAME"
	}
	return bolwerk.WithHint(bolwerk.Forbidden("the role %s may not do this", p.Role), whom)
}

// Problem is why a request was refused (RFC 9457), with a hint what to do next.
type Problem struct{ web.Problem }

func (p *Problem) Error() string { return p.Detail }

// GetStatus is the status to answer with.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType is that of problem details.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// explain makes a Problem of an error, and logs what is not one of our kinds.
func (a *API) explain(ctx context.Context, err error) *Problem {
	p := &Problem{web.Explain(err)}
	p.Type = "about:blank"
	p.Request = web.RequestID(new(http.Request).WithContext(ctx))
	if p.Status == http.StatusInternalServerError && ctx.Err() == nil {
		a.log.Error("API request failed", "request", p.Request, "err", err)
		p.Detail = "the desk could not do it; its log says why"
	}
	return p
}

// ourProblem makes what huma says about input that does not fit one of ours.
func ourProblem(ctx huma.Context, _ string, v any) (any, error) {
	e, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	p := &Problem{web.Problem{Type: "about:blank", Title: e.Title, Status: e.Status, Detail: e.Detail, Hint: "the shape of each request is in " + APIPath + "/openapi.json"}}
	p.Request = web.RequestID(new(http.Request).WithContext(ctx.Context()))
	var parts []string
	for _, d := range e.Errors {
		parts = append(parts, strings.TrimPrefix(d.Location+": ", ": ")+d.Message)
	}
	if len(parts) > 0 {
		p.Detail = strings.Join(parts, "; ")
	}
	return p, nil
}

// answer is a body.
type answer[T any] struct{ Body T }

// page is a part of a list.
type page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty" doc:"cursor of the page after; absent on the last"`
}

// Window is which page is asked for.
type Window struct {
	Cursor string `query:"cursor" maxLength:"100" doc:"next of the page before"`
	Limit  int    `query:"limit" minimum:"1" maximum:"500" default:"100" doc:"items a page"`
}

// paged makes a page of the rows that a list gave for w.
func paged[T any](w Window, rows []T, id func(T) string) *answer[page[T]] {
	if rows == nil {
		rows = []T{}
	}
	p := page[T]{Items: rows}
	if len(rows) == w.Limit {
		p.Next = id(rows[len(rows)-1])
	}
	return &answer[page[T]]{Body: p}
}

// add makes a route. right says who is let in.
func add[I, O any](a *API, api huma.API, right account.Right, method, path, summary string, fn func(context.Context, *I) (*O, error)) {
	a.rights[method+" "+APIPath+path] = right
	open(a, api, huma.Operation{Method: method, Path: APIPath + path, Summary: summary}, fn)
}

// open makes a route that asks for no token.
func open[I, O any](a *API, api huma.API, op huma.Operation, fn func(context.Context, *I) (*O, error)) {
	op.OperationID = strings.ToLower(op.Method) + strings.NewReplacer("/", "-", "{", "", "}", "").Replace(strings.TrimPrefix(op.Path, APIPath))
	problem := api.OpenAPI().Components.Schemas.Schema(problemType, true, "Problem")
	op.Responses = map[string]*huma.Response{"default": {Description: "Refused, and why", Content: map[string]*huma.MediaType{"application/problem+json": {Schema: problem}}}}
	huma.Register(api, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := fn(ctx, in)
		if err != nil {
			p := a.explain(ctx, err)
			if p.After > 0 {
				return nil, huma.ErrorWithHeaders(p, http.Header{"Retry-After": {strconv.Itoa(p.After)}})
			}
			return nil, p
		}
		return out, nil
	})
}
