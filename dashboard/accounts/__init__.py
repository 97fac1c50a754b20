"""Sign-in, the first administrator, the host's token, a person's preferences."""
