package shield

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"bolwerk"
	"bolwerk/internal/gate"
)

// fetcher gets the lists and orders that the configuration names, and tells
// issuers what became of theirs: from public addresses, and from those networks
// of our own that are allowed.
type fetcher struct {
	*http.Client              // what the configuration names
	beyond       *http.Client // where that leads on to: public addresses only
}

// fetchTime is how long one file may take.
const fetchTime = 2 * time.Minute

// maxHops bounds how often a list may lead on, as one of a release does.
const maxHops = 3

func newFetcher(allow []netip.Prefix) fetcher {
	return fetcher{gate.New(allow).Client(fetchTime), gate.New(nil).Client(fetchTime)}
}

// get gives the body of an address; the caller closes it.
func (f fetcher) get(ctx context.Context, address string) (io.ReadCloser, error) {
	client := f.Client
	for range maxHops + 1 {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return nil, err
		}
		resp, err := client.Do(req)
		if errors.Is(err, bolwerk.ErrForbidden) && client == f.Client {
			err = fmt.Errorf("%w: shield.fetch_allow lets networks of your own", err)
		}
		if err != nil {
			return nil, err
		}
		if resp.StatusCode == http.StatusOK {
			return resp.Body, nil
		}
		resp.Body.Close()
		on, err := onward(req.URL, resp)
		if err != nil {
			return nil, err
		}
		client, address = f.beyond, on
	}
	return nil, fmt.Errorf("GET %s: sent from one address to the next", address)
}

// onward is where an answer leads on to; an error where it leads nowhere, or from
// https to http.
func onward(from *url.URL, resp *http.Response) (string, error) {
	switch resp.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
	default:
		return "", fmt.Errorf("GET %s: %s", from.Redacted(), resp.Status)
	}
	to, err := resp.Location()
	if err != nil || to.Scheme != "https" && to.Scheme != from.Scheme {
		return "", fmt.Errorf("GET %s: leads on to %q: not followed", from.Redacted(), resp.Header.Get("Location"))
	}
	return to.String(), nil
}
