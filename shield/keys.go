package shield

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"bolwerk"
	"bolwerk/desk"
	"bolwerk/internal/store"
	"bolwerk/shield/aid"
	"bolwerk/shield/capture"
	"bolwerk/shield/content"
	"bolwerk/shield/judge"
	"bolwerk/shield/kit"
	"bolwerk/shield/reading"
)

// A key is held by the campaign that has it, or by a case that is in none yet:
// a campaign of thousands has each of its keys once.

// eachKey is how many holders of one key are looked at, the newest first.
const eachKey = 12

// lureOf is what people were led on with: the subject of a mail, else how the
// text of a message begins. Of a mail the text says less than it seems: half of
// it is what every bank writes under its mails.
func lureOf(r reading.Result) string {
	if r.Inner != nil && r.Inner.Subject != "" {
		return r.Inner.Subject
	}
	return begin(r.Excerpt, 400)
}

// keysOf are the keys of what a report brings, before any page was fetched.
func keysOf(rules *rules, f found, v judge.Verdict) (out []judge.Key) {
	if !f.name.IsZero() && v.Brand != "" {
		out = judge.NameKey(f.place, v.Brand, rules.brands)
	}
	out = append(out, judge.ShapeKey(f.page)...)
	out = append(out, judge.TextKeys(f.lure)...)
	return append(out, judge.BrandKey(v.Brand, f.lang)...)
}

// keysOfPage are the keys of what a fetched page shows. A page that asks for
// nothing and shows no brand has none: parked names and error pages are all alike.
func keysOfPage(f content.Facts, hits []kit.Hit) (out []judge.Key) {
	for _, h := range hits {
		if h.Rule.Kit() {
			out = append(out, judge.KitKey(h.ID()))
		}
	}
	if len(f.Asks) == 0 && f.Brand() == "" {
		return out
	}
	var scripts []string
	for _, a := range f.Assets {
		if a.Kind == capture.Script && a.Own {
			scripts = append(scripts, a.SHA256)
		}
		if a.Kind == capture.Icon && a.Own {
			out = append(out, judge.IconKey(a.SHA256))
		}
	}
	for i, form := range f.Forms {
		if i < 3 {
			out = append(out, judge.FormKey(pathOf(form.Action), scripts)...)
		}
	}
	return append(out, judge.DOMKeys(f.DOM)...)
}

func pathOf(u string) string {
	_, rest, ok := strings.Cut(u, "://")
	if !ok {
		return ""
	}
	_, path, _ := strings.Cut(rest, "/")
	path, _, _ = strings.Cut(path, "?")
	return path
}

// shared are the keys that a holder has in common with a case.
type shared struct {
	holder string
	isCase bool
	at     int64
	keys   []judge.Key
}

// holders are who has some of the keys, with which; dom is the full simhash.
func holders(tx *store.Tx, keys []judge.Key, dom uint64, but string) ([]shared, error) {
	var tells, lone []any
	of := map[string]judge.Key{}
	for _, k := range keys {
		of[k.String()] = k
		if k.Kind == judge.KeyBrand || k.Kind == judge.KeyRegister {
			lone = append(lone, k.String())
		} else {
			tells = append(tells, k.String())
		}
	}
	if len(tells) == 0 {
		return nil, nil
	}
	at := map[string]int{}
	var out []shared
	read := func(scan func(...any) error) error {
		var key, holder, full string
		var isCase bool
		var when int64
		if err := scan(&key, &holder, &isCase, &full, &when); err != nil {
			return err
		}
		k := of[key]
		if k.Kind == judge.KeyDOM {
			if other, err := strconv.ParseUint(full, 16, 64); err != nil || !judge.DOMNear(dom, other) {
				return nil
			}
		}
		i, ok := at[holder]
		if !ok {
			i = len(out)
			at[holder] = i
			out = append(out, shared{holder: holder, isCase: isCase, at: when})
		}
		out[i].keys = append(out[i].keys, k)
		return nil
	}
	const columns = `select key,holder,is_case,full_hash,at from shield_key where `
	marks := func(n, from int) string {
		m := make([]string, n)
		for i := range m {
			m[i] = fmt.Sprintf("$%d", i+from)
		}
		return strings.Join(m, ",")
	}
	// Of each key the newest: a text of which thousands have nothing else in
	// common must not cost each of them a look at all others.
	parts := make([]string, len(tells))
	for i := range tells {
		parts[i] = fmt.Sprintf(`select * from (%s key=$%d and holder<>$%d order by at desc limit %d) k%d`, columns, i+1, len(tells)+1, eachKey, i)
	}
	if err := tx.Each(strings.Join(parts, " union all "), append(slices.Clone(tells), but), read); err != nil || len(out) == 0 || len(lone) == 0 {
		return out, err
	}
	ids := make([]any, len(out))
	for i, s := range out {
		ids[i] = s.holder
	}
	err := tx.Each(columns+`key in (`+marks(len(lone), 1)+`) and holder in (`+marks(len(ids), len(lone)+1)+`)`, append(lone, ids...), read)
	return out, err
}

