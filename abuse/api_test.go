package abuse

import (
	"log/slog"
	"net/http"
	"testing"

	"bolwerk/internal/account"
	"bolwerk/internal/api"
	"bolwerk/internal/idem"
)

// The routes can be described: no two shapes of one name, no two routes of one path.
func TestAPI_describes_itself(t *testing.T) {
	h := open(t)
	log := slog.New(slog.DiscardHandler)
	x := api.New(http.NewServeMux(), &account.Door{}, &idem.Keeper{}, log)
	h.API(x)
	x.Done()
	if x.OpenAPI().Paths["/api/v1/abuse/cases"] == nil {
		t.Error("the cases are not described")
	}
}
