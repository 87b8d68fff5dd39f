"""A published figure computed again from what was loaded by then, with the code that made it, and compared."""
