package shield

import "testing"

// TestInFull: people type numbers in small letters and without the zeros.
func TestInFull(t *testing.T) {
	for text, want := range map[string]string{
		"B-2026-000147": "B-2026-000147", "b-2026-000147": "B-2026-000147", "c-2026-9": "C-2026-000009", "C-2026-1234567": "C-2026-1234567",
		"bad.example": "bad.example", "b-2026-9.example": "b-2026-9.example", "01a214d5-47b0-7d59-bae4-2712036049c1": "01a214d5-47b0-7d59-bae4-2712036049c1",
	} {
		if got := inFull(text); got != want {
			t.Errorf("inFull(%q) = %q, want %q", text, got, want)
		}
	}
}
