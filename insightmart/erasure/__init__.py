"""A customer asks to be forgotten: personal data goes, keys and money stay, and nothing brings it back."""
