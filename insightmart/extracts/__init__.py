"""Certified subjects as files for Tableau."""
