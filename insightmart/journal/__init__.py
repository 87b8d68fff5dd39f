"""The journal of what was published: one entry for each figure of certified that became another one, and why."""
