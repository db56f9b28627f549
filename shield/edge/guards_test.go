package edge

import (
	"bytes"
	"net/netip"
	"testing"

	"bolwerk/internal/dnsserve"
)

// The guard rails that the edge holds (docs/understand/guards.md), each under its
// number.

// TestGuard17_dns: only the policy's answer, of every type and over every way in,
// with the right extended error, and nothing that lasts.
func TestGuard17_dns(t *testing.T) {
	t.Run("scope", TestAnswer_scope)
	t.Run("what is answered", TestAnswer_what)
	t.Run("ends by itself", TestAnswer_begins_and_ends_by_itself)
}

// TestGuard18_landing: every host and path, nothing kept, no form for what a
// phisher asks for, and a TLS door that only counts.
func TestGuard18_landing(t *testing.T) {
	t.Run("every host and path", TestPage_answers_every_host_and_path)
	t.Run("posts", TestPage_posts)
	t.Run("TLS", TestServeTLS)
}

// TestGuard19_privacy: no address leaves the edge, with hits or with names that
// were asked for.
func TestGuard19_privacy(t *testing.T) {
	t.Run("flow", TestFlow_keeps_nothing)
	e, _, d := testEdge(t)
	reset(t, e, rule("B-2026-000001", "bad.example", nil))
	from := netip.MustParseAddr("::ffff:198.51.100.77")
	for range 200 {
		for _, name := range []string{"bad.example", "busy.example"} {
			ask(e, name, dnsserve.TypeA, func(q *dnsserve.Question) { q.From = from })
		}
	}
	e.rollUp(t.Context())
	e.tellAll(t)
	if len(d.got) < 2 {
		t.Fatalf("handed in: %+v", d.got)
	}
	for _, h := range d.got {
		for _, trace := range []string{"198.51.100.77", "c633644d"} {
			if bytes.Contains(h.body, []byte(trace)) {
				t.Errorf("%s has who asked: %s", h.kind, h.body)
			}
		}
	}
}

// TestGuard20_opt_out: a visitor opens a stopped name for minutes where the
// operator and the class allow it, and never what steals credentials.
func TestGuard20_opt_out(t *testing.T) {
	t.Run("release", TestRelease)
	t.Run("never", TestRelease_never)
	t.Run("told", TestOptOut)
}
