"""Orders that were deleted in the shop: once a UTC day the ids of the last days' orders are held against raw.

Shopify says nothing of a deleted order. So of each day of changes that is over, the ids that the shop still has are
listed (ids only, 250 a page; a page is 13 points by the costs people have measured), and those that raw knows beyond
them are asked for one by one (a point each): an order that was changed since has left its day and is there, a deleted
one is not. It gets a tombstone, a copy of its latest version with ``_deleted_at``, and leaves every figure with its
lines and refunds; where many are missing, a question is asked instead (``ingestion.loading.deletions``).

Without the scope read_all_orders Shopify shows no order older than 60 days: older ones are not looked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from ingestion.clock import utc_now
from ingestion.contracts import DELETED_AT, entity
from ingestion.loading import correction_queue
from ingestion.loading.context import IngestContext, LoadResult, Window
from ingestion.loading.deletions import DAYS_BACK, Decision, Missing, Question, decide, digest, settle, unanswered
from ingestion.loading.intervals import DAY, cut_at_midnight, start_of_day
from ingestion.loading.package import load
from ingestion.loading.planning import covered_through, released_through
from ingestion.loading.records import record
from ingestion.loading.versions import is_latest_version, not_deleted
from ingestion.shopify import touched_windows
from ingestion.shopify.client import SOURCE, ShopifyClient
from ingestion.shopify.odd_answers import as_asked
from ingestion.shopify.pages import changed
from ingestion.warehouse import bind

ALL_ORDERS_DAYS = 60  # older orders are left out, silently, without the scope read_all_orders
IDS_AT_ONCE = 100  # asked for in one query, a point each
ORDERS = entity(SOURCE, "orders")

ORDER_IDS_PAGE = """
query OrderIdsPage($first: Int!, $after: String, $query: String!) {
  orders(first: $first, after: $after, query: $query, sortKey: UPDATED_AT) {
    nodes { id updatedAt }
    pageInfo { hasNextPage endCursor }
  }
}
"""


def orders_there(count: int) -> str:
    """The query whether so many orders are there, by ``$id0``, ``$id1``, .. as ``o0``, ``o1``, .."""
    variables = ", ".join(f"$id{number}: ID!" for number in range(count))
    asked = "\n  ".join(f"o{number}: order(id: $id{number}) {{ id }}" for number in range(count))
    return f"query OrdersThere({variables}) {{\n  {asked}\n}}\n"


def look_for_deleted(context: IngestContext, client: ShopifyClient, sees_all: bool) -> list[LoadResult]:
    """Compare the days that are due, and those that a question waits for.

    Args:
        context: the run.
        client: the shop.
        sees_all: whether the token has the scope read_all_orders.

    Returns:
        One result for each day of which orders are deleted: the package of their tombstones.

    Raises:
        SourceError: the shop cannot be reached or read. What was found before stays.
    """
    due = _days_due(context)
    asked = unanswered(context.warehouse, SOURCE, ORDERS.name)
    windows = [*due, *(question.window for question in asked if question.window not in due)]
    oldest = datetime.min if sees_all else context.as_of - timedelta(days=ALL_ORDERS_DAYS - 1)
    return [result for window in windows for result in _compare(context, client, window, oldest, asked)]


def is_due(context: IngestContext) -> bool:
    """Whether a day is to be compared now, or a question to be looked at again."""
    return bool(_days_due(context) or unanswered(context.warehouse, SOURCE, ORDERS.name))


def _days_due(context: IngestContext) -> list[Window]:
    """The last days that are over and read completely; none when today's comparison is done."""
    read_until = covered_through(context, SOURCE, ORDERS.name)
    if read_until is None:
        return []
    midnight = start_of_day(read_until)
    days = cut_at_midnight(Window(midnight - DAYS_BACK * DAY, midnight))
    done = context.warehouse.rows(
        "SELECT DISTINCT day FROM ops.source_comparisons WHERE source = ? AND entity = ? AND compared_at >= ?",
        [SOURCE, ORDERS.name, start_of_day(context.as_of)],
    )
    return [day for day in days if (day.start.date(),) not in done]


