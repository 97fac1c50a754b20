"""Names and passwords for registries: whose they are, how they are kept, and which a pull uses (ADR 30)."""
