package api

import (
	"context"
	"net/http"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"bolwerk/internal/web"
)

// Problem is why a request was refused (RFC 9457), with a hint what to do next.
type Problem struct{ web.Problem }

func (p *Problem) Error() string { return p.Detail }

// GetStatus is the status to answer with.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType is that of problem details.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// Explain makes a Problem of an error, and logs what is not one of our kinds.
func (x *Routes) Explain(ctx context.Context, err error) *Problem {
	p := &Problem{web.Explain(err)}
	p.Type = "about:blank"
	p.Request = web.RequestID(new(http.Request).WithContext(ctx))
	if p.Status == http.StatusInternalServerError && ctx.Err() == nil {
		x.log.Error("API request failed", "request", p.Request, "err", err)
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
	p := &Problem{web.Problem{Type: "about:blank", Title: e.Title, Status: e.Status, Detail: e.Detail, Hint: "the shape of each request is in " + Path + "/openapi.json"}}
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

var problemType = reflect.TypeFor[Problem]()

// Refused is how the description says that an operation may refuse.
func (x *Routes) Refused(what string) *huma.Response {
	return &huma.Response{Description: what, Content: map[string]*huma.MediaType{"application/problem+json": {Schema: x.Schemas().Schema(problemType, true, "Problem")}}}
}
