package rest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/abuse/enforce"
)

// Now is what a manager says is in force for an order's session, as GET of its path
// answers.
type Now struct {
	Version int64           `json:"version"`
	Profile enforce.Profile `json:"profile"`
	Until   time.Time       `json:"until,omitzero"`
}

// Check is one promise of the contract, and what came of it: nil where it is kept.
type Check struct {
	Promise string
	Err     error
}

// Conform walks a policy manager through the contract with a session of the
// operator's own, tells each promise as it is known, and leaves the session in normal.
// It takes some ten seconds.
func Conform(ctx context.Context, p *Port, s Session, tell func(Check)) error {
	order := "conform-" + bolwerk.NewID(p.clock.Now())
	failed := 0
	check := func(promise string, fn func() error) {
		err := fn()
		if err != nil {
			failed++
		}
		tell(Check{promise, err})
	}
	put := func(version int64, profile enforce.Profile, until time.Duration, s Session) (int, Answer, error) {
		w := Wish{Order: order, Version: version, Profile: profile, Session: s}
		if until > 0 {
			w.Until = p.clock.Now().Add(until).UTC().Truncate(time.Second)
		}
		status, _, a, err := p.send(ctx, w)
		return status, a, err
	}
	want := func(version int64, profile enforce.Profile, until time.Duration, s Session, state enforce.State) error {
		status, a, err := put(version, profile, until, s)
		if err == nil && (status != http.StatusOK || a.State != state) {
			err = fmt.Errorf("answer %d, state %q, want 200 and %q", status, a.State, state)
		}
		return err
	}
	inForce := func(version int64, profile enforce.Profile) error {
		status, _, raw, err := p.call(ctx, http.MethodGet, Path(Wish{Order: order, Session: s}), nil, "")
		if err != nil {
			return err
		}
		var n Now
		if err := json.Unmarshal(raw, &n); status != http.StatusOK || err != nil {
			return fmt.Errorf("answer %d, want 200 and JSON", status)
		}
		if n.Profile != profile || version != 0 && n.Version != version {
			return fmt.Errorf("version %d, profile %q, want %d and %q", n.Version, n.Profile, version, profile)
		}
		return nil
	}
	stranger := *p
	stranger.token = bolwerk.NewSecret("a token that nobody gave out")
	if p.token.Reveal() != "" {
		check("a wrong token is answered with 401 or 403", func() error {
			status, _, _, err := stranger.call(ctx, http.MethodGet, Path(Wish{Order: order, Session: s}), nil, "")
			if err == nil && status != http.StatusUnauthorized && status != http.StatusForbidden {
				err = fmt.Errorf("answer %d", status)
			}
			return err
		})
	}
	check("what is no order is answered with 400", func() error {
		status, _, _, err := p.call(ctx, http.MethodPut, Path(Wish{Order: order, Session: s}), []byte(`{"order":`), "")
		if err == nil && status != http.StatusBadRequest {
			err = fmt.Errorf("answer %d", status)
		}
		return err
	})
	check("a session is put into leaky", func() error { return want(1, enforce.Leaky, time.Hour, s, enforce.Applied) })
	check("the same order again has the same answer", func() error { return want(1, enforce.Leaky, time.Hour, s, enforce.Applied) })
	check("GET says what is in force", func() error { return inForce(1, enforce.Leaky) })
	check("a later version is taken", func() error { return want(3, enforce.Strict, time.Hour, s, enforce.Applied) })
	check("an earlier version is answered with 409 and changes nothing", func() error {
		status, _, err := put(2, enforce.Leaky, time.Hour, s)
		if err == nil && status != http.StatusConflict {
			err = fmt.Errorf("answer %d", status)
		}
		if err == nil {
			err = inForce(3, enforce.Strict)
		}
		return err
	})
	check("a session that is over, or another subscriber's, is offline", func() error {
		other := s
		other.ID += "-that-never-was"
		return want(1, enforce.Leaky, time.Hour, other, enforce.Offline)
	})
	check("until ends a profile without the desk", func() error {
		if err := want(4, enforce.Leaky, 3*time.Second, s, enforce.Applied); err != nil {
			return err
		}
		var err error
		for end := time.Now().Add(8 * time.Second); time.Now().Before(end) && ctx.Err() == nil; time.Sleep(200 * time.Millisecond) {
			if err = inForce(0, enforce.Normal); err == nil {
				return nil
			}
		}
		return err
	})
	check("a session comes back to normal", func() error {
		if err := want(5, enforce.Strict, time.Hour, s, enforce.Applied); err != nil {
			return err
		}
		if err := want(6, enforce.Normal, 0, s, enforce.Applied); err != nil {
			return err
		}
		return inForce(6, enforce.Normal)
	})
	check("coming back twice is coming back once", func() error { return want(7, enforce.Normal, 0, s, enforce.Applied) })
	if failed > 0 {
		return bolwerk.Invalid("%s: %d promises of the contract are not kept", strings.TrimRight(p.cfg.URL, "/"), failed)
	}
	return nil
}
