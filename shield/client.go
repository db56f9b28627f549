package shield

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/internal/api"
	"bolwerk/internal/web"
)

// Client speaks to the API of a desk or of a public site.
type Client struct {
	server string
	token  bolwerk.Secret
	http   *http.Client
}

// Bounds of a client's patience and of what it takes in.
const (
	clientDial   = 5 * time.Second
	clientWait   = 60 * time.Second // an explanation asks resolvers for up to 5 s
	maxAnswer    = 64 << 20
	clientPage   = 500
	maxTokenFile = 4096
)

// NewClient speaks to server, an address such as http://localhost:8080; token
// may be empty.
func NewClient(server string, token bolwerk.Secret) (*Client, error) {
	if !strings.Contains(server, "://") {
		server = "http://" + server
	}
	u, err := url.Parse(server)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || strings.Trim(u.Path, "/") != "" {
		return nil, bolwerk.WithHint(bolwerk.Invalid("server %q is no web address", server), "such as --server https://desk.bolwerk.example")
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DialContext = (&net.Dialer{Timeout: clientDial}).DialContext
	return &Client{u.Scheme + "://" + u.Host, token, &http.Client{Transport: t, Timeout: clientWait, CheckRedirect: sameAPI}}, nil
}

// sameAPI follows the one redirect there is, from the desk to the public site,
// and leaves the token behind.
func sameAPI(r *http.Request, via []*http.Request) error {
	if len(via) > 3 {
		return errors.New("sent from one address to the next")
	}
	if r.URL.Host != via[0].URL.Host {
		r.Header.Del("Authorization")
	}
	return nil
}

// ReadToken reads a token file. open says that others of the machine may read
// it too.
func ReadToken(path string) (token bolwerk.Secret, open bool, err error) {
	f, err := os.Open(path)
	if err != nil {
		return token, false, bolwerk.WithHint(bolwerk.NotFound("token file: %v", err), "bolwerk token create --file FILE makes one")
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return token, false, fmt.Errorf("token file: %w", err)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxTokenFile))
	if err != nil {
		return token, false, fmt.Errorf("token file: %w", err)
	}
	text := strings.TrimSpace(string(b))
	if text == "" || strings.ContainsAny(text, " \t\r\n") {
		return token, false, bolwerk.Invalid("token file %s: want one token and nothing else", path)
	}
	return bolwerk.NewSecret(text), st.Mode().Perm()&0o044 != 0, nil
}

// bare says that the token would go over the network in the clear.
func (c *Client) bare() bool {
	u, _ := url.Parse(c.server) // NewClient has read it
	return u.Scheme == "http" && !loopback(u.Hostname()) && !c.token.IsZero()
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// call does one request and decodes the answer into out, which may be nil; a
// *[]byte takes it as it is.
// A refusal of the server is an error of one of our kinds, with its hint.
func (c *Client) call(ctx context.Context, method, path string, query url.Values, in, out any) error {
	return c.send(ctx, method, path, query, "", in, out)
}

// once does a POST that has one effect however often it is sent with its key: it
// is sent again where the desk did not answer, or was too busy to.
func (c *Client) once(ctx context.Context, path, key string, in, out any) (err error) {
	for try := range onceTries {
		err = c.send(ctx, http.MethodPost, path, nil, key, in, out)
		if err == nil || ctx.Err() != nil || errors.Is(err, bolwerk.ErrInvalid) || errors.Is(err, bolwerk.ErrForbidden) || errors.Is(err, bolwerk.ErrNotFound) || errors.Is(err, bolwerk.ErrConflict) {
			return err
		}
		if try == onceTries-1 {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second << try):
		}
	}
	return err
}

// onceTries are made over 15 seconds: a desk that is started again is back by then.
const onceTries = 5

func (c *Client) send(ctx context.Context, method, path string, query url.Values, key string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	address := c.server + api.Path + path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	r, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return err
	}
	r.Header.Set("Accept", "application/json")
	if in != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		r.Header.Set("Idempotency-Key", key)
	}
	if !c.token.IsZero() {
		r.Header.Set("Authorization", "Bearer "+c.token.Reveal())
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return c.unreached(ctx, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return c.unreached(ctx, err)
	}
	if resp.StatusCode >= 300 {
		err := refusal(c.server, resp.StatusCode, b)
		if resp.Header.Get("WWW-Authenticate") != "" {
			err = &notLetIn{err}
		}
		return err
	}
	if out == nil {
		return nil
	}
	if raw, ok := out.(*[]byte); ok {
		*raw = b
		return nil
	}
	if err := json.Unmarshal(b, out); err != nil {
		return bolwerk.WithHint(fmt.Errorf("%s gave an answer that is none of the API's", c.server), "is --server the address of a desk?")
	}
	return nil
}

// raw gets what is not JSON, such as a report.
func (c *Client) raw(ctx context.Context, path string, query url.Values) (b []byte, err error) {
	err = c.call(ctx, http.MethodGet, path, query, nil, &b)
	return b, err
}

func (c *Client) unreached(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err // without the address, which may hold a receipt
	}
	return bolwerk.WithHint(fmt.Errorf("%s does not answer: %w", c.server, err), "is it running? \"bolwerk demo\" starts one; --server names another")
}

// notLetIn is a refusal of who asks, whatever was asked.
type notLetIn struct{ error }

func (n *notLetIn) Unwrap() error { return n.error }

// refusal makes the error that the server meant out of its answer.
func refusal(server string, status int, body []byte) error {
	var p web.Problem
	if err := json.Unmarshal(body, &p); err != nil || p.Detail == "" {
		p.Detail = fmt.Sprintf("%s answered with status %d", server, status)
		if status == http.StatusNotFound {
			p.Detail, p.Hint = p.Detail+": it has no such part of the API", "is --server the right address? reports go to the public site, the rest to the desk"
		}
	}
	kind := map[int]error{400: bolwerk.ErrInvalid, 422: bolwerk.ErrInvalid, 401: bolwerk.ErrForbidden, 403: bolwerk.ErrForbidden,
		404: bolwerk.ErrNotFound, 409: bolwerk.ErrConflict, 413: bolwerk.ErrInvalid, 429: bolwerk.ErrFull, 503: bolwerk.ErrFull}[status]
	if kind == nil {
		kind = errors.New("the server failed")
	}
	return &bolwerk.Refusal{Kind: kind, What: p.Detail, Hint: p.Hint}
}

// pages follows every page of a list and gives the items to fn.
func (c *Client) pages(ctx context.Context, path string, query url.Values, fn func(json.RawMessage) error) error {
	q := url.Values{}
	for k, v := range query {
		if len(v) > 0 && v[0] != "" {
			q[k] = v
		}
	}
	q.Set("limit", strconv.Itoa(clientPage))
	for {
		var p api.Page[json.RawMessage]
		if err := c.call(ctx, http.MethodGet, path, q, nil, &p); err != nil {
			return err
		}
		for _, item := range p.Items {
			if err := fn(item); err != nil {
				return err
			}
		}
		if p.Next == "" {
			return nil
		}
		if p.Next == q.Get("cursor") {
			return fmt.Errorf("%s: the list at %s does not end", c.server, path)
		}
		q.Set("cursor", p.Next)
	}
}
