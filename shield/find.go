package shield

import (
	"context"
	"regexp"
	"strings"

	"bolwerk"
	"bolwerk/desk"
	"bolwerk/internal/idn"
	"bolwerk/internal/store"
)

// idOrRef is an id (UUIDv7) or a number such as B-2026-000147.
var idOrRef = regexp.MustCompile(`^([0-9a-f]{8}-[0-9a-f-]{27}|[A-Z]-[0-9]{4}-[0-9]{6,})$`)

// blockID gives the id of what people call by id, number or name: a block, or
// with pass an exemption. Under one name, what is in force goes before what is
// over, and our own, which we may end, before an order.
func (s *Shield) blockID(ctx context.Context, text string, pass bool) (id string, err error) {
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		if idOrRef.MatchString(inFull(text)) {
			b, err := findBlock(tx, inFull(text))
			if err == nil && b.Pass != pass {
				return otherKind(b)
			}
			id = b.ID
			return err
		}
		name, err := idn.Parse(text)
		if err != nil {
			return err
		}
		err = tx.Row(`select id from shield_block where name=$1 and pass=$2 order by case when state='in_force' then 0 else 1 end,
			case when order_id='' then 0 else 1 end, made_at desc limit 1`, name.String(), pass).Scan(&id)
		if !store.None(err) {
			return err
		}
		if pass {
			return bolwerk.WithHint(bolwerk.NotFound("%s is not exempt", name), "bolwerk exempt list shows the exemptions and their ids")
		}
		return bolwerk.WithHint(bolwerk.NotFound("%s has no block of its own", name), "bolwerk block explain "+name.String()+" shows what catches it")
	})
	return id, err
}

// inFull gives a number as it is kept: of b-2026-147, B-2026-000147. Any other
// text stays as it is.
func inFull(text string) string {
	m := refText.FindStringSubmatch(text)
	if m == nil {
		return text
	}
	return strings.ToUpper(m[1]) + "-" + m[2] + "-" + strings.Repeat("0", max(0, 6-len(m[3]))) + m[3]
}

func otherKind(b Block) error {
	if b.Pass {
		return bolwerk.WithHint(bolwerk.Conflict("%s is an exemption, not a block", b.Ref), "bolwerk exempt remove "+b.Ref)
	}
	return bolwerk.WithHint(bolwerk.Conflict("%s is a block, not an exemption", b.Ref), "bolwerk block withdraw "+b.Ref)
}

// caseID gives the id of what people call by id, number or subject: of a
// subject, its newest case.
func (s *Shield) caseID(ctx context.Context, text string) (id string, err error) {
	if full := inFull(text); idOrRef.MatchString(full) {
		return full, nil
	}
	subject := text
	if name, err := idn.Parse(text); err == nil {
		subject = name.String()
	}
	err = s.db.Read(ctx, func(tx *store.Tx) error {
		c, err := desk.LastCase(tx, Name, subject)
		id = c.ID
		return err
	})
	if err != nil {
		err = bolwerk.WithHint(err, "bolwerk case list shows the cases and their ids")
	}
	return id, err
}
