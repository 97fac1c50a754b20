"""Who did what, and who was refused: one append-only row each, written in the transaction of the change (ADR 22)."""
