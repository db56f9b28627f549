package app

import (
	"slices"
	"strings"
	"testing"

	"bolwerk/internal/store"
)

// Who answers for a table when a subscriber asks what is kept, and wants it erased:
// one of Desk.keepers.
const (
	byCases    = "cases"    // abuse.Subjects
	bySessions = "sessions" // who.Who
	byViews    = "views"    // view.Views
	byContacts = "contacts" // contact.Book
)

// keeperOf says who answers for a table with something about subscribers, or why none is
// in it ("-" and the reason).
var keeperOf = map[string]string{
	"abuse_case": byCases, "abuse_case_session": byCases, "abuse_event": byCases, "abuse_note": byCases, "abuse_exemption": byCases, "abuse_play": byCases,
	"abuse_pinned":  byCases,
	"abuse_message": byCases, "abuse_code": byCases, "abuse_said": byCases,
	"abuse_quarantine": byCases, "abuse_quarantine_line": byCases, "abuse_quarantine_said": byCases,
	"abuse_held": bySessions, "abuse_identity": bySessions, "abuse_asked": bySessions, "abuse_asked_about": bySessions,
	"abuse_view": byViews, "abuse_view_hold": byViews, "abuse_view_line": byViews,
	"abuse_contact": byContacts, "abuse_contact_bad": byContacts,

	"abuse_case_reporter":   "- of those who report, as a hash of one month",
	"abuse_report":          "- of those who report; its body is a report of many lines and goes after 30 days",
	"abuse_quarantine_many": "- a decision of staff about a feed or a class; it names no line",
	"abuse_feed":            "- of feeds", "abuse_feed_day": "- of feeds", "abuse_fetched": "- of feeds",
	"abuse_nas": "- of access servers", "abuse_gap": "- of access servers", "abuse_restart": "- of access servers", "abuse_nas_proof": "- of access servers", "abuse_shape": "- of the network",
	"abuse_view_turn": "- a counter", "abuse_quarantine_turn": "- one row that is locked",

	"desk_case":     byCases,
	"desk_proposal": "- of decisions; those of the abuse desk stand in its own tables, by reference",
	"desk_approval": "- of staff",
	"desk_receipt":  "- of those who report, as a hash",
	"desk_appeal":   "- of those who appeal against a block, under a receipt", "desk_order": "- of authorities", "desk_number": "- a counter",
	"desk_notice": "- mails to those who report; those to subscribers are abuse_message", "desk_notice_day": "- of those who report, as a hash of one month",

	"account*":    "- of staff",
	"audit":       "- what was decided, by reference",
	"fact*":       "- what happened, by reference",
	"blob":        "- reports as they came, 30 days; they are the reporter's, under no subscriber's name",
	"host*":       "- of our own machines",
	"idempotency": "- sealed answers to staff, for 24 h; a look among them is in abuse_asked",
	"job":         "- what is to be done, by reference",
	"desk_lease":  "- of desks", "desk_seat": "- of desks", "desk_key": "- of desks",
	"log_*":     "- of blocks: names of websites",
	"copy_*":    "- what edges and intakes were told: prefixes without a name (abuse_view_line), hashes of codes, blocks; each with an end",
	"siem_*":    "- a place in the facts",
	"webhook*":  "- facts for other systems, by reference",
	"privacy_*": "- requests and holds: whom they are about is in them only until they are decided or over, and an order may ask that a hold is not told",
	"shield_*":  "- of the shield, which keeps nothing about subscribers; a reporter is under a receipt",
}

func answerFor(table string) string {
	if a, ok := keeperOf[table]; ok {
		return a
	}
	best := ""
	for pattern := range keeperOf {
		if prefix, ok := strings.CutSuffix(pattern, "*"); ok && strings.HasPrefix(table, prefix) && len(pattern) > len(best) {
			best = pattern
		}
	}
	return keeperOf[best]
}

// Every table is answered for when a subscriber asks, or it is said why nothing of a
// subscriber is in it: who adds a table says which. A table of the abuse desk is named
// one by one.
func TestEveryTableIsAnsweredForWhenASubscriberAsks(t *testing.T) {
	tables := map[string]bool{}
	for _, c := range store.Columns(Schemas()) {
		tables[c.Table] = true
		a := answerFor(c.Table)
		reason, none := strings.CutPrefix(a, "- ")
		switch {
		case a == "":
			t.Errorf("nobody answers for %s when a subscriber asks what is kept: let a desk.Keeper give and erase it, or say here why nothing of a subscriber is in it", c.Table)
		case none && len(reason) < 5:
			t.Errorf("%s: no reason", c.Table)
		case none && strings.Contains(c.Purpose, "subscriber") && !strings.HasPrefix(c.Table, "shield_"):
			t.Errorf("%s.%s is of a subscriber (%s), and nobody answers for it", c.Table, c.Name, c.Purpose)
		case none && strings.HasPrefix(c.Table, "abuse_") && (strings.HasSuffix(c.Name, "_sealed") || c.Name == "mark") && c.Table != "abuse_report":
			t.Errorf("%s.%s identifies somebody, and nobody answers for it", c.Table, c.Name)
		case !none && !slices.Contains([]string{byCases, bySessions, byViews, byContacts}, a):
			t.Errorf("%s: %q is none of the keepers", c.Table, a)
		}
	}
	for name := range keeperOf {
		if prefix, many := strings.CutSuffix(name, "*"); !tables[name] && !many {
			t.Errorf("there is no table %s", name)
		} else if many {
			found := false
			for table := range tables {
				found = found || strings.HasPrefix(table, prefix)
			}
			if !found {
				t.Errorf("there is no table %s", name)
			}
		}
	}
}
