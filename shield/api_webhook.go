package shield

import (
	"context"
	"net/http"
	"time"

	"bolwerk/internal/account"
	"bolwerk/internal/api"
	"bolwerk/internal/webhook"
)

// NewHook is a receiver that was added, with its signing key.
type NewHook struct {
	webhook.Hook
	Key string `json:"key" doc:"signing key in base64; it is shown this once"`
}

// HookKey is the new signing key of a receiver.
type HookKey struct {
	ID    string `json:"id"`
	State string `json:"state" enum:"both,finished" doc:"both keys sign, or the former one has stopped"`
	Key   string `json:"key,omitempty" doc:"the new signing key in base64; it is shown this once"`
}

// webhooks are receivers of facts.
func (a *API) webhooks(x *api.Routes) {
	hooks := a.hooks
	if hooks == nil {
		return
	}
	api.Add(x, account.Administer, "GET", "/webhooks", "List webhooks", func(ctx context.Context, _ *struct{}) (*api.Answer[api.Page[webhook.Hook]], error) {
		all, err := hooks.List(ctx)
		if all == nil {
			all = []webhook.Hook{}
		}
		return &api.Answer[api.Page[webhook.Hook]]{Body: api.Page[webhook.Hook]{Items: all}}, err
	})
	type newHook struct {
		Body struct {
			URL      string   `json:"url" maxLength:"1000" doc:"https; http only into networks that the configuration allows" example:"https://siem.example/bolwerk"`
			Subjects []string `json:"subjects" minItems:"1" maxItems:"50" doc:"facts to tell; shield.block stands for all that begin so" example:"[\"shield.block\"]"`
			Note     string   `json:"note,omitempty" maxLength:"200" doc:"what it is for" example:"SIEM"`
		}
	}
	type made struct {
		Status int
		Body   NewHook
	}
	api.Add(x, account.Administer, "POST", "/webhooks", "Add a webhook; the answer holds its signing key, once", func(ctx context.Context, in *newHook) (*made, error) {
		h, key, err := hooks.Add(ctx, api.Who(ctx).Actor(), in.Body.URL, in.Body.Subjects, in.Body.Note)
		return &made{http.StatusCreated, NewHook{h, key}}, err
	})
	api.Add(x, account.Administer, "POST", "/webhooks/{id}/test", "Send a test to a webhook now", func(ctx context.Context, in *ByID) (*api.Answer[webhook.Told], error) {
		d, err := hooks.Try(ctx, in.ID)
		return &api.Answer[webhook.Told]{Body: d}, err
	})
	type rotate struct {
		ByID
		Body struct {
			Finish bool `json:"finish,omitempty" doc:"stop signing with the former key, instead of making a new one"`
		}
	}
	api.Add(x, account.Administer, "POST", "/webhooks/{id}/rotate", "Change the signing key of a webhook", func(ctx context.Context, in *rotate) (*api.Answer[HookKey], error) {
		key, err := hooks.Rotate(ctx, api.Who(ctx).Actor(), in.ID, in.Body.Finish)
		state := "both"
		if in.Body.Finish {
			state = "finished"
		}
		return &api.Answer[HookKey]{Body: HookKey{in.ID, state, key}}, err
	})
	type replay struct {
		ByID
		Body struct {
			Since time.Time `json:"since" doc:"begin of what is told again"`
		}
	}
	type toldAgain struct {
		ID    string `json:"id"`
		State string `json:"state" enum:"replayed"`
		Facts int64  `json:"facts" doc:"how many facts are looked at again"`
	}
	api.Add(x, account.Administer, "POST", "/webhooks/{id}/replay", "Tell a webhook again what happened since a time", func(ctx context.Context, in *replay) (*api.Answer[toldAgain], error) {
		n, err := hooks.Replay(ctx, api.Who(ctx).Actor(), in.ID, in.Body.Since)
		return &api.Answer[toldAgain]{Body: toldAgain{in.ID, "replayed", n}}, err
	})
	type removed struct {
		ID    string `json:"id"`
		State string `json:"state" enum:"removed"`
	}
	api.Add(x, account.Administer, "POST", "/webhooks/{id}/remove", "Remove a webhook", func(ctx context.Context, in *ByID) (*api.Answer[removed], error) {
		return &api.Answer[removed]{Body: removed{in.ID, "removed"}}, hooks.Remove(ctx, api.Who(ctx).Actor(), in.ID)
	})
	type pause struct {
		ByID
		Body struct {
			Resume bool `json:"resume,omitempty" doc:"go on, instead of pausing: what happened meanwhile is told"`
		}
	}
	api.Add(x, account.Administer, "POST", "/webhooks/{id}/pause", "Pause a webhook, or go on", func(ctx context.Context, in *pause) (*api.Answer[webhook.Hook], error) {
		err := hooks.Pause(ctx, api.Who(ctx).Actor(), in.ID, !in.Body.Resume)
		if err != nil {
			return nil, err
		}
		h, err := hooks.Find(ctx, in.ID)
		return &api.Answer[webhook.Hook]{Body: h}, err
	})
	type deliveries struct {
		ByID
		api.Window
	}
	api.Add(x, account.Administer, "GET", "/webhooks/{id}/deliveries", "List what was told to a webhook", func(ctx context.Context, in *deliveries) (*api.Answer[api.Page[webhook.Told]], error) {
		rows, err := hooks.Deliveries(ctx, in.ID, in.Cursor, in.Limit)
		return api.Paged(in.Window, rows, func(d webhook.Told) string { return d.ID }), err
	})
}

// Webhooks gives the API the receivers of facts; before Routes.
func (a *API) Webhooks(h *webhook.Hooks) { a.hooks = h }
