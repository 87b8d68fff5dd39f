"""Backfills in bulk that are killed, and go on where they stopped without a duplicate or a hole."""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ingestion.shopify.source import backfill, ingest

if TYPE_CHECKING:
    from conftest import OnlineShop

from tests.support.bulk_orders import DAY, At, ids, operations, order, refund, start_foreign
from tests.support.forked import commands


def test_what_an_interrupted_backfill_runs_is_cancelled_and_nothing_else(at: At, shop: OnlineShop) -> None:
    shop.shop.set_fault("bulk_hold", {})
    foreign = start_foreign(shop.source, 2)

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        backfill(at("2026-03-05T10:00"), replace(shop.source, pause=interrupt), DAY, ["orders"])
    left = {one["id"]: one["status"] for one in operations(shop.source)}
    assert {left.pop(identity) for identity in foreign} == {"RUNNING"}
    assert len(left) == 3 and set(left.values()) <= {"CANCELING", "CANCELED"}


KILLED = """
import os, signal, sys, threading
from datetime import datetime
from pathlib import Path
import dlt
from ingestion.loading.backfill import Backfill
from ingestion.loading import package as loads
from ingestion.shopify import source as shopify
from ingestion.shopify import bulk as shopify_bulk
from ingestion.loading.context import IngestContext, Window
from ingestion.ops_tables import create_tables
from ingestion.warehouse import open_duckdb

home, moment, url, token = Path(sys.argv[1]), *sys.argv[2:]
shopify.BULK_FROM, shopify.PIECE_ORDERS = 1000 if "pages" in moment else 5, 6

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

if moment == "running":
    pause = die
else:
    pause = lambda _: threading.Event().wait(0.005)
pieces = []
batches = shopify._BulkOrderPages.batches
def counted(extract):
    pieces.append(extract)
    for number, batch in enumerate(batches(extract)):
        yield batch
        if moment == "reading" and len(pieces) == 2:
            die()
shopify._BulkOrderPages.batches = counted
add = Backfill.add
def add_and_die(reading, *given):
    if moment == "recording" and len(pieces) == 2:
        die()
    add(reading, *given)
Backfill.add = add_and_die
results = shopify._Pieces._load_bulk
def load_and_die(self, *given):
    loaded = results(self, *given)
    if moment == "between" and len(pieces) == 2:
        die()
    return loaded
shopify._Pieces._load_bulk = load_and_die

served = shopify.OrderPages.completed
pages = []
def served_and_die(self, page):
    pages.append(page)  # apart from the pieces: a piece may ask for some of its orders again, whichever comes second
    if moment == "reading pages" and len(pages) == 2:
        die()
    return served(self, page)
shopify.OrderPages.completed = served_and_die
record = shopify.record
def record_and_die(context, results):
    record(context, results)
    if moment == "recording pages":
        die()
shopify.record = record_and_die

warehouse = open_duckdb(home / "INSIGHTMART.duckdb")
create_tables(warehouse)
destination = dlt.destinations.duckdb(str(home / "INSIGHTMART.duckdb"))
context = IngestContext(
    warehouse, home, datetime(2026, 3, 5, 10), datetime(2026, 3, 1), lambda line: None, destination
)
shopify.ingest(context, shopify.ShopifySource(url, token, pause=pause, page_size=5), entities=["orders"])
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("moment", "in_raw"),
    [("running", 0), ("reading", 1), ("recording", 1), ("between", 2), ("reading pages", 0), ("recording pages", 0)],
)
def test_a_killed_first_load_goes_on_where_it_stopped(
    at: At, shop: OnlineShop, home: Path, moment: str, in_raw: int
) -> None:
    shop.shop.upsert_orders([order(7, refunds=[refund(71, 7000)])])
    if moment == "running":
        shop.shop.set_fault("bulk_hold", {})
    context = at("2026-03-05T11:00")
    context.warehouse.close()  # the other process needs the file
    arguments = (KILLED, str(home), moment, shop.source.url, shop.source.token)
    killed = commands().call("python", "-c", *arguments, environment=os.environ)
    assert killed.returncode == -signal.SIGKILL
    context.warehouse.connection = shopify_reopen(home)
    assert context.warehouse.value("SELECT COUNT(*) FROM ops.backfill_pieces") == in_raw
    assert context.warehouse.rows("SELECT * FROM ops.source_watermarks") == []
    before = {one["id"] for one in operations(shop.source)}
    shop.shop.upsert_orders([order(30, "2026-03-05T10:30:00Z"), order(12, "2026-03-05T10:40:00Z")])

    def wait(_: float) -> None:
        shop.shop.set_fault("bulk_hold", None)
        threading.Event().wait(0.005)

    ingest(context, replace(shop.source, pause=wait), entities=["orders"])
    assert ids(context) == [*range(1, 13), 30]
    lines = "SELECT COUNT(*), COUNT(DISTINCT line_item_id) FROM raw.shopify_order_lines"
    expected = sum(1 + number % 3 for number in [*range(1, 13), 30])
    assert context.warehouse.rows(lines) == [(expected, expected)]
    assert context.warehouse.value("SELECT COUNT(*) FROM raw.shopify_refunds") == 1
    assert context.warehouse.value("SELECT covered_through FROM ops.source_watermarks") == datetime(2026, 3, 5, 11)
    if moment == "running":  # they were taken over
        assert len(before) >= 3 and before == {one["id"] for one in operations(shop.source)}


def shopify_reopen(home: Path) -> Any:
    import duckdb

    return duckdb.connect(str(home / "INSIGHTMART.duckdb"))
