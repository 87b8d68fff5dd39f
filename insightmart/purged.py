"""Refuses what would compute, load or compare hours whose raw was deleted."""

from __future__ import annotations

from datetime import datetime

from ingestion.loading.horizon import PROVES, gone, purged_before
from ingestion.warehouse import Warehouse
from insightmart.errors import USAGE, InsightMartError


def refuse_purged(warehouse: Warehouse, start: datetime, what: str) -> None:
    """Refuse to work on what begins before the horizon of raw.

    Args:
        warehouse: open connection; its ops tables exist.
        start: where it begins, UTC.
        what: what it is, in words, for example ``the window from 2026-03-05 14:00``.

    Raises:
        InsightMartError: it begins before; says what can still be proven.
    """
    horizon = purged_before(warehouse)
    if horizon is not None and start < horizon:
        raise InsightMartError(gone(horizon, what), f"Begin at {horizon:%Y-%m-%d} or later. {PROVES}", USAGE)