def _compare(
    context: IngestContext, client: ShopifyClient, window: Window, oldest: datetime, asked: Sequence[Question]
) -> list[LoadResult]:
    """Find the orders of a day that are gone, and give them tombstones, or ask."""
    known = _known(context, window, oldest)
    gone = known
    if known.num_rows:
        with as_asked():
            listed = [
                _number(node["id"]) for nodes in changed(client, ORDER_IDS_PAGE, "orders", window) for node in nodes
            ]
        candidates = known.filter(pc.invert(pc.is_in(known["order_id"], pa.array(listed, pa.int64()))))
        gone = candidates.filter(pa.array(are_gone(client, candidates["order_id"].to_pylist()), pa.bool_()))
    missing = Missing(known.num_rows, gone.num_rows, digest(gone, ORDERS))
    decision = decide(context, ORDERS, window, missing)
    results = [_bury(context, window, gone, missing)] if decision is Decision.DELETE else []
    with context.warehouse.transaction():
        if decision is not Decision.DELETE and (missing.rows or any(one.window == window for one in asked)):
            settle(context, ORDERS, window, missing, decision)
        _remember(context, window.start.date(), missing, decision)
    return results


def _number(identity: str) -> int:
    return int(identity.rpartition("/")[2])


def _known(context: IngestContext, window: Window, oldest: datetime) -> pa.Table:
    """The latest versions of the orders that raw holds, were changed in the window, and that the shop may show."""
    columns = ", ".join(column.name for column in ORDERS.columns)
    statement, params = bind(
        f"""
        WITH latest AS (
            SELECT * FROM raw.{ORDERS.table} AS r
            WHERE updated_at >= :since AND order_id IS NOT NULL AND {not_deleted(ORDERS, "r")}
            QUALIFY {is_latest_version(ORDERS)}
        )
        SELECT {columns} FROM latest WHERE updated_at < :until AND (created_at >= :oldest OR :sees_all = 1)
        """,
        since=window.start,
        until=window.end,
        oldest=max(oldest, datetime(1, 1, 1)),
        sees_all=int(oldest == datetime.min),
    )
    return context.warehouse.arrow(statement, params, pa.schema(ORDERS.columns))


def are_gone(client: ShopifyClient, order_ids: Sequence[int]) -> list[bool]:
    """Whether each of the orders is nowhere in the shop; a point each."""
    ids = [f"gid://shopify/Order/{number}" for number in order_ids]
    return [found is None for found in client.each(ids, orders_there, IDS_AT_ONCE)]


def _bury(context: IngestContext, window: Window, gone: pa.Table, missing: Missing) -> LoadResult:
    """Tombstones as a package of their own, with the hours they change."""
    started_at = utc_now()
    released = released_through(context, SOURCE, [ORDERS.name])
    deleted_at = pa.repeat(pa.scalar(context.as_of, DELETED_AT.type), gone.num_rows)
    load_id = load(context, SOURCE, {ORDERS.table: [gone.append_column(DELETED_AT, deleted_at)]})
    found = touched_windows.sales(context, load_id, released)
    result = LoadResult(
        source=SOURCE,
        entity=ORDERS.name,
        load_id=load_id,
        window=window,
        rows=gone.num_rows,
        source_count=gone.num_rows,
        started_at=started_at,
        ended_at=utc_now(),
    )
    with context.warehouse.transaction():
        record(context, [result])
        correction_queue.queue(context, found)
        settle(context, ORDERS, window, missing, Decision.DELETE, load_id)
    context.progress(f"shopify orders: {gone.num_rows:,} of {window.start:%Y-%m-%d} are deleted in the shop")
    return result


def _remember(context: IngestContext, day: date, missing: Missing, decision: Decision) -> None:
    """Record what the comparison of a day found."""
    row = {
        "source": SOURCE,
        "entity": ORDERS.name,
        "day": day,
        "source_rows": missing.known - missing.rows,
        "raw_rows": missing.known - (missing.rows if decision is Decision.DELETE else 0),
        "status": {Decision.NOTHING: "equal", Decision.DELETE: "deleted", Decision.ASK: "different"}[decision],
        "compared_at": context.as_of,
    }
    context.warehouse.insert("ops.source_comparisons", [row])
