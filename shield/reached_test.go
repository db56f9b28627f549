package shield

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/internal/copy"
	"bolwerk/internal/join"
	"bolwerk/internal/rpz"
	"bolwerk/internal/store"
	"bolwerk/shield/agent"
)

// An edge is known by its questions: where it stands, since when a block is in
// force there and since when it is gone, and that it has fallen silent.
func TestWhereABlockIsInForce(t *testing.T) {
	c := newConsole(t)
	c.fill()
	err := c.db.Write(t.Context(), store.Decision, func(tx *store.Tx) error {
		_, err := tx.Exec(`insert into host(name,role,join_id,key_hash,joined_at,revoked_at,seen_at,seen_head) values('edge-1','edge','j','k',$1,0,0,''),('edge-2','edge','j','k',$1,0,0,''),('edge-out','edge','j','k',$1,1,0,'')`, tx.NowMicros())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	asks := func(name string) {
		t.Helper()
		var epoch, serial int64
		err := c.db.Read(t.Context(), func(tx *store.Tx) error {
			return tx.Row(`select epoch,serial from copy_head where copy=$1`, CopyBlocks).Scan(&epoch, &serial)
		})
		if err != nil {
			t.Fatal(err)
		}
		c.Saw(t.Context(), copy.Poll{Host: name, Role: join.Edge, Copy: CopyBlocks, Mark: copy.Mark{Epoch: epoch, Serial: serial}})
		if err := c.reached(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	stands := func() map[string]string {
		t.Helper()
		all, err := c.Stands(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]string{}
		for _, s := range all {
			out[s.Name] = s.State
		}
		return out
	}
	c.clock.Add(2 * time.Second)
	asks("edge-1")
	asks("edge-out")
	if got := stands(); len(got) != 2 || got["edge-1"] != "current" || got["edge-2"] == "current" {
		t.Errorf("got %v, want edge-1 current, edge-2 not, and nobody else", got)
	}
	page := c.get(c.anna, "/block/B-2026-000001")
	wantText(t, page, "after 2 s in force at edge-1 2026-11-23 14:12 CET")
	if strings.Contains(text(page), "gone at") {
		t.Error("a block in force is gone somewhere")
	}
	c.clock.Add(time.Minute)
	c.post(c.anna, "/block/B-2026-000001/withdraw", url.Values{"cause": {"error"}, "reason": {"x"}})
	if got := stands(); got["edge-1"] != "behind" {
		t.Errorf("got %v, want edge-1 behind", got)
	}
	c.clock.Add(3 * time.Second)
	asks("edge-1")
	wantText(t, c.get(c.anna, "/block/B-2026-000001"), "after 3 s gone at edge-1")
	wantText(t, c.get(c.anna, "/"), "current edge-1 edge")
	c.clock.Add(10 * time.Minute)
	wantText(t, c.get(c.anna, "/"), "edge-1 has not asked for 10 min.", "silent edge-1")
}

// An agent stands where it has proved its resolver to stand, not where its copy does.
func TestWhereAnAgentHasProvedIt(t *testing.T) {
	c := newConsole(t)
	c.fill()
	var epoch, serial int64
	if err := c.db.Write(t.Context(), store.Decision, func(tx *store.Tx) error {
		_, err := tx.Exec(`insert into host(name,role,join_id,key_hash,joined_at,revoked_at,seen_at,seen_head) values('bind-1','agent','j','k',$1,0,0,'')`, tx.NowMicros())
		return errors.Join(err, tx.Row(`select epoch,serial from copy_head where copy=$1`, CopyBlocks).Scan(&epoch, &serial))
	}); err != nil {
		t.Fatal(err)
	}
	tells := func(f agent.Force) string {
		t.Helper()
		f.Resolver, f.Epoch = agent.Bind, epoch
		body, err := json.Marshal(f)
		if err == nil {
			err = c.Receive(t.Context(), "bind-1", agent.KindForce, bolwerk.NewID(c.clock.Now()), body)
		}
		if err == nil {
			err = c.reached(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		all, err := c.Stands(t.Context())
		if err != nil || len(all) != 1 || all[0].Kind != "agent" {
			t.Fatalf("got %+v, %v", all, err)
		}
		return all[0].State
	}
	c.clock.Add(time.Second)
	c.Saw(t.Context(), copy.Poll{Host: "bind-1", Role: join.Agent, Copy: CopyBlocks, Mark: copy.Mark{Epoch: epoch, Serial: serial}})
	if got := tells(agent.Force{Serial: serial - 1, At: c.clock.Now(), Problem: "no answer"}); got != "behind" {
		t.Errorf("its copy is new, its resolver is not: got %s", got)
	}
	if got := tells(agent.Force{Serial: serial, At: c.clock.Now()}); got != "current" {
		t.Errorf("proved: got %s", got)
	}
	wantText(t, c.get(c.anna, "/"), "current bind-1 agent beside a resolver")
	c.clock.Add(2 * time.Minute)
	if got := tells(agent.Force{Serial: serial, At: c.clock.Now().Add(-2 * time.Minute)}); got != "silent" {
		t.Errorf("it told nothing for two minutes, then what was old: got %s", got)
	}
}

func TestNowKnowsTheDay(t *testing.T) {
	c := newConsole(t)
	c.fill()
	n, err := c.Picture(t.Context())
	if err != nil || n.Blocked != 1 || n.Half != 12*time.Minute+9*time.Second || n.Most != n.Half || n.Suspicious != 4 || n.Malicious+n.Rest != 0 || n.Proposals.N != 1 {
		t.Errorf("got %+v %v, want one block after 12 min 9 s, four suspicious names that wait, one proposal", n, err)
	}
	if n.Restore != "" || n.Full {
		t.Errorf("got %+v, want nothing wrong", n)
	}
}

// Who is a resolver of ours is configured: one that never fetched stands there,
// one that may only look from a range of addresses does not, and each says how
// many blocks it has in force with the serial that it was given.
func TestWhichResolversAreWatched(t *testing.T) {
	c := newConsole(t)
	c.fill()
	cfg := rpz.DefaultConfig()
	from := func(s string) []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix(s)} }
	cfg.Secondaries = []rpz.Secondary{{Name: "resolver-1", From: from("192.0.2.1/32")}, {Name: "resolver-2", From: from("192.0.2.2/32")}, {Name: "resolver-3", From: from("192.0.2.3/32")}, {Name: "anybody", From: from("127.0.0.0/8")}}
	primary, err := rpz.New(cfg, c.clock, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	c.feed = NewFeed(c.publish, c.db, primary, nil, bolwerk.Domain{}, c.clock, slog.New(slog.DiscardHandler))
	var epoch, serial int64
	c.read(func(tx *store.Tx) error {
		return tx.Row(`select epoch,serial from copy_head where copy=$1`, CopyBlocks).Scan(&epoch, &serial)
	})
	c.write(func(tx *store.Tx) error {
		_, err := tx.Exec(`insert into shield_stand(name,kind,epoch,serial,at,behind) values('resolver-1','resolver',$1,$2,$3,0),('resolver-2','resolver',$1,1,$3,$3),('anybody','resolver',$1,1,$3,$3),('gone','resolver',$1,1,$3,$3)`, epoch, serial, tx.NowMicros())
		return err
	})
	look := func() map[string]Stand {
		t.Helper()
		l, err := c.Shield.look(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]Stand{}
		for _, x := range l.Stands {
			out[x.Name] = x
		}
		return out
	}
	got := look()
	if len(got) != 3 || got["resolver-1"].State != "current" || got["resolver-2"].State != "behind" || got["resolver-3"].State != "never" || got["resolver-3"].InForce != nil {
		t.Errorf("got %+v, want three resolvers: current, behind, never", got)
	}
	if got["resolver-1"].Blocks() != 1 || got["resolver-2"].InForce == nil || got["resolver-2"].Blocks() != 0 {
		t.Errorf("blocks in force: got %d and %d, want 1 and, from before it, 0", got["resolver-1"].Blocks(), got["resolver-2"].Blocks())
	}
	wantText(t, c.get(c.anna, "/"), "current resolver-1 resolver, 1 block in force", "fetched nothing yet resolver-3 resolver")
	// What was withdrawn is in force where that is not known yet.
	c.post(c.anna, "/block/B-2026-000001/withdraw", url.Values{"cause": {"error"}, "reason": {"x"}})
	if got := look(); got["resolver-1"].Blocks() != 1 || got["resolver-2"].Blocks() != 0 {
		t.Errorf("after a withdrawal: got %d and %d, want 1 and 0", got["resolver-1"].Blocks(), got["resolver-2"].Blocks())
	}
}
