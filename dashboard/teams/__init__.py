"""Teams, who is in them and as what: the gate's policy, and whose rows somebody sees (ADR 21)."""
