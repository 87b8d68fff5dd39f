"""What a month costs, and what the pipeline can carry: estimated from measurements, and read off the account."""
