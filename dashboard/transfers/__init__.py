"""Archives on their way: from the engine to a person, and the other way (ADR 13). Knows nothing of what is in them."""
