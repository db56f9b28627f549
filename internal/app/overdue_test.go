package app

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/internal/store"
	"bolwerk/internal/store/storetest"
)

// overdue are rows that are too old, one for each rule, under the table and class that
// it is of. What they do not say is the type's empty value.
func overdue(old time.Time) map[string]map[string]any {
	at, id, prefix := store.Micros(old), bolwerk.NewID(old), make([]byte, 17)
	prefix[16] = 128
	return map[string]map[string]any{
		"blob body":                 {"month": old.Format("2006-01"), "digest": "d", "body": []byte("sealed"), "at": at},
		"abuse_event body":          {"id": id, "report": "r0", "once": "o", "state": "aside", "detail_sealed": []byte("sealed")},
		"abuse_report body":         {"id": id, "ref": "AR-1", "received_at": at, "state": "done", "from_sealed": []byte("sealed")},
		"abuse_report case":         {"id": bolwerk.NewID(old.Add(time.Second)), "ref": "AR-2", "received_at": at, "state": "done"},
		"shield_report reply":       {"id": id, "received_at": at, "state": "read", "token_sealed": []byte("sealed"), "reply_sealed": []byte("sealed")},
		"desk_appeal reply":         {"id": id, "ref": "A-1", "state": "decided", "received_at": at, "decided_at": at, "text_sealed": []byte("sealed"), "contact_sealed": []byte("sealed")},
		"desk_notice reply":         {"id": id, "state": "sent", "made_at": at, "to_sealed": []byte("sealed"), "body_sealed": []byte("sealed")},
		"desk_notice_day reply":     {"mark": "m", "day": old.Unix() / 86400},
		"abuse_held session":        {"net": prefix, "ended": "stop", "start": at, "seen": at, "until": at},
		"abuse_gap session":         {"nas": "bng1", "from_at": at, "to_at": at, "why": "silent"},
		"abuse_restart session":     {"nas": "bng1", "at": at, "why": "on", "done": true},
		"abuse_nas session":         {"nas": "bng1", "first": at, "last": at},
		"abuse_view_line session":   {"net": prefix, "until": at},
		"abuse_view view":           {"id": id, "view": "opt_out", "until": at, "month": old.Format("2006-01"), "subscriber_sealed": []byte("sealed"), "at": at},
		"abuse_contact contact":     {"mark": "m", "month": old.Format("2006-01"), "detail_sealed": []byte("sealed"), "at": at},
		"abuse_contact_bad contact": {"mark": "m", "status": "5.1.1", "at": at},
		"abuse_asked staff":         {"id": id, "at": at, "actor": "socket:admin", "question_sealed": []byte("sealed")},
		"account staff":             {"id": id, "login": "gone", "role": "viewer", "state": "disabled", "ended_at": at},
		"privacy_request privacy":   {"id": id, "kind": "export", "state": "done", "asked_by": "socket:admin", "asked_at": at, "decided_at": at},
		"privacy_hold privacy":      {"id": id, "actor": "socket:admin", "at": at, "until": at, "subscriber_sealed": []byte("sealed"), "copy_sealed": []byte("sealed")},
		"desk_case case":            {"id": "abuse-case", "ref": "AB-1", "capability": "abuse", "subject": "a", "state": "closed", "opened_at": at, "touched_at": at, "closed_at": at},
		"shield_block case":         {"id": id, "ref": "B-1", "name": "x.example", "state": "expired", "ended_at": at, "lists": "{}"},
		"shield_reached case":       {"epoch": int64(1), "name": "edge-1", "serial": int64(1), "at": at},
		"shield_certificate case":   {"name": "x.example", "at": at},
	}
}

// with are rows of a case, which have no age of their own: they go with it.
func with(old time.Time) map[string]map[string]any {
	at := store.Micros(old)
	return map[string]map[string]any{
		"abuse_case": {"id": "abuse-case", "mark": "m", "who_sealed": []byte("sealed")}, "abuse_case_reporter": {"reporter": "r"}, "abuse_case_session": {"session": "s"},
		"abuse_note": {"id": "n", "kind": "note", "actor": "socket:admin", "text_sealed": []byte("sealed"), "at": at}, "abuse_exemption": {"id": "x", "actor": "socket:admin", "at": at, "until": at},
		"abuse_play": {"state": "ended"}, "abuse_pinned": {"n": int64(1), "answer_sealed": []byte("sealed"), "at": at}, "abuse_event": {"id": bolwerk.NewID(old.Add(time.Minute)), "report": "r9", "once": "of the case", "state": "joined"},
		"abuse_message": {"id": "m", "kind": "warned", "state": "sent", "actor": "socket:admin"}, "abuse_code": {"hash": "c"}, "abuse_said": {"id": "s"},
		"abuse_quarantine": {"id": "q", "ref": "Q-1", "profile": "leaky", "state": "released", "asked_by": "socket:admin", "ended_at": at},
	}
}

