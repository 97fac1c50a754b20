"""What every app stands on: abstract models, the gate, events, errors, checks."""
