package probe

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
)

// maxMessage bounds one message of the browser: the largest are a page after its
// scripts and a picture.
const maxMessage = 32 << 20

// cdp speaks the DevTools protocol over the browser's own pipes: JSON, each
// message ended by a zero. No port is opened for it.
type cdp struct {
	w      io.Writer
	writes sync.Mutex

	mu    sync.Mutex
	next  int
	wait  map[int]chan message
	gone  chan struct{} // closed when the browser says nothing any more
	event chan message
}

type message struct {
	ID      int             `json:"id,omitempty"`
	Session string          `json:"sessionId,omitempty"`
	Method  string          `json:"method,omitempty"`
	Params  json.RawMessage `json:"params,omitempty"`
	Result  json.RawMessage `json:"result,omitempty"`
	Error   *struct {
		Message string `json:"message"`
	} `json:"error,omitempty"`
}

func newCDP(r io.Reader, w io.Writer) *cdp {
	c := &cdp{w: w, wait: map[int]chan message{}, gone: make(chan struct{}), event: make(chan message, 256)}
	go c.read(r)
	return c
}

func (c *cdp) read(r io.Reader) {
	defer close(c.gone)
	in := bufio.NewReaderSize(r, 64<<10)
	var buf bytes.Buffer
	for {
		part, err := in.ReadSlice(0)
		buf.Write(part)
		if buf.Len() > maxMessage {
			return // the browser is killed when nothing reads it
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil {
			return
		}
		var m message
		err = json.Unmarshal(bytes.TrimSuffix(buf.Bytes(), []byte{0}), &m)
		buf.Reset()
		switch {
		case err != nil:
			return
		case m.ID > 0:
			c.mu.Lock()
			ch := c.wait[m.ID]
			delete(c.wait, m.ID)
			c.mu.Unlock()
			if ch != nil {
				ch <- m
			}
		default:
			select {
			case c.event <- m:
			default: // nobody keeps up: a page that makes events without end
			}
		}
	}
}

// call asks for something and waits for it; out may be nil.
func (c *cdp) call(ctx context.Context, session, method string, params, out any) error {
	p, err := json.Marshal(params)
	if err != nil {
		return err
	}
	ch := make(chan message, 1)
	c.mu.Lock()
	c.next++
	id := c.next
	c.wait[id] = ch
	c.mu.Unlock()
	b, err := json.Marshal(message{ID: id, Session: session, Method: method, Params: p})
	if err != nil {
		return err
	}
	c.writes.Lock()
	_, err = c.w.Write(append(b, 0))
	c.writes.Unlock()
	if err != nil {
		return fmt.Errorf("%s: the browser is gone", method)
	}
	select {
	case m := <-ch:
		if m.Error != nil {
			return fmt.Errorf("%s: %s", method, clip(m.Error.Message, 200))
		}
		if out == nil {
			return nil
		}
		return json.Unmarshal(m.Result, out)
	case <-c.gone:
		return fmt.Errorf("%s: the browser is gone", method)
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", method, ctx.Err())
	}
}
