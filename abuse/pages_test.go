package abuse

import "testing"

func TestFind(t *testing.T) {
	for text, want := range map[string]string{"AB-2026-000001": "/abuse/case/AB-2026-000001", " ar-2026-000017 ": "/abuse/report/AR-2026-000017", "Q-2026-000003": "/abuse/quarantine/Q-2026-000003", "C-2026-000001": "", "AB-2026-1": "", "example.com": "", "": ""} {
		if got := Find(text); got != want {
			t.Errorf("Find(%q) = %q, want %q", text, got, want)
		}
	}
}