// hold keeps keys for a campaign or for a case that is in none.
func hold(tx *store.Tx, holder string, isCase bool, keys []judge.Key, dom uint64) error {
	for _, k := range keys {
		full := ""
		if k.Kind == judge.KeyDOM {
			full = strconv.FormatUint(dom, 16)
		}
		if _, err := tx.Exec(`insert into shield_key(key,holder,is_case,strong,full_hash,at) values($1,$2,$3,$4,$5,$6) on conflict(key,holder) do nothing`,
			k.String(), holder, isCase, k.Strong, full, tx.NowMicros()); err != nil {
			return err
		}
	}
	return nil
}

// joinCampaign finds the campaign of a case by its keys, or begins one where
// another case agrees, or where the name's shape is one that others will have
// too. It says by which kinds of key; without a campaign the case holds its keys.
func (s *Shield) joinCampaign(tx *store.Tx, caseID string, keys []judge.Key, dom uint64, brand, title string) (id, by string, err error) {
	all, err := holders(tx, keys, dom, caseID)
	if err != nil {
		return "", "", err
	}
	best, kinds := -1, []judge.KeyKind(nil)
	rank := func(i int, k []judge.KeyKind) int { // campaigns before cases, then more kinds; the newest stand first
		n := len(k)
		if !all[i].isCase {
			n += 100
		}
		return n
	}
	for i := range all {
		if a := judge.Together(all[i].keys); a.Join && (best < 0 || cmp.Compare(rank(i, a.Kinds), rank(best, kinds)) > 0) {
			best, kinds = i, a.Kinds
		}
	}
	by = joinKinds(kinds)
	switch {
	case best >= 0 && !all[best].isCase:
		id = all[best].holder
	case best >= 0:
		if id, err = s.newCampaign(tx, keys, all[best].keys, brand, title); err == nil {
			err = s.adopt(tx, id, all[best].holder, by)
		}
	case slices.ContainsFunc(keys, func(k judge.Key) bool { return k.Kind == judge.KeyName }):
		by = string(judge.KeyName)
		if id, err = s.newCampaign(tx, keys, nil, brand, title); err == nil {
			err = s.siblingsOfShape(tx, id, brand, keys)
		}
	default:
		return "", "", hold(tx, caseID, true, keys, dom)
	}
	if err != nil {
		return "", "", err
	}
	return id, by, hold(tx, id, false, keys, dom)
}

func joinKinds(kinds []judge.KeyKind) string {
	out := make([]string, len(kinds))
	for i, k := range kinds {
		out[i] = string(k)
	}
	return strings.Join(out, " ")
}

// newCampaign begins a campaign. Its key is the shape of its names, or what its
// first two cases agree in.
func (s *Shield) newCampaign(tx *store.Tx, keys, same []judge.Key, brand, title string) (id string, err error) {
	fresh := bolwerk.NewID(tx.Now())
	key := fresh
	for _, k := range append(slices.Clone(same), keys...) {
		if k.Kind == judge.KeyName {
			key = k.Value
			title = brand + ": " + strings.ReplaceAll(strings.TrimPrefix(k.Value, brand+"|"), "{brand}", "["+brand+"]")
			break
		}
	}
	if title == "" {
		title = brand
	}
	ref, err := desk.Number(tx, "K")
	if err != nil {
		return "", err
	}
	err = tx.Row(`insert into shield_campaign(id,ref,key,brand,title,first_seen,last_seen,lively_at,cases,reports,blocks,dns,page,tls) values($1,$2,$3,$4,$5,$6,$6,$6,0,0,0,0,0,0)
		on conflict(key) do update set last_seen=excluded.last_seen, lively_at=excluded.lively_at returning case when merged_into<>'' then merged_into else id end`,
		fresh, ref, key, brand, title, tx.NowMicros()).Scan(&id)
	return id, err
}

