package access

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"bolwerk"
	"bolwerk/abuse/enforce"
	"bolwerk/abuse/session"
	"bolwerk/internal/audit"
	"bolwerk/internal/store"
)

// Proof is that a canary session was put into each profile of a way and taken out.
type Proof struct {
	NAS  string    `json:"name"`
	Kind string    `json:"kind"`
	At   time.Time `json:"at,omitzero"`
	OK   bool      `json:"proved"`
	Step string    `json:"step,omitempty"` // where it stopped
	Code string    `json:"code,omitempty"` // what the access network said
	Seen bool      `json:"seen"`           // what is in force was looked at
	// Timer says that the way ends a profile by itself when its time is over. Without,
	// lines stay in while no desk is there.
	Timer bool `json:"timer"`

	settings string
}

const (
	proofLasts  = 48 * time.Hour   // then it is none
	proveEvery  = 24 * time.Hour   // it is made anew
	againAfter  = 10 * time.Minute // one that failed
	refresh     = 5 * time.Second  // how late another desk's proof is known
	firstHeard  = 10 * time.Minute // what a desk that begins waits for accounting to tell of a canary
	canaryStays = 5 * time.Minute  // how long the canary would stay in, if we died
	lookFor     = 10 * time.Second // how long a change may take to be seen
)

const (
	stepFind  = "find the canary's session"
	noSession = "accounting knows none of it at this access server"
	stepLied  = "believe what it acknowledges"
)

// Proved says whether profiles are used at an access server: its canary session was
// put into each and taken out again within two days, with the settings of now.
func (a *Access) Proved(nas string) bool {
	w := a.ways[nas]
	if w == nil {
		return false
	}
	a.mu.Lock()
	p, ok := a.proofs[w.name]
	a.mu.Unlock()
	return ok && a.good(w, p)
}

func (a *Access) good(w *way, p Proof) bool {
	age := a.p.Clock.Now().Sub(p.At)
	return p.OK && p.settings == w.settings && age < proofLasts && age > -time.Minute
}

// Proofs are those of all ways, in the order of the configuration.
func (a *Access) Proofs() (out []Proof) {
	for _, w := range a.all {
		a.mu.Lock()
		p, ok := a.proofs[w.name]
		a.mu.Unlock()
		if !ok {
			p = Proof{Step: "never tried"}
		}
		p.NAS, p.Kind, p.Timer, p.OK = w.name, w.kind, w.timer, a.good(w, p)
		out = append(out, p)
	}
	return out
}

// Load reads the proofs that are kept.
func (a *Access) Load(ctx context.Context) error {
	found := map[string]Proof{}
	err := a.p.DB.Read(ctx, func(tx *store.Tx) error {
		return tx.Each(`select nas,settings,at,ok,step,code,seen from abuse_nas_proof`, nil, func(scan func(...any) error) error {
			var p Proof
			var at int64
			if err := scan(&p.NAS, &p.settings, &at, &p.OK, &p.Step, &p.Code, &p.Seen); err != nil {
				return err
			}
			p.At = store.Time(at)
			found[p.NAS] = p
			return nil
		})
	})
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.proofs = found
	return nil
}

// Follow keeps the proofs that other desks made known here, until ctx ends.
func (a *Access) Follow(ctx context.Context) error {
	for tick := time.NewTicker(refresh); ; {
		if err := a.Load(ctx); err != nil && ctx.Err() == nil {
			a.p.Log.Warn("proofs of access servers are not read; those known before are used", "err", err)
		}
		select {
		case <-ctx.Done():
			tick.Stop()
			return nil
		case <-tick.C:
		}
	}
}

// Run proves each way daily, and sooner what is not proved, until ctx ends: each on its
// own, so that a server that is dead holds up no other. One desk at a time does it.
func (a *Access) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	began := a.p.Clock.Now()
	for _, w := range a.all {
		wg.Go(func() {
			var tried time.Time
			for tick := time.NewTicker(refresh); ; {
				tried = a.proveDue(ctx, w, began, tried)
				select {
				case <-ctx.Done():
					tick.Stop()
					return
				case <-tick.C:
				}
			}
		})
	}
	<-ctx.Done()
	return nil
}

// proveDue proves a way if that is due. began is when the desk did, tried when the way was
// tried last; it returns when it was by now.
func (a *Access) proveDue(ctx context.Context, w *way, began, tried time.Time) time.Time {
	a.mu.Lock()
	p, known := a.proofs[w.name]
	a.mu.Unlock()
	now := a.p.Clock.Now()
	if known && a.good(w, p) && now.Sub(p.At) < proveEvery || now.Sub(tried) < againAfter {
		return tried
	}
	if known && p.Step == stepLied && p.settings == w.settings {
		return tried // its word is none
	}
	// That there is no session is told once, and not before accounting can have come;
	// as soon as there is one, the server is used.
	held, err := a.sessions(ctx, w)
	told := known && p.Code == noSession
	if err == nil && len(held) == 0 && (told || !known && now.Sub(began) < firstHeard) {
		return tried
	}
	switch p, err := a.Prove(ctx, bolwerk.Rule("abuse"), w.name); {
	case err != nil && ctx.Err() == nil:
		a.p.Log.Error("an access server could not be proved", "name", w.name, "err", err)
	case p.Code == noSession:
		return time.Time{}
	}
	return now
}

