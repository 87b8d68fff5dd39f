"""Control totals tied from the sources to the certified tables."""
