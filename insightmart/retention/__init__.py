"""How long what is kept: what is older than it may be, what holds it back, and its deletion."""