// Prove puts the canary session of a way into each of its profiles and takes it out
// again, looks where it can, and keeps what came of it.
func (a *Access) Prove(ctx context.Context, by bolwerk.Actor, name string) (Proof, error) {
	w := a.ways[name]
	if w == nil {
		return Proof{}, bolwerk.NotFound("no access server %.60q in abuse.enforce", name)
	}
	held, err := a.sessions(ctx, w)
	if err != nil {
		return Proof{}, err
	}
	p := Proof{NAS: w.name, Kind: w.kind, Timer: w.timer, settings: w.settings, Seen: true}
	switch {
	case w.canary == "":
		p.Step, p.Code = stepFind, "no canary is configured"
	case len(held) == 0:
		p.Step, p.Code = stepFind, noSession
	default:
		a.walk(ctx, w, held[0], &p)
	}
	if ctx.Err() != nil {
		return Proof{}, ctx.Err()
	}
	p.OK = p.Step == ""
	p.Seen = p.Seen && p.OK
	p.At = a.p.Clock.Now()
	err = a.p.DB.Write(ctx, store.Decision, func(tx *store.Tx) error {
		audit.Append(tx, by, "abuse.nas.prove", w.name, "", map[string]any{"proved": p.OK, "step": p.Step, "code": p.Code, "seen": p.Seen})
		return keep(tx, p)
	})
	if err != nil {
		return Proof{}, err
	}
	a.mu.Lock()
	a.proofs[w.name] = p
	a.mu.Unlock()
	if !p.OK {
		a.p.Log.Error("an access server is not used: its canary was not put in and taken out again", "alarm", true, "name", w.name, "step", p.Step, "code", p.Code)
	}
	return p, nil
}

// Withdraw ends the proof of an access server that acknowledges and does not act. Only
// a person proves it again.
func (a *Access) Withdraw(tx *store.Tx, nas, code string) error {
	w := a.ways[nas]
	if w == nil {
		return nil
	}
	p := Proof{NAS: w.name, Kind: w.kind, At: tx.Now(), Step: stepLied, Code: code, settings: w.settings}
	audit.Append(tx, bolwerk.Rule("abuse"), "abuse.nas.withdraw", w.name, "", map[string]any{"code": code})
	tx.After(func() {
		a.mu.Lock()
		a.proofs[w.name] = p
		a.mu.Unlock()
		a.m.lied.WithLabelValues(w.name).Inc()
		a.p.Log.Error("an access server acknowledges and does not act: no further line is put in there, until a person proves it again", "alarm", true, "name", w.name, "code", code)
	})
	return keep(tx, p)
}

// keep writes a proof, or what came instead of one.
func keep(tx *store.Tx, p Proof) error {
	_, err := tx.Exec(`insert into abuse_nas_proof(nas,settings,at,ok,step,code,seen) values($1,$2,$3,$4,$5,$6,$7)
		on conflict(nas) do update set settings=excluded.settings,at=excluded.at,ok=excluded.ok,step=excluded.step,code=excluded.code,seen=excluded.seen`,
		p.NAS, p.settings, store.Micros(p.At), p.OK, p.Step, p.Code, p.Seen)
	return err
}

// walk takes the canary into each profile and back. However it goes, the canary is
// sent home at the end.
func (a *Access) walk(ctx context.Context, w *way, h session.Held, p *Proof) {
	was := enforce.Normal
	home := func(ctx context.Context) bool { return a.step(ctx, w, h, enforce.Normal, was, p) }
	defer func() {
		if was != enforce.Normal {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
			defer cancel()
			home(ctx)
		}
	}()
	for _, profile := range w.profiles {
		before := was
		was = profile
		if !a.step(ctx, w, h, profile, before, p) {
			return
		}
		if !home(ctx) {
			return
		}
		was = enforce.Normal
	}
}

// step is one change of the canary; false where it was not done, or not seen.
func (a *Access) step(ctx context.Context, w *way, h session.Held, profile, was enforce.Profile, p *Proof) bool {
	o := enforce.Order{ID: "canary", Version: a.p.Clock.Now().UnixMicro(), Session: h, Profile: profile, Was: was}
	if profile != enforce.Normal {
		o.Until = a.p.Clock.Now().Add(canaryStays)
	}
	fail := func(what, code string) bool {
		if p.Step == "" {
			p.Step, p.Code = what, code
		}
		return false
	}
	r, err := a.put(ctx, w, o)
	switch {
	case err != nil:
		return fail("put the canary into "+string(profile), "error of our own")
	case r.State != enforce.Applied:
		return fail("put the canary into "+string(profile), strings.TrimSpace(string(r.State)+" "+r.Code))
	case w.look == "":
		p.Seen = p.Seen && r.Seen
		return true
	}
	got, err := a.looked(ctx, w.look, profile)
	if err != nil {
		return fail("look at the canary in "+string(profile), err.Error())
	}
	if got != profile {
		return fail("look at the canary in "+string(profile), "acknowledged, but "+string(got)+" is in force")
	}
	return true
}

// looked asks the page behind the canary until it says the profile that is awaited,
// for a while; then what it says.
func (a *Access) looked(ctx context.Context, url string, want enforce.Profile) (got enforce.Profile, err error) {
	end := time.Now().Add(lookFor)
	for {
		if got, err = ask(ctx, url); err == nil && got == want || time.Now().After(end) || ctx.Err() != nil {
			return got, err
		}
		select {
		case <-ctx.Done():
		case <-time.After(500 * time.Millisecond):
		}
	}
}

func ask(ctx context.Context, url string) (enforce.Profile, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", errors.New("canary_look is no address of a page")
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return "", errors.New("the page behind the canary does not answer")
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(io.LimitReader(resp.Body, 64))
	switch p := enforce.Profile(strings.TrimSpace(string(b))); {
	case resp.StatusCode != http.StatusOK:
		return "", fmt.Errorf("the page behind the canary answers %d", resp.StatusCode)
	case p == enforce.Normal || p == enforce.Leaky || p == enforce.Strict:
		return p, nil
	}
	return "", errors.New("the page behind the canary says no profile")
}
