package app

import "testing"

// The configuration of the agent's own package holds what an agent reads, and nothing
// more is asked of it; a desk's file is asked for the rest.
func TestAgentsOwnConfiguration(t *testing.T) {
	cfg, err := Read("../../packaging/agent/agent.toml")
	if err != nil {
		t.Fatal(err)
	}
	if err := cfg.validateFor("agent"); err != nil {
		t.Errorf("an agent: %v", err)
	}
	if cfg.Validate() == nil || cfg.validateFor("edge") == nil {
		t.Error("it is enough for an edge, which needs more")
	}
	cfg.Agent.Ask = "nowhere"
	if cfg.validateFor("agent") == nil {
		t.Error("an agent that asks nobody passes")
	}
	cfg.Data = ""
	if cfg.validateFor("agent") == nil {
		t.Error("an agent without a folder passes")
	}
}
