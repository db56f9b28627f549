package ledger

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"bolwerk/internal/clock"
	"bolwerk/internal/join"
	"bolwerk/internal/openlog"
	"bolwerk/internal/store"
)

const (
	maxWait   = 60 * time.Second
	gather    = time.Second      // between heads of a busy log
	heartbeat = 30 * time.Second // between heads of a quiet one
	lookAgain = time.Second      // for leaves of another desk on the same database
)

// Handler gives the log to intakes. It stands behind join.Authority.Require.
type Handler struct {
	desk  *Desk
	clock clock.Clock
	log   *slog.Logger
}

// NewHandler serves the log of d.
func NewHandler(d *Desk, c clock.Clock, log *slog.Logger) *Handler {
	return &Handler{d, c, log}
}

// ask is an intake's question.
type ask struct {
	host   string
	head   openlog.Head // zero where it has nothing
	forgot int64
	wait   time.Duration
}

// ServeHTTP answers an intake, or takes what it holds.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host, ok := join.Peer(r.Context())
	if !ok || host.Role != join.Intake {
		http.Error(w, "not for this role", http.StatusForbidden)
		return
	}
	switch r.Method {
	case http.MethodGet:
		h.give(w, r, host.Name)
	case http.MethodPut:
		if err := h.desk.Adopt(r.Context(), host.Name, r.Body); err != nil {
			h.log.Error("what an intake holds of the log not taken back", "alarm", true, "host", host.Name, "err", err)
			http.Error(w, "not taken", http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	default:
		http.Error(w, "GET or PUT", http.StatusMethodNotAllowed)
	}
}

func (h *Handler) give(w http.ResponseWriter, r *http.Request, host string) {
	a := ask{host: host}
	q := r.URL.Query()
	seconds, _ := strconv.ParseUint(q.Get("wait"), 10, 16) // none is none
	a.wait = min(time.Duration(seconds)*time.Second, maxWait)
	var err error
	if a.forgot, err = strconv.ParseInt(q.Get("forgot"), 10, 62); err != nil {
		a.forgot = 0
	}
	if q.Get("head") != "" {
		signed, err := base64.RawURLEncoding.DecodeString(q.Get("head"))
		if err == nil {
			a.head, err = openlog.OpenHead(signed, h.desk.key)
		}
		if err != nil { // what we have not signed proves nothing
			h.log.Error("an intake holds a head of the log that we have not signed", "alarm", true, "host", host, "err", err)
			http.Error(w, "that head is not ours", http.StatusBadRequest)
			return
		}
	}
	lines, err := h.answer(r.Context(), a)
	if err != nil {
		if r.Context().Err() == nil {
			h.log.Error("log not sent", "host", host, "err", err)
			http.Error(w, "try again later", http.StatusServiceUnavailable)
		}
		return
	}
	if lines == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false)
	for _, l := range lines {
		if out.Encode(l) != nil {
			return // the intake takes an answer without its end for nothing
		}
	}
}

// answer waits for something new, at most until a.wait is over or the intake's
// head is old. nil is nothing to say.
func (h *Handler) answer(ctx context.Context, a ask) ([]openlog.Line, error) {
	end := time.NewTimer(a.wait)
	defer end.Stop()
	for over := a.wait <= 0; ; {
		changed := h.desk.changed()
		lines, err := h.desk.since(ctx, a, h.clock.Now(), h.log)
		if err != nil || len(lines) > 0 || over {
			return lines, err
		}
		look := time.NewTimer(lookAgain)
		select {
		case <-ctx.Done():
			look.Stop()
			return nil, ctx.Err()
		case <-end.C:
			over = true
		case <-changed:
			select { // more comes with it
			case <-ctx.Done():
			case <-time.After(gather):
			}
		case <-look.C:
		}
		look.Stop()
	}
}

// since is what an intake does not have yet; nothing where there is no news.
func (d *Desk) since(ctx context.Context, a ask, now time.Time, log *slog.Logger) (lines []openlog.Line, err error) {
	var forked, larger bool
	err = d.db.Read(ctx, func(tx *store.Tx) error {
		st, err := readState(tx)
		if store.None(err) {
			return nil
		}
		if err != nil {
			return err
		}
		if st.is != "on" {
			var told int64
			if err := tx.Row(`select count(*) from log_told where host=$1`, a.host).Scan(&told); err != nil || told > 0 || st.is == "forked" {
				return err
			}
			lines = []openlog.Line{{Want: &st.tree.Size}}
			return nil
		}
		from := a.head.Size
		if a.head.Origin != st.origin {
			from = 0 // another log, from before a restore
		} else if larger = from > st.tree.Size; larger || from == st.tree.Size && a.head.Root != st.tree.Root() {
			forked = true
			return nil
		}
		forgot, err := d.forgotten(tx, a.forgot)
		if err != nil || from == st.tree.Size && len(forgot) == 0 && now.Sub(a.head.At) < heartbeat {
			return err
		}
		to := min(st.tree.Size, from+openlog.MaxAnswer)
		if lines, err = leaves(tx, from, to); err != nil {
			return err
		}
		tree := st.tree
		if to < st.tree.Size {
			if tree, err = rangeAt(tx, to); err != nil {
				return err
			}
		}
		signed, err := d.sign(st, tree)
		lines = append(append(lines, forgot...), openlog.Line{Key: d.public, Head: string(signed)})
		return err
	})
	if err != nil || !forked {
		return lines, err
	}
	// The store is older than what we have signed: nothing more is signed until
	// a person has restored it.
	log.Error("an intake holds a head of the transparency log that the store does not know: the store was brought back without restore; no head is signed any more", "alarm", true,
		"host", a.host, "head", a.head.Size, "larger", larger, "hint", "bolwerk restore --prepared begins again from what the intakes hold")
	return nil, d.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		_, err := tx.Exec(`update log_head set state='forked' where id=1 and state='on'`)
		return err
	})
}

func leaves(tx *store.Tx, from, to int64) ([]openlog.Line, error) {
	return store.List(tx, func(scan func(...any) error) (l openlog.Line, err error) {
		var salt, tag []byte
		err = scan(&l.Leaf, &salt, &tag)
		l.Salt, l.Tag = hex.EncodeToString(salt), hex.EncodeToString(tag)
		return l, err
	}, `select l.body,s.salt,s.tag from log_leaf l left join log_salt s on s.n=l.n where l.n>=$1 and l.n<$2 order by l.n`, from, to)
}

// forgotten is what intakes have to forget after a place in the order; all of it
// where an intake is further than we are.
func (d *Desk) forgotten(tx *store.Tx, after int64) ([]openlog.Line, error) {
	var last int64
	if err := tx.Row(`select coalesce(max(seq),0) from log_forgot`).Scan(&last); err != nil || last == after {
		return nil, err
	}
	if after > last {
		after = 0
	}
	var out []openlog.Line
	err := tx.Each(`select seq,n from log_forgot where seq>$1 order by seq limit 20000`, []any{after}, func(scan func(...any) error) error {
		var seq, n int64
		if err := scan(&seq, &n); err != nil {
			return err
		}
		if len(out) == 0 || len(out[len(out)-1].Forgotten) == 1000 {
			out = append(out, openlog.Line{})
		}
		l := &out[len(out)-1]
		l.Forgotten, l.Forgot = append(l.Forgotten, n), seq
		return nil
	})
	return out, err
}
