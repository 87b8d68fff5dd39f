"""Where a column comes from and who is hit when it changes, from the fields of the sources up to certified."""