// adopt puts a case that was in no campaign into one, with all that is counted
// of it so far, and gives its keys to the campaign.
func (s *Shield) adopt(tx *store.Tx, campaign, caseID, by string) error {
	var reports, first int64
	var block, asked string
	err := tx.Row(`update shield_case set campaign=$1, joined=$2 where id=$3 and campaign='' returning reports,first_seen,block,asked_for`, campaign, by, caseID).Scan(&reports, &first, &block, &asked)
	if store.None(err) {
		return nil // another desk was faster
	}
	if err != nil {
		return err
	}
	if _, err := tx.Exec(`insert into shield_key(key,holder,is_case,strong,full_hash,at) select key,$1,false,strong,full_hash,at from shield_key where holder=$2 on conflict(key,holder) do nothing`, campaign, caseID); err != nil {
		return err
	}
	if _, err := tx.Exec(`delete from shield_key where holder=$1`, caseID); err != nil {
		return err
	}
	g := grew{cases: 1, reports: reports}
	if block != "" {
		g.blocks = 1
		var ref string
		if err := tx.Row(`select ref from shield_block where id=$1`, block).Scan(&ref); err != nil && !store.None(err) {
			return err
		}
		err := tx.Row(`update shield_hit_total set campaign=$1 where block=$2 and campaign='' returning dns,page,tls`, campaign, ref).Scan(&g.dns, &g.page, &g.tls)
		if err != nil && !store.None(err) {
			return err
		}
	}
	if _, err := tx.Exec(`update shield_campaign set first_seen=case when $1<first_seen then $1 else first_seen end where id=$2`, first, campaign); err != nil {
		return err
	}
	if err := growCampaign(tx, campaign, store.Time(first), g); err != nil {
		return err
	}
	return askedOfCampaign(tx, campaign, aid.Read(asked))
}

// sawPage takes in what a fetched page of a case shows, besides the evidence: what
// it asks for is proposed with the case and told to its campaign, and its keys
// find the campaign where the message had not. Names that it shows beside its own are
// proposed as siblings.
func (s *Shield) sawPage(tx *store.Tx, rules *rules, caseID string, b *capture.Bundle, f content.Facts, hits []kit.Hit) error {
	var campaign, brand, known string
	if err := tx.Row(`select campaign,brand,asked_for from shield_case where id=$1`, caseID).Scan(&campaign, &brand, &known); err != nil {
		if store.None(err) {
			return bolwerk.NotFound("no case %q", caseID)
		}
		return err
	}
	if asks := aid.Read(known) | f.Aid(); asks != aid.Read(known) {
		if _, err := tx.Exec(`update shield_case set asked_for=$1 where id=$2`, asks.String(), caseID); err != nil {
			return err
		}
		if err := askedOfCampaign(tx, campaign, asks); err != nil {
			return err
		}
	}
	keys := keysOfPage(f, hits)
	if campaign != "" {
		if err := hold(tx, campaign, false, keys, f.DOM); err != nil {
			return err
		}
		return s.siblings(tx, rules, campaign, caseID, f, b)
	}
	// With what the case holds already, two kinds may agree now.
	held, err := heldBy(tx, caseID)
	if err != nil {
		return err
	}
	keys = append(keys, held...)
	if brand == "" {
		brand = f.Brand()
	}
	title := brand
	if title == "" {
		title = f.Title
	}
	id, by, err := s.joinCampaign(tx, caseID, keys, f.DOM, brand, title)
	if err != nil || id == "" {
		return err
	}
	if err := s.adopt(tx, id, caseID, by); err != nil {
		return err
	}
	return s.siblings(tx, rules, id, caseID, f, b)
}

// heldBy are the keys that a case holds that is in no campaign, but for those of
// its page, of which the full hash is needed.
func heldBy(tx *store.Tx, caseID string) (keys []judge.Key, err error) {
	err = tx.Each(`select key,strong from shield_key where holder=$1 limit 100`, []any{caseID}, func(scan func(...any) error) error {
		var text string
		var k judge.Key
		if err := scan(&text, &k.Strong); err != nil {
			return err
		}
		kind, value, _ := strings.Cut(text, "|")
		if k.Kind, k.Value = judge.KeyKind(kind), value; k.Kind != judge.KeyDOM {
			keys = append(keys, k)
		}
		return nil
	})
	return keys, err
}

// askedOfCampaign adds to what the sites of a campaign are known to ask for.
func askedOfCampaign(tx *store.Tx, campaign string, asked aid.Set) error {
	if campaign == "" || asked == 0 {
		return nil
	}
	var known string
	if err := tx.Row(`select asked_for from shield_campaign where id=$1`, campaign).Scan(&known); err != nil {
		if store.None(err) {
			err = nil
		}
		return err
	}
	if all := aid.Read(known) | asked; all != aid.Read(known) {
		_, err := tx.Exec(`update shield_campaign set asked_for=$1 where id=$2`, all.String(), campaign)
		return err
	}
	return nil
}
