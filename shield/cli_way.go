package shield

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"bolwerk/internal/api"
	"bolwerk/internal/terminal"
)

// Way is the way to a desk's API for commands of other capabilities.
type Way struct{}

// Call does one request and gives the answer as it came.
func (Way) Call(ctx context.Context, t *terminal.Terminal, server, tokenFile, method, path string, in any) (json.RawMessage, error) {
	c, err := (&desktop{Server: server, TokenFile: tokenFile}).client(t)
	if err != nil {
		return nil, err
	}
	var raw json.RawMessage
	err = c.call(ctx, method, path, nil, in, &raw)
	return raw, err
}

// Pages follows every page of a list.
func (Way) Pages(ctx context.Context, t *terminal.Terminal, server, tokenFile, path string, query url.Values, fn func(json.RawMessage) error) error {
	c, err := (&desktop{Server: server, TokenFile: tokenFile}).client(t)
	if err != nil {
		return err
	}
	return c.pages(ctx, path, query, fn)
}

// Upload sends bytes as they are.
func (Way) Upload(ctx context.Context, t *terminal.Terminal, server, tokenFile, path string, query url.Values, body []byte) (json.RawMessage, error) {
	c, err := (&desktop{Server: server, TokenFile: tokenFile}).client(t)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.server+api.Path+path+"?"+query.Encode(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/json")
	r.Header.Set("Content-Type", "application/octet-stream")
	if !c.token.IsZero() {
		r.Header.Set("Authorization", "Bearer "+c.token.Reveal())
	}
	client := *c.http
	client.Timeout = 0 // the context's
	resp, err := client.Do(r)
	if err != nil {
		return nil, c.unreached(ctx, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, c.unreached(ctx, err)
	}
	if resp.StatusCode >= 300 {
		return nil, fmt.Errorf("upload: %w", refusal(c.server, resp.StatusCode, b))
	}
	return b, nil
}
