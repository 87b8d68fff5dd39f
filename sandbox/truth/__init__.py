"""What certified must hold, computed from the events alone."""
