package siem

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"

	"bolwerk"
	"bolwerk/internal/audit"
)

// httpSink posts lines of JSON. An answer of 2xx says that all have arrived.
type httpSink struct {
	url    string
	token  bolwerk.Secret
	client *http.Client
}

func newHTTP(cfg Config, dial func(context.Context, string, string) (net.Conn, error)) (*httpSink, error) {
	s := &httpSink{url: cfg.URL, client: &http.Client{Timeout: attempt, Transport: &http.Transport{DialContext: dial, ForceAttemptHTTP2: true, MaxIdleConns: 1},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	if cfg.TokenFile != "" {
		b, err := os.ReadFile(cfg.TokenFile)
		if err != nil {
			return nil, err
		}
		s.token = bolwerk.NewSecret(strings.TrimSpace(string(b)))
	}
	return s, nil
}

func (s *httpSink) send(ctx context.Context, entries []audit.Entry) error {
	var body bytes.Buffer
	for _, e := range entries {
		b, err := line(e)
		if err != nil {
			return err
		}
		body.Write(append(b, '\n'))
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, &body)
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-ndjson")
	if t := s.token.Reveal(); t != "" {
		r.Header.Set("Authorization", "Bearer "+t)
	}
	resp, err := s.client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("%s answered with status %d", s.url, resp.StatusCode)
	}
	return nil
}

func (s *httpSink) close() { s.client.CloseIdleConnections() }
