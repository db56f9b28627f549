package api

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"bolwerk/internal/account"
)

// Add makes a route under Path. right says who is let in.
func Add[I, O any](x *Routes, right account.Right, method, path, summary string, fn func(context.Context, *I) (*O, error)) {
	AddUpTo(x, 0, right, method, path, summary, fn)
}

// AddUpTo makes a route that takes bodies of up to most octets; 1 MiB where most is 0.
func AddUpTo[I, O any](x *Routes, most int64, right account.Right, method, path, summary string, fn func(context.Context, *I) (*O, error)) {
	x.rights[method+" "+Path+path] = right
	Open(x, huma.Operation{Method: method, Path: Path + path, Summary: summary, MaxBodyBytes: most}, fn)
}

// Open makes a route that asks for no token.
func Open[I, O any](x *Routes, op huma.Operation, fn func(context.Context, *I) (*O, error)) {
	op.OperationID = strings.ToLower(op.Method) + strings.NewReplacer("/", "-", "{", "", "}", "").Replace(strings.TrimPrefix(op.Path, Path))
	op.Responses = map[string]*huma.Response{"default": x.Refused("Refused, and why")}
	huma.Register(x.huma, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := fn(ctx, in)
		if err != nil {
			p := x.Explain(ctx, err)
			if p.After > 0 {
				return nil, huma.ErrorWithHeaders(p, http.Header{"Retry-After": {strconv.Itoa(p.After)}})
			}
			return nil, p
		}
		return out, nil
	})
}
