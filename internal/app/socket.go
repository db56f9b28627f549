package app

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"bolwerk"
	"bolwerk/internal/web"
)

// socketCall asks a program of this machine over its socket. hint is for when
// nobody answers there.
func socketCall(ctx context.Context, socket, hint, method, path string, in, out any) error {
	client := &http.Client{Timeout: 2 * time.Minute, Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}}
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://local"+path, body)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return bolwerk.WithHint(bolwerk.NotFound("nothing answers on %s", socket), hint)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		var p web.Problem
		if err := json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&p); err != nil || p.Detail == "" {
			return fmt.Errorf("%s answered %s", socket, resp.Status)
		}
		return bolwerk.WithHint(bolwerk.Conflict("%s", p.Detail), p.Hint)
	}
	if out == nil {
		return nil
	}
	return json.NewDecoder(io.LimitReader(resp.Body, 64<<20)).Decode(out)
}
