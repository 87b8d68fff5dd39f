"""A reviewed change made prod."""
