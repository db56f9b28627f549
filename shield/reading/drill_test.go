package reading

import "testing"

func TestDrills(t *testing.T) {
	for line, want := range map[string]string{
		"X-PHISHTEST: 1": "x-phishtest",
		"X-Gophish-Contact: security@bank.example":           "x-gophish-contact",
		"X-Mailer: gophish":                                  "x-mailer",
		"X-ThreatSim-ID: 5":                                  "x-threatsim-id",
		"X-Lucy-Scenario: 5":                                 "x-lucy-scenario",
		"Return-Path: <a@simulator.office.com>":              "return-path",
		"X-Lucynda: 5":                                       "",
		"X-Mailer: Gophish lovers":                           "",
		"Return-Path: <a@simulator.office.com.evil.example>": "",
	} {
		mail := "From: a@b.example\nSubject: x\n" + line + "\n\nhttps://training.example/\n"
		if got := Mail([]byte(mail), Option{Evidence: true}).Drill; got != want {
			t.Errorf("%s: got %q, want %q", line, got, want)
		}
		// In a mail that was attached it is looked for too, by itself or by Outlook.
		if got := Mail([]byte("From: r@c.example\nSubject: FW\nContent-Type: message/rfc822\n\n"+mail), Option{}).Drill; got != want {
			t.Errorf("%s, attached: got %q, want %q", line, got, want)
		}
	}
}
