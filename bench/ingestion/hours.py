"""The simulated instants that everything here is about, UTC without a zone.

A warehouse that has been running is measured, not an empty one: a small load at ``EARLIER`` sets the watermarks, then
the load at ``NOW`` brings the hour. Loads overlap by half an hour, in which nothing changed here: rows are read once.
"""

from __future__ import annotations

from datetime import datetime

HISTORY_START = datetime(2026, 2, 1)
EARLIER = datetime(2026, 3, 5, 9, 5)
NOW = datetime(2026, 3, 5, 10, 5)
BEFORE = (datetime(2026, 3, 5, 8), datetime(2026, 3, 5, 8, 30))  # when the rows of the earlier load changed
