package shield

import (
	"net/http"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"bolwerk/internal/api"
	"bolwerk/internal/webhook"
	"bolwerk/shield/aid"
)

// API is what the shield adds to the desk's: what the console shows and does, for
// programs.
type API struct {
	shield *Shield
	hooks  *webhook.Hooks
}

// NewAPI keeps what it is given.
func NewAPI(s *Shield) *API { return &API{shield: s} }

// Routes adds the shield's routes to the desk's API on a site's mux.
func (a *API) Routes(x *api.Routes, mux *http.ServeMux) {
	x.Schemas().RegisterTypeAlias(reflect.TypeFor[aid.Set](), reflect.TypeFor[[]string]()) // as it is written
	a.cases(x)
	a.blocks(x)
	a.orders(x)
	a.appeals(x)
	a.picture(x)
	a.transparency(x)
	a.figures(x)
	a.automatic(x)
	a.feeds(x, mux)
	a.webhooks(x)
	a.brands(x)
	a.notices(x)
	a.campaigns(x)
	x.Later(func(doc *huma.OpenAPI) { document(x, doc) })
	// Reports go to the public site. A client that knows the desk's address only
	// is sent there.
	for _, pattern := range []string{"POST " + api.Path + "/reports", "GET " + api.Path + "/receipts/{code}"} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, strings.TrimSuffix(a.shield.cfg.PublicURL, "/")+r.URL.EscapedPath(), http.StatusTemporaryRedirect)
		})
	}
}
