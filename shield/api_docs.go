package shield

import (
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"bolwerk/internal/api"
)

// document says of the shield's operations what their types do not.
func document(x *api.Routes, doc *huma.OpenAPI) {
	for path, item := range doc.Paths {
		if item.Post != nil {
			statuses(path, item.Post)
			if strings.HasPrefix(path, api.Path+"/brand/") {
				item.Post.Responses["429"] = x.Refused("Too often in an hour; Retry-After says in how many seconds")
			}
		}
	}
	// A file says in its header what it is.
	for path, kinds := range map[string][]string{"/figures/csv": {"text/csv"}, "/figures/report": {"text/html", "application/pdf"}} {
		ok := doc.Paths[api.Path+path].Get.Responses["200"]
		delete(ok.Content, "application/octet-stream")
		if ok.Content == nil {
			ok.Content = map[string]*huma.MediaType{}
		}
		for _, kind := range kinds {
			ok.Content[kind] = &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString}}
		}
	}
}

// statuses describes those answers that are not 200: what was made, and what waits
// for a second person.
func statuses(path string, op *huma.Operation) {
	also := func(status, what string) {
		op.Responses[status] = &huma.Response{Description: what, Content: map[string]*huma.MediaType{"application/json": {Schema: op.Responses["200"].Content["application/json"].Schema}}}
	}
	const made, waits = "Done: it is committed", "A second person must approve it: nothing is in force yet"
	switch path {
	case api.Path + "/blocks", api.Path + "/exemptions":
		also("201", made)
		also("202", waits)
		op.Responses["200"].Description = "With dry_run: what would come of it"
	case api.Path + "/cases/{id}/confirm":
		also("202", waits)
	case api.Path + "/webhooks":
		also("201", made)
		delete(op.Responses, "200")
	}
}
