"""Measurements of the pipeline on this machine. Nothing imports them, and no wheel ships them."""
