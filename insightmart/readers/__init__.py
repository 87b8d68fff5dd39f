"""What readers of a local warehouse open: a copy, made anew after every command that writes."""
