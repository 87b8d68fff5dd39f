"""The ledger: what was loaded, checked, built and done, by whom; each entry is over the one before and its evidence."""
