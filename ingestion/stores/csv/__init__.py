"""Store files read into typed tables, and what cannot be read into rejects."""
