"""What is certified, through when, and whether it can be trusted."""
