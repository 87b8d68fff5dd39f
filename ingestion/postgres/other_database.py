"""Whether the database is the one that was read before (``ingestion.loading.same_source``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ingestion.contracts import entity
from ingestion.loading.context import GivenUpError, IngestContext, SourceError
from ingestion.loading.planning import plan_reading
from ingestion.loading.same_source import another, newest_known
from ingestion.postgres.extract import attempted
from ingestion.postgres.rows import SOURCE
from ingestion.postgres.snapshot import OltpSource, Snapshot

ORDERS = entity(SOURCE, "orders")


def refuse_another_database(context: IngestContext, source: OltpSource) -> None:
    """Refuse to read where orders are, and none of those that were loaded last.

    An empty table is asked about (``ingestion.postgres.vanished``), and what cannot be asked says so when it is read.

    Raises:
        AnotherSourceError: it is another database, or an older copy.
        GivenUpError: it says nothing any more.
    """
    if plan_reading(context, ORDERS) is None:
        return

    def attempt() -> int:
        with Snapshot(source) as snapshot:
            known = newest_known(context, ORDERS, ("order_id", "ordered_at"), context.as_of - snapshot.replica_lag)
            return len(known) if known and _has_others_only(snapshot, known) else 0

    try:
        count = attempted(source, attempt)
    except GivenUpError:
        raise
    except SourceError:
        return
    if count:
        raise another(context, ORDERS, "database", "OLTP_DSN", count)


def _has_others_only(snapshot: Snapshot, known: Sequence[tuple[Any, ...]]) -> bool:
    """Whether it has orders, but none of these: the same number may be another order's."""
    found = snapshot.rows(
        "SELECT order_id, ordered_at AT TIME ZONE 'UTC' FROM public.orders WHERE order_id = ANY(%s)"
        " UNION ALL (SELECT NULL, NULL FROM public.orders LIMIT 1)",
        [[order_id for order_id, _ in known]],
    )
    return bool(found) and set(known).isdisjoint(found)
