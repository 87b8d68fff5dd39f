"""What every load does, whatever its source."""
