"""Examines configuration, credentials, reachability and versions; each check is one line, with its cure."""
