"""Rules that are stated twice, as macros for the models and as SQL for loads, say the same of the same raw rows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest

from ingestion.contracts import entity
from ingestion.loading.versions import event_instant, is_latest_version, not_deleted
from ingestion.warehouse import bind

if TYPE_CHECKING:
    from sqlmesh import Context

pytestmark = pytest.mark.slow

HISTORY_START = datetime(2026, 3, 5)  # of the small project
LOADED = datetime(2026, 3, 7, 10)
DAY, HOUR, TICK = timedelta(days=1), timedelta(hours=1), timedelta(microseconds=1)
AHEAD = LOADED + 365 * DAY

VIEW = "MODEL (name staging.{name}, kind VIEW);\n{query}"
INSTANTS = (
    "SELECT order_id, @event_instant(ordered_at, updated_at, _loaded_at)::TIMESTAMPNTZ AS at FROM raw.oltp_orders"
)
ALIVE = (
    "SELECT r.quantity FROM raw.oltp_order_lines AS r"
    " LEFT JOIN raw.oltp_order_lines AS d ON @ended_by(d, r, order_id, line_number) WHERE d._dlt_load_id IS NULL"
)
LATEST = """
SELECT refund_id, amount, reason, updated_at, _dlt_load_id FROM raw.oltp_refunds
QUALIFY @is_latest_version(refund_id, updated_at, _dlt_load_id, amount,
  (order_id, line_number, quantity, amount, reason, refunded_at, updated_at))
"""
LATEST_LINES = """
SELECT order_id, line_number, quantity, unit_price, _dlt_load_id FROM raw.oltp_order_lines
QUALIFY @is_latest_version((order_id, line_number), updated_at, _dlt_load_id, (quantity, unit_price),
  (sku, quantity, unit_price, discount_amount, tax_amount, updated_at))
