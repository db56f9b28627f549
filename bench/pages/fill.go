package main

import (
	"context"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/internal/store"
)

// sizes is how much a store holds.
type sizes struct {
	reports, cases, blocks, campaigns, orders, appeals, hits, audit int
}

// check refuses a store too small to hold one of each.
func (z sizes) check() error {
	if z.cases < 20 || z.blocks < 10 || z.campaigns < 2 || z.reports < z.cases || z.blocks > z.cases {
		return fmt.Errorf("want 20 cases, 10 blocks and 2 campaigns at least, as many cases as blocks, as many reports as cases")
	}
	return nil
}

// filler writes rows in statements of many, as fast as the store takes them.
type filler struct {
	db  *store.DB
	z   sizes
	now time.Time

	names     []string // subject of each case, by number
	opened    []time.Time
	campaigns []string
}

const (
	perStatement = 60
	perWrite     = 20_000
	span         = 60 * 24 * time.Hour // the time over which all came in
)

// rowsOf inserts n rows; row gives the values of one.
func (f *filler) rowsOf(ctx context.Context, table, columns string, n int, row func(i int) []any) error {
	width := strings.Count(columns, ",") + 1
	statement := func(rows int) string {
		var b strings.Builder
		fmt.Fprintf(&b, "insert into %s(%s) values", table, columns)
		for r := range rows {
			if r > 0 {
				b.WriteByte(',')
			}
			b.WriteByte('(')
			for c := range width {
				if c > 0 {
					b.WriteByte(',')
				}
				fmt.Fprintf(&b, "$%d", r*width+c+1)
			}
			b.WriteByte(')')
		}
		return b.String()
	}
	full := statement(perStatement)
	for from := 0; from < n; from += perWrite {
		to := min(from+perWrite, n)
		err := f.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
			for i := from; i < to; i += perStatement {
				rows := min(perStatement, to-i)
				args := make([]any, 0, rows*width)
				for r := range rows {
					args = append(args, row(i+r)...)
				}
				q := full
				if rows < perStatement {
					q = statement(rows)
				}
				if _, err := tx.Exec(q, args...); err != nil {
					return fmt.Errorf("%s: %w", table, err)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// id is the UUIDv7 of thing i of a kind that came at a time: the same each time
// it is asked for.
func id(kind string, i int, at time.Time) string {
	h := fnv.New64a()
	fmt.Fprint(h, kind, i)
	ms, rest := uint64(at.UnixMilli()), h.Sum64()
	return fmt.Sprintf("%08x-%04x-7%03x-8%03x-%012x", ms>>16, ms&0xffff, i&0xfff, rest>>52, rest&0xffffffffffff)
}

func hash(kind string, i int) string {
	var b strings.Builder
	for n := range 4 {
		h := fnv.New64a()
		fmt.Fprint(h, kind, i, "/", n)
		fmt.Fprintf(&b, "%016x", h.Sum64())
	}
	return b.String()
}

func ref(kind string, i int) string { return fmt.Sprintf("%s-2026-%06d", kind, i+1) }

var (
	brands = []string{"Anchor Bank", "Parcel Post", "Harbour Telecom", "City Tax", "Green Energy", "Kite Card", "Lamp Pay", "Toll Road"}
	tokens = []string{"anchorbank", "parcelpost", "harbour", "citytax", "greenenergy", "kitecard", "lamppay", "tollroad"}
	words  = []string{"login", "secure", "pay", "verify", "track", "account", "update", "my", "help", "id", "client", "portal"}
)

// place of case i in time: in the order of its number, newest last.
func (f *filler) at(i, of int) time.Time {
	return f.now.Add(-span).Add(time.Duration(float64(span) * (float64(i) + .5) / float64(of)))
}

// campaignOf is the campaign of case i: the first campaigns are the largest, and
// a fifth of the cases has none.
func (f *filler) campaignOf(i int) int {
	if i%5 == 0 {
		return -1
	}
	return int(float64(f.z.campaigns) * pow3(float64((i*7919)%f.z.cases)/float64(f.z.cases)))
}

func pow3(x float64) float64 { return x * x * x }

func (f *filler) name(i int) string {
	b := i % len(tokens)
	w := words[(i/len(tokens))%len(words)]
	switch i % 4 {
	case 0:
		return fmt.Sprintf("%s.%s-%s%d.example", w, tokens[b], words[i%7], i)
	case 1:
		return fmt.Sprintf("%s-%d-%s.shop%d.example", tokens[b], i, w, i%977)
	case 2:
		return fmt.Sprintf("xn--%s-%d-4fg.example", tokens[b], i)
	}
	return fmt.Sprintf("%s%s%d.example", w, tokens[b], i)
}

// state of case i: the newest ones wait.
func (f *filler) state(i int) (state, outcome string) {
	switch left := f.z.cases - i; {
	case left <= f.z.cases/500:
		return "gathering", ""
	case left <= f.z.cases/20:
		return "waiting", ""
	case left <= f.z.cases/20+f.z.cases/1000:
		return "second", ""
	case i%7 == 3:
		return "decided", "rejected"
	case i < f.z.cases/2:
		return "closed", "blocked"
	}
	return "decided", "blocked"
}

func (f *filler) fill(ctx context.Context, say func(string)) error {
	z := f.z
	for i := range z.cases {
		f.names = append(f.names, f.name(i))
		f.opened = append(f.opened, f.at(i, z.cases))
	}
	for _, part := range []struct {
		what string
		fn   func(context.Context) error
	}{
		{"reports", f.reports}, {"observables", f.observables}, {"campaigns", f.fillCampaigns}, {"cases", f.cases}, {"blocks", f.blocks},
		{"orders", f.orders}, {"appeals", f.appeals}, {"proposals", f.proposals}, {"hits", f.hits}, {"audit", f.audit},
	} {
		start := time.Now()
		if err := part.fn(ctx); err != nil {
			return err
		}
		say(fmt.Sprintf("%-12s %s", part.what, time.Since(start).Round(time.Millisecond)))
	}
	return nil
}

// caseOfReport spreads the reports: a few cases have very many.
func (f *filler) caseOfReport(i int) int {
	if i < f.z.cases {
		return i
	}
	x := float64((i*7919)%f.z.reports) / float64(f.z.reports)
	return int(float64(f.z.cases) * x * pow3(x))
}

func (f *filler) reports(ctx context.Context) error {
	z := f.z
	channels, langs := []string{"mail", "web", "api"}, []string{"nl", "fr", "de", "en"}
	err := f.rowsOf(ctx, "shield_report", "id,channel,host,received_at,committed_at,read_at,answered_at,state,outcome,tries,claimed_until,receipt,reply,mark,dkim,lang,form,body_ref,reading_ref,warnings", z.reports, func(i int) []any {
		at := f.at(i, z.reports)
		us := store.Micros(at)
		state, outcome, read := "read", "blocked", us+2_000_000
		switch {
		case i >= z.reports-20:
			state, outcome, read = "received", "waiting", 0
		case i%50 == 7:
			state, outcome = "no_observable", "for_a_person"
		case i%3 == 1:
			outcome = "waiting"
		}
		return []any{id("r", i, at), channels[i%3], "intake-1", us, us + 100_000, read, read, state, outcome, 1, 0, hash("receipt", i), "no_address", hash("mark", i%40_000)[:16], "", langs[i%4], "attached", "", "", 0}
	})
	if err != nil {
		return err
	}
	if err := f.rowsOf(ctx, "desk_receipt", "hash,kind,ref,made_at", z.reports, func(i int) []any {
		at := f.at(i, z.reports)
		return []any{hash("receipt", i), "shield.report", id("r", i, at), store.Micros(at)}
	}); err != nil {
		return err
	}
	return f.rowsOf(ctx, "shield_link", "report,observable,role,via,nth,at", z.reports, func(i int) []any {
		at := f.at(i, z.reports)
		c := f.caseOfReport(i)
		return []any{id("r", i, at), f.observable(c), "lure", "", 1, store.Micros(at)}
	})
}

func (f *filler) observable(i int) string { return id("o", i, f.opened[i]) }
func (f *filler) caseID(i int) string     { return id("c", i, f.opened[i]) }

func (f *filler) observables(ctx context.Context) error {
	err := f.rowsOf(ctx, "shield_observable", "id,kind,value,name,registrable,first_seen,last_seen,reports,case_id,verdict,assessed_at", f.z.cases, func(i int) []any {
		us := store.Micros(f.opened[i])
		return []any{f.observable(i), "fqdn", f.names[i], f.names[i], f.names[i], us, us, 10, f.caseID(i), "suspicious", us}
	})
	if err != nil {
		return err
	}
	if err := f.rowsOf(ctx, "shield_evidence", "observable,family,source,reason,tier,verdict,detail,brand,version,at", 2*f.z.cases, func(i int) []any {
		c := i / 2
		family, source := "name", "brands"
		if i%2 == 1 {
			family, source = "list", "partner"
		}
		return []any{f.observable(c), family, source, "combosquat", 2, "suspicious", "has the brand's word in it", brands[c%len(brands)], "2026-11-01", store.Micros(f.opened[c])}
	}); err != nil {
		return err
	}
	return f.rowsOf(ctx, "shield_verdict", "id,observable,verdict,why,reasons,class,brand,ruleset,at", f.z.cases, func(i int) []any {
		return []any{id("v", i, f.opened[i]), f.observable(i), "suspicious", "", "[]", "phishing", brands[i%len(brands)], "1", store.Micros(f.opened[i])}
	})
}

func (f *filler) fillCampaigns(ctx context.Context) error {
	for i := range f.z.campaigns {
		f.campaigns = append(f.campaigns, id("k", i, f.at(i, f.z.campaigns)))
	}
	// What the desk keeps counted is counted here as it would have been.
	type counts struct{ cases, reports, blocks int64 }
	all := make([]counts, f.z.campaigns)
	hours := map[[2]int64]*counts{}
	var order [][2]int64
	hour := func(k int, at time.Time) *counts {
		key := [2]int64{int64(k), store.Micros(at.Truncate(time.Hour))}
		if hours[key] == nil {
			hours[key] = &counts{}
			order = append(order, key)
		}
		return hours[key]
	}
	last := make([]time.Time, f.z.campaigns)
	for i := range f.z.cases {
		k := f.campaignOf(i)
		if k < 0 {
			continue
		}
		all[k].cases++
		hour(k, f.opened[i]).cases++
		if _, outcome := f.state(i); outcome == "blocked" {
			all[k].blocks++
			hour(k, f.opened[i].Add(15*time.Minute)).blocks++
		}
	}
	for i := range f.z.reports {
		k := f.campaignOf(f.caseOfReport(i))
		if k < 0 {
			continue
		}
		at := f.at(i, f.z.reports)
		all[k].reports++
		hour(k, at).reports++
		last[k] = at
	}
	if err := f.rowsOf(ctx, "shield_campaign_hour", "campaign,hour,cases,reports,blocks,dns,page,tls", len(order), func(i int) []any {
		h := hours[order[i]]
		return []any{f.campaigns[order[i][0]], order[i][1], h.cases, h.reports, h.blocks, h.reports * 3, h.reports, 0}
	}); err != nil {
		return err
	}
	return f.rowsOf(ctx, "shield_campaign", "id,ref,key,brand,title,first_seen,last_seen,cases,reports,blocks,dns,page,tls", f.z.campaigns, func(i int) []any {
		at := f.at(i, f.z.campaigns)
		if last[i].Before(at) {
			last[i] = at
		}
		brand := brands[i%len(brands)]
		return []any{f.campaigns[i], ref("K", i), fmt.Sprint(brand, " ", i), brand, fmt.Sprintf("%s: %s-*%d", brand, tokens[i%len(tokens)], i), store.Micros(at), store.Micros(last[i]),
			all[i].cases, all[i].reports, all[i].blocks, all[i].reports * 3, all[i].reports, 0}
	})
}

func (f *filler) cases(ctx context.Context) error {
	err := f.rowsOf(ctx, "desk_case", "id,ref,capability,subject,state,outcome,priority,why_first,opened_at,touched_at,closed_at", f.z.cases, func(i int) []any {
		state, outcome := f.state(i)
		us, closed := store.Micros(f.opened[i]), int64(0)
		if state == "decided" || state == "closed" {
			closed = us + 900_000_000
		}
		return []any{f.caseID(i), ref("C", i), "shield", f.names[i], state, outcome, int64(200 + (i*31)%400), "suspicious, imitates", us, us, closed}
	})
	if err != nil {
		return err
	}
	return f.rowsOf(ctx, "shield_case", "id,observable,campaign,verdict,brand,class,target,scope,scope_why,reports,reporters,first_seen,block,channels", f.z.cases, func(i int) []any {
		campaign, block := "", ""
		if k := f.campaignOf(i); k >= 0 {
			campaign = f.campaigns[k]
		}
		if _, outcome := f.state(i); outcome == "blocked" {
			block = f.blockID(i)
		}
		return []any{f.caseID(i), f.observable(i), campaign, "suspicious", brands[i%len(brands)], "phishing", f.names[i], "host", "[]", int64(1 + i%40), int64(1 + i%20), store.Micros(f.opened[i]), block, " mail "}
	})
}

// blockID is the block that came of case i: with fewer blocks than cases, the
// same as that of a neighbour.
func (f *filler) blockID(i int) string {
	b := i * f.z.blocks / f.z.cases
	c := b * f.z.cases / f.z.blocks
	return id("b", b, f.opened[c].Add(15*time.Minute))
}

func (f *filler) inForce(b int) bool { return b >= f.z.blocks/2 }

const blockColumns = "id,ref,pass,case_id,order_id,name,scope,www,action,class,brand,ground,legal,by_public,reason,actor,second,compromised,lists,valid_from,valid_until,state,version,epoch,serial,ended_at,ended_by,ended_why,ended_reason,ended_serial,made_at,reported_at,read_at"

func (f *filler) blocks(ctx context.Context) error {
	z := f.z
	err := f.rowsOf(ctx, "shield_block", blockColumns, z.blocks, func(b int) []any {
		c := b * z.cases / z.blocks
		made := f.opened[c].Add(15 * time.Minute)
		us := store.Micros(made)
		state, ended, by, why := "in_force", int64(0), "", ""
		if !f.inForce(b) {
			state, ended, by, why = "expired", us+14*86_400_000_000, "rule:expiry", "expired"
			if b%20 == 3 {
				state, by, why = "withdrawn", "person:"+id("p", 0, f.now.Add(-span)), "false_positive"
			}
		}
		return []any{id("b", b, made), ref("B", b), false, f.caseID(c), "", f.names[c], "host", false, "redirect", "phishing", brands[c%len(brands)], "operator", "Regulation (EU) 2015/2120 art. 3(3)(b)", "Harbour Telecom", "a copy of the page of " + brands[c%len(brands)],
			"person:" + id("p", 0, f.now.Add(-span)), "", false, `{"partner":"2026-11-01"}`, us, us + 14*86_400_000_000, state, 1, 1, int64(b + 2), ended, by, why, "", int64(b+3) * min(ended, 1), us, us - 900_000_000, us - 898_000_000}
	})
	if err != nil {
		return err
	}
	return f.rowsOf(ctx, "shield_block", blockColumns, z.blocks/100, func(i int) []any {
		made := f.at(i, z.blocks/100)
		us := store.Micros(made)
		return []any{id("e", i, made), ref("E", i), true, "", "", fmt.Sprintf("partner%d.example", i), "host", false, "", "", "", "operator", "", "Harbour Telecom", "a partner's site", "person:" + id("p", 0, f.now.Add(-span)), "", false, "", us, 0, "in_force", 1, 1, int64(i + 2), 0, "", "", "", 0, us, 0, 0}
	})
}

func (f *filler) orders(ctx context.Context) error {
	return f.rowsOf(ctx, "desk_order", "id,ref,issuer,external,version,action,subject,scope,ground,valid_from,valid_until,state,reason,object,received_at,changed_at", f.z.orders, func(i int) []any {
		at := f.at(i, f.z.orders)
		us := store.Micros(at)
		state, issuer := "in_force", "cert"
		switch {
		case i >= f.z.orders-f.z.orders/50:
			state = "held"
		case i%5 == 1:
			state = "lifted"
		case i%211 == 0:
			state, issuer = "refused", "court"
		}
		return []any{id("d", i, at), ref("O", i), issuer, fmt.Sprintf("X-%d", i), 1, "block", fmt.Sprintf("ordered%d.%s.example", i, words[i%len(words)]), "registrable", "Act on orders, article 1", us, 0, state, "", "", us, us}
	})
}

func (f *filler) appeals(ctx context.Context) error {
	return f.rowsOf(ctx, "desk_appeal", "id,ref,receipt,capability,object,subject,role,state,decision,actor,reason,received_at,due_at,decided_at", f.z.appeals, func(i int) []any {
		at := f.at(i, f.z.appeals)
		us := store.Micros(at)
		b := (i * 37) % f.z.blocks
		c := b * f.z.cases / f.z.blocks
		state, decision, decided := "decided", "rejected", us+3_600_000_000
		object := ref("B", b)
		if i >= f.z.appeals-f.z.appeals/50 {
			state, decision, decided, object = "received", "", 0, ""
		}
		return []any{id("a", i, at), ref("A", i), hash("appeal", i), "shield", object, f.names[c], "owner", state, decision, "", "", us, us + 172_800_000_000, decided}
	})
}

// proposals: those of the cases that wait for a second person, and done ones.
func (f *filler) proposals(ctx context.Context) error {
	n := f.z.cases / 20
	return f.rowsOf(ctx, "desk_proposal", "id,case_id,action,body,digest,state,actor,reason,need,at", n, func(i int) []any {
		c := f.z.cases - f.z.cases/20 - 1 - i
		state := "done"
		if s, _ := f.state(c); s == "second" {
			state = "open"
		}
		return []any{id("q", i, f.opened[c]), f.caseID(c), "shield.block", `{"name":"` + f.names[c] + `","scope":"registrable","class":"phishing","reason":"the whole domain"}`, hash("digest", i), state,
			"person:" + id("p", 0, f.now.Add(-span)), "the whole domain", "guard 7", store.Micros(f.opened[c])}
	})
}

// hits: few blocks have most of the counts, in buckets of five minutes at two edges.
func (f *filler) hits(ctx context.Context) error {
	per := 2000 // buckets of the busiest
	if f.z.hits < 20*per {
		per = f.z.hits/20 + 1
	}
	type counts struct{ dns, page, tls, first int64 }
	total, hours := map[int]*counts{}, map[int64]*counts{}
	add := func(c *counts, dns, page, tls, at int64) *counts {
		if c == nil {
			c = &counts{first: at}
		}
		c.dns, c.page, c.tls, c.first = c.dns+dns, c.page+page, c.tls+tls, min(c.first, at)
		return c
	}
	err := f.rowsOf(ctx, "shield_hits", "edge,boot,bucket,block,dns,page,tls", f.z.hits, func(i int) []any {
		nth := i / per // the nth busiest has its own run of buckets, then come short ones
		b, bucket := f.z.blocks-1-nth*7%f.z.blocks, i%per
		if i >= f.z.hits/2 {
			j := i - f.z.hits/2
			b, bucket = f.z.blocks-1-(j/10)%f.z.blocks, per+j%10+10*(j/10/f.z.blocks)
		}
		at := f.now.Truncate(5 * time.Minute).Add(-time.Duration(bucket/2) * 5 * time.Minute)
		us, dns, page, tls := store.Micros(at), int64(1+i%90), int64(i%3), int64(i%2)
		hour := store.Micros(at.Truncate(time.Hour))
		total[b], hours[hour] = add(total[b], dns, page, tls, us), add(hours[hour], dns, page, tls, us)
		return []any{fmt.Sprintf("edge-%d", 1+bucket%2), fmt.Sprint("boot-", i), us, ref("B", b), dns, page, tls}
	})
	if err != nil {
		return err
	}
	blocks, times := slices.Sorted(maps.Keys(total)), slices.Sorted(maps.Keys(hours))
	if err := f.rowsOf(ctx, "shield_hit_total", "block,campaign,dns,page,tls,first", len(blocks), func(i int) []any {
		b := blocks[i]
		campaign, t := "", total[b]
		if k := f.campaignOf(b * f.z.cases / f.z.blocks); k >= 0 {
			campaign = f.campaigns[k]
		}
		return []any{ref("B", b), campaign, t.dns, t.page, t.tls, t.first}
	}); err != nil {
		return err
	}
	return f.rowsOf(ctx, "shield_hit_hour", "hour,dns,page,tls", len(times), func(i int) []any {
		t := hours[times[i]]
		return []any{times[i], t.dns, t.page, t.tls}
	})
}

func (f *filler) audit(ctx context.Context) error {
	actor := bolwerk.Person(id("p", 0, f.now.Add(-span))).String()
	return f.rowsOf(ctx, "audit", "seq,at,actor,action,object,reason,detail,prev,hash", f.z.audit, func(i int) []any {
		kind, of := "C", f.z.cases
		if i%2 == 1 {
			kind, of = "B", f.z.blocks
		}
		return []any{int64(i + 1), store.Micros(f.at(i, f.z.audit)), actor, "shield.block.confirm", ref(kind, (i/2)%of), "a copy of the page", "", hash("audit", i), hash("audit", i+1)}
	})
}
