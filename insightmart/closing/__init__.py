"""Months that finance has closed: figures frozen, and what changed since."""