"""
LATEST_ONLINE = """
SELECT order_id, name, _dlt_load_id FROM raw.shopify_orders
QUALIFY @is_latest_version(order_id, updated_at, _dlt_load_id)
"""


def at(hour: int) -> datetime:
    return datetime(2026, 3, 6, hour)


def orders() -> list[dict[str, Any]]:
    """Every way an event, the last change and the load can lie to each other and to the start of history."""
    changes = [None, HISTORY_START - DAY, HISTORY_START - TICK, HISTORY_START, at(9), LOADED + TICK, AHEAD]
    rows = []
    for changed in changes:
        known = changed or LOADED
        stated = [known - TICK, known, known + TICK, known + DAY - TICK, known + DAY, known + DAY + TICK]
        stated += [
            HISTORY_START - TICK,
            HISTORY_START,
            HISTORY_START + TICK,
            datetime(1970, 1, 1),
            datetime(9999, 1, 1),
        ]
        rows += [
            {"ordered_at": ordered, "updated_at": changed, "_loaded_at": loaded}
            for ordered, loaded in product([None, *stated], [LOADED, HISTORY_START - DAY])
        ]
    return [{"order_id": number} | row for number, row in enumerate(rows)]


# order, line, quantity, load, and whether it is a tombstone
LINES = [
    (1, 1, 10, "1", False),
    (1, 1, 11, "2", True),  # ends the row before, not the one after
    (1, 1, 12, "3", False),
    (1, 2, 20, "1", False),  # another line of the order
    (2, 1, 30, "2", False),  # in the tombstone's own load
    (2, 1, 31, "2", True),
    (3, 1, 40, "1", False),
    (3, 1, 41, "2", True),
    (3, 1, 42, "3", False),
    (3, 1, 43, "4", True),  # gone, back, gone again
    (None, 1, 50, "1", False),
    (None, 1, 51, "2", True),  # no record is known to be the one without a key
]

# refund, amount, reason, change, load
REFUNDS = [
    (1, 5, "a", at(9), "1"),
    (1, 6, "b", at(10), "1"),  # changed last
    (2, 5, "a", at(9), "1"),
    (2, 6, "b", at(9), "2"),  # loaded last
    (3, 9, "a", at(10), "1"),
    (3, 5, "b", at(9), "2"),  # loaded last, but older
    (4, 5, "a", at(9), "1"),
    (4, 7, "b", at(9), "1"),  # sent twice
    (4, None, "c", at(9), "1"),
    (7, 5, "a", AHEAD, "1"),  # a clock ran a year ahead, and does not win over what came later
    (7, 6, "b", LOADED + HOUR, "2"),
    (8, 5, "a", at(9), "1"),
    (8, 6, "b", AHEAD, "2"),  # believed up to its load, it is the last change all the same
    (5, 5, "a", None, "2"),  # when it was changed is not known
    (5, 6, "b", at(9), "1"),
    (6, 5, "a", None, "1"),
    (6, 6, "b", None, "2"),
    (None, 5, "a", at(9), "1"),
    (None, 5, "a", at(9), "2"),  # the same row once more
    (None, 5, "b", at(9), "1"),
    (None, None, None, None, "1"),
]


@pytest.fixture
def rows(small_project: Callable[..., Context]) -> Context:
    """A project with the rules of the models, on a warehouse with the rows."""
    queries = {"instants": INSTANTS, "alive": ALIVE, "latest": LATEST}
    queries |= {"latest_lines": LATEST_LINES, "latest_online": LATEST_ONLINE}
    context = small_project(**{name: VIEW.format(name=name, query=query) for name, query in queries.items()})
    context.plan(auto_apply=True, no_prompts=True, skip_tests=True)
    insert(context, "oltp_orders", orders())
    names = ("order_id", "line_number", "quantity", "_dlt_load_id", "_deleted_at")
    lines = [dict(zip(names, (*line, LOADED if gone else None), strict=True)) for *line, gone in LINES]
    insert(context, "oltp_order_lines", [line | {"updated_at": at(9), "unit_price": 1} for line in lines])
    names = ("refund_id", "amount", "reason", "updated_at", "_dlt_load_id")
    loaded = {"1": LOADED, "2": LOADED + 2 * HOUR}
    refunds = [dict(zip(names, refund, strict=True)) for refund in REFUNDS]
    insert(context, "oltp_refunds", [row | {"_loaded_at": loaded[row["_dlt_load_id"]]} for row in refunds])
    online = [(1, "a", at(9), "1"), (1, "b", at(9), "2"), (2, "a", at(10), "1"), (2, "b", at(9), "2")]
    names = ("order_id", "name", "updated_at", "_dlt_load_id")
    insert(context, "shopify_orders", [dict(zip(names, order, strict=True)) for order in online])
    return context


def insert(context: Context, table: str, rows: list[dict[str, Any]]) -> None:
    marks = ", ".join("?" * len(rows[0]))
    context.engine_adapter.connection.cursor().executemany(
        f"INSERT INTO raw.{table} ({', '.join(rows[0])}) VALUES ({marks})", [list(row.values()) for row in rows]
    )


def of_models(context: Context, view: str) -> list[tuple[Any, ...]]:
    return found(context, f"SELECT * FROM staging.{view}")


def found(context: Context, query: str) -> list[tuple[Any, ...]]:
    statement, params = bind(f"SELECT * FROM ({query}) ORDER BY ALL", history_start=HISTORY_START)
    cursor = context.engine_adapter.connection.cursor()
    rows: list[tuple[Any, ...]] = cursor.execute(statement.replace("TIMESTAMP_NTZ", "TIMESTAMP"), params).fetchall()
    return rows


def test_models_and_loads_say_the_same(rows: Context) -> None:
    instants = found(rows, f"SELECT order_id, {event_instant('ordered_at')} AS at FROM raw.oltp_orders")
    assert instants == of_models(rows, "instants")
    of_orders = dict(instants)
    for order in orders():
        stated, loaded = order["ordered_at"], order["_loaded_at"]
        changed = min(order["updated_at"] or loaded, loaded)  # a change after the load that brought it is not believed
        is_believed = stated is not None and HISTORY_START <= stated <= changed + DAY
        assert of_orders[order["order_id"]] == (stated if is_believed else max(changed, HISTORY_START)), order

    lines = entity("oltp", "order_lines")
    alive = found(rows, f"SELECT quantity FROM raw.oltp_order_lines AS r WHERE {not_deleted(lines, 'r')}")
    assert alive == of_models(rows, "alive") == [(12,), (20,), (50,), (51,)]

    latest = found(
        rows,
        "SELECT refund_id, amount, reason, updated_at, _dlt_load_id FROM raw.oltp_refunds"
        f" QUALIFY {is_latest_version(entity('oltp', 'refunds'))}",
    )
    assert latest == of_models(rows, "latest")
    assert [(refund_id, reason, load_id) for refund_id, _, reason, _, load_id in latest if refund_id] == [
        (1, "b", "1"),
        (2, "b", "2"),
        (3, "a", "1"),
        (4, "b", "1"),
        (5, "b", "1"),
        (6, "b", "2"),
        (7, "b", "2"),
        (8, "b", "2"),
    ]
    without_key = [(reason, load_id) for refund_id, _, reason, _, load_id in latest if refund_id is None]
    assert without_key == [("a", "2"), ("b", "1"), (None, "1")]

    latest_lines = found(
        rows,
        "SELECT order_id, line_number, quantity, unit_price, _dlt_load_id FROM raw.oltp_order_lines"
        f" QUALIFY {is_latest_version(lines)}",
    )
    assert latest_lines == of_models(rows, "latest_lines")
    assert [row[2] for row in latest_lines] == [12, 20, 31, 43, 50, 51]

    online = found(
        rows,
        "SELECT order_id, name, _dlt_load_id FROM raw.shopify_orders"
        f" QUALIFY {is_latest_version(entity('shopify', 'orders'))}",
    )
    assert online == of_models(rows, "latest_online") == [(1, "b", "2"), (2, "a", "1")]


def test_rows_known_to_have_a_key_need_no_more_than_it(rows: Context) -> None:
    query = "SELECT refund_id, amount, _dlt_load_id FROM raw.oltp_refunds WHERE refund_id IS NOT NULL QUALIFY "
    refunds = entity("oltp", "refunds")
    keyed = found(rows, query + is_latest_version(refunds, keyed=True))
    assert keyed == found(rows, query + is_latest_version(refunds))
    assert len(keyed) == 8
