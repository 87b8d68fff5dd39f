"""Rejected rows and files."""
