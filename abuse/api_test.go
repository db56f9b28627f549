package abuse

import (
	"log/slog"
	"net/http"
	"slices"
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
	// Leaky needs neither a legal reference nor an end.
	for name, want := range map[string][]string{"AbuseWhy": {"threat", "necessity", "proportion"}, "AbuseAskBody": {"case", "profile", "why"}} {
		got := x.OpenAPI().Components.Schemas.Map()[name]
		if got == nil || !slices.Equal(slices.Sorted(slices.Values(got.Required)), slices.Sorted(slices.Values(want))) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
