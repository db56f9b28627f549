// Package once has a request that comes again have one effect and one code, after a
// restart and a kill too.
package once

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"bolwerk"
	"bolwerk/internal/disk"
	"bolwerk/internal/handin"
	"bolwerk/internal/recent"
)

// Requests are those that may come again, with an Idempotency-Key or the mark of a form,
// in files of the intake's own, so that a kill between the item and its answer changes
// nothing:
//
//	requests      one line a request: keyed hash of its key, keyed hash of the request, id of its item
//	requests.key  the key of those hashes, and of the codes: no network, key or code is in a file
//
// The line is durable before the item is handed in. Who sends again hands in an item of
// the same id with the same code, which the desk takes once. A request is known for 24 h,
// at most 65,536 of them: the oldest goes first.
type Requests struct {
	disk   disk.Disk
	path   string
	secret []byte

	mu    sync.Mutex
	known map[recent.Key]*asked
	order []recent.Key // oldest first; where it is no more in known, it is over
	file  disk.File    // nil: to be written anew
	lines int
}

type asked struct {
	digest  recent.Key
	id      string
	at      time.Time
	running bool
	done    bool // handed in by this process
}

// Keep is how long a request is known.
const Keep = 24 * time.Hour

const (
	maxKnown     = 1 << 16
	maxLine      = 64 + 1 + 64 + 1 + 36 + 1
	maxFile      = 4 * maxKnown * maxLine
	pointRequest = "once.request" // its crash points
)

// Open opens or makes the files in dir, and takes up what an earlier run left.
func Open(d disk.Disk, dir string, now time.Time) (*Requests, error) {
	o := &Requests{disk: d, path: filepath.Join(dir, "requests"), known: map[recent.Key]*asked{}}
	if err := d.MakeDir(dir); err != nil {
		return nil, err
	}
	key := o.path + ".key"
	var err error
	if o.secret, err = disk.Read(d, key, 32); errors.Is(err, fs.ErrNotExist) {
		o.secret = make([]byte, 32)
		rand.Read(o.secret)
		err = disk.Put(d, key, o.secret, pointRequest)
	}
	if err == nil && len(o.secret) != 32 {
		err = bolwerk.Invalid("file %s: not a key of 32 octets", key)
	}
	if err != nil {
		return nil, err
	}
	b, err := disk.Read(d, o.path, maxFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for line := range bytes.Lines(b) {
		if key, a, ok := parseAsked(string(line)); ok && now.Sub(a.at) < Keep {
			o.keep(key, a)
		} // a line that a power cut tore was answered to nobody
	}
	return o, o.rewrite(now)
}

func parseAsked(line string) (key recent.Key, a *asked, ok bool) {
	f := strings.Split(strings.TrimSuffix(line, "\n"), " ")
	if len(line) != maxLine || len(f) != 3 {
		return key, nil, false
	}
	a = &asked{id: f[2]}
	_, err1 := hex.Decode(key[:], []byte(f[0][:min(len(f[0]), 64)]))
	_, err2 := hex.Decode(a.digest[:], []byte(f[1][:min(len(f[1]), 64)]))
	at, err3 := handin.ParseID(a.id)
	a.at = at
	return key, a, len(f[0]) == 64 && len(f[1]) == 64 && errors.Join(err1, err2, err3) == nil
}

// Do has put hand in an item under the key, or gives the code that it got before. The
// same key with another request is recent.ErrOtherBody; one that is still running is a
// conflict. What failed may be made again.
func (o *Requests) Do(now time.Time, key string, request recent.Key, put func(id string, at time.Time, code bolwerk.Token) error) (code bolwerk.Token, err error) {
	k := o.mark("key", []byte(key))
	a, err := o.begin(now, k, o.mark("request", request[:]))
	if err != nil {
		return code, err
	}
	defer o.end(a)
	code = o.code(k, a)
	if !a.done {
		err = put(a.id, a.at, code)
		a.done = err == nil
	}
	return code, err
}

var errRunning = bolwerk.WithHint(bolwerk.Conflict("a request with this Idempotency-Key is still running"), "send it again in a second")

// Wait is Do that waits for one that is still running, as long as ctx lets it: a browser
// shows the answer to its second request. The key says it all.
func (o *Requests) Wait(ctx context.Context, now func() time.Time, key string, put func(id string, at time.Time, code bolwerk.Token) error) (bolwerk.Token, error) {
	for {
		code, err := o.Do(now(), key, recent.KeyOf(key), put)
		if err != errRunning {
			return code, err
		}
		select {
		case <-ctx.Done():
			return code, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (o *Requests) begin(now time.Time, k, digest recent.Key) (*asked, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.forget(now)
	a := o.known[k]
	switch {
	case a == nil:
		a = &asked{digest: digest, id: bolwerk.NewID(now)}
		var err error
		if a.at, err = handin.ParseID(a.id); err != nil {
			return nil, err
		}
		if err := o.write(now, k, a); err != nil {
			return nil, fmt.Errorf("request kept: %w", disk.Full(err))
		}
	case a.digest != digest:
		return nil, recent.ErrOtherBody
	case a.running:
		return nil, errRunning
	}
	a.running = true
	return a, nil
}

func (o *Requests) end(a *asked) {
	o.mu.Lock()
	defer o.mu.Unlock()
	a.running = false
}

// code is the code of a request: the same each time, and in no file.
func (o *Requests) code(k recent.Key, a *asked) bolwerk.Token {
	m := o.mark("code", append(append(k[:], a.digest[:]...), a.id...))
	return bolwerk.TokenOf([16]byte(m[:16]))
}

func (o *Requests) mark(what string, b []byte) (k recent.Key) {
	h := hmac.New(sha256.New, o.secret)
	h.Write([]byte(what + "\x00"))
	h.Write(b)
	return recent.Key(h.Sum(nil))
}

func (o *Requests) keep(k recent.Key, a *asked) {
	if o.known[k] == nil {
		o.order = append(o.order, k)
	}
	o.known[k] = a
}

// forget lets go of what is over, and of the oldest where there are too many.
func (o *Requests) forget(now time.Time) {
	for len(o.order) > 0 {
		a := o.known[o.order[0]]
		if now.Sub(a.at) < Keep && len(o.known) < maxKnown || a.running {
			return
		}
		delete(o.known, o.order[0])
		o.order = o.order[1:]
	}
}

// write makes a request durable.
func (o *Requests) write(now time.Time, k recent.Key, a *asked) error {
	if o.file == nil || o.lines >= 2*maxKnown {
		if err := o.rewrite(now); err != nil {
			return err
		}
	}
	if err := disk.WriteSynced(o.file, line(k, a), pointRequest); err != nil {
		o.file.Close()
		o.file = nil // half a line may stand at its end
		return err
	}
	o.lines++
	o.keep(k, a)
	return nil
}

func line(k recent.Key, a *asked) []byte { return fmt.Appendf(nil, "%x %x %s\n", k, a.digest, a.id) }

// rewrite writes the file anew, without what is over.
func (o *Requests) rewrite(now time.Time) error {
	o.forget(now)
	if o.file != nil {
		o.file.Close()
		o.file = nil
	}
	var b bytes.Buffer
	for _, k := range o.order {
		b.Write(line(k, o.known[k]))
	}
	if err := disk.Put(o.disk, o.path, b.Bytes(), pointRequest); err != nil {
		return err
	}
	f, err := o.disk.Append(o.path)
	o.file, o.lines = f, len(o.order)
	return err
}