// Whatever is kept too long is found by the check, and the running desk removes it: a
// row of every rule, and of every table that goes with a case.
func TestWhatIsOverdueIsFoundAndRemoved(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a whole desk: not with -short")
	}
	cfg := Default()
	cfg.Data, cfg.Operator, cfg.Store.URL = t.TempDir(), "Example Telecom", storetest.URL(t)
	cfg.Console.Listen, cfg.Hosts.Listen, cfg.RPZ.Listen, cfg.Mail.Outbox = "127.0.0.1:0", "127.0.0.1:0", free(t), t.TempDir()
	env := NewEnv(slog.New(slog.DiscardHandler))
	env.Reader = func() *exec.Cmd { return exec.Command("true") }
	d, err := BuildDesk(t.Context(), cfg, env)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	closed := false
	t.Cleanup(func() {
		stop()
		if !closed {
			d.db.Close()
		}
	})
	old := env.Clock.Now().AddDate(-3, 0, 0)
	planted := overdue(old)
	for _, r := range rules {
		if planted[r.table+" "+r.class] == nil {
			t.Errorf("no row of %s is planted for the rule of its class %s", r.table, r.class)
		}
	}
	insert := func(table string, vals map[string]any) {
		t.Helper()
		if err := plant(d.db, table, vals); err != nil {
			t.Fatalf("%s: %v", table, err)
		}
	}
	for _, what := range slices.Sorted(maps.Keys(planted)) {
		table, _, _ := strings.Cut(what, " ")
		insert(table, planted[what])
	}
	kept := with(old)
	ofCase := 0
	for _, c := range store.Columns(Schemas()) {
		if c.Name != "case_id" || !strings.HasPrefix(c.Table, "abuse_") || c.Table == "abuse_asked" {
			continue
		}
		ofCase++
		if kept[c.Table] == nil {
			t.Errorf("no row of %s is planted", c.Table)
			continue
		}
		kept[c.Table]["case_id"] = "abuse-case"
	}
	for _, table := range slices.Sorted(maps.Keys(kept)) {
		insert(table, kept[table])
	}
	over := func() (out []string) {
		t.Helper()
		all, err := d.retentionNow(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range all {
			if r.State == "over" {
				out = append(out, r.Table+" "+r.Class)
			}
		}
		return out
	}
	found := over()
	for what := range planted {
		if !slices.Contains(found, what) {
			t.Errorf("the check does not find %s", what)
		}
	}

	closed = true // Run closes it
	go func() { ended <- d.Run(ctx) }()
	var still []string
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		if still = over(); len(still) == 0 || time.Now().After(end) {
			break
		}
	}
	if len(still) > 0 {
		t.Errorf("the desk does not remove %s", strings.Join(still, ", "))
	}
	for table := range kept {
		col := "case_id"
		if table == "abuse_case" {
			col = "id"
		}
		var n int64
		if err := d.db.Read(t.Context(), func(tx *store.Tx) error {
			return tx.Row(`select count(*) from ` + table + ` where ` + col + `='abuse-case'`).Scan(&n)
		}); err != nil || n != 0 {
			t.Errorf("%d rows of the case are left in %s: %v", n, table, err)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("the desk ended: %v", err)
	}
	t.Logf("%d classes of tables were overdue, and %d tables of a case went with it", len(planted), ofCase)
}

// plant writes a row; what vals does not say is empty.
func plant(db *store.DB, table string, vals map[string]any) error {
	var names, places []string
	var args []any
	for _, c := range store.Columns(Schemas()) {
		if c.Table != table {
			continue
		}
		v, ok := vals[c.Name]
		if !ok {
			v = map[string]any{"text": "", "bigint": int64(0), "boolean": false, "bytea": []byte("sealed")}[c.Type]
		}
		names, args = append(names, c.Name), append(args, v)
		places = append(places, fmt.Sprintf("$%d", len(args)))
	}
	if len(names) == 0 {
		return fmt.Errorf("there is no such table")
	}
	return db.Write(context.Background(), store.Intake, func(tx *store.Tx) error {
		_, err := tx.Exec(`insert into `+table+`(`+strings.Join(names, ",")+`) values(`+strings.Join(places, ",")+`)`, args...)
		return err
	})
}

// free is an address of this machine at which nothing listens.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
