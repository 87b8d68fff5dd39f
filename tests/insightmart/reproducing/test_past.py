"""What a figure stood on at an instant, read out of a journal that a test writes by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ingestion.ops_tables import create_tables
from ingestion.warehouse import Warehouse, open_duckdb
from insightmart.errors import InsightMartError
from insightmart.journal.followed import INVENTORY, SALES
from insightmart.reproducing.past import Window, cuts, publications, windows_of_dates

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MIDNIGHT = datetime(2026, 3, 5)
OLTP, SHOPIFY = SALES.parts
STORES = "agg_inventory_daily__stores"


def hour(number: int) -> datetime:
    return MIDNIGHT + number * HOUR


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[Warehouse]:
    with open_duckdb(tmp_path / "INSIGHTMART.duckdb") as opened:
        create_tables(opened)
        yield opened


def published(
    warehouse: Warehouse, number: int, windows: dict[str, Window], version: str = "v1", sha: str = "c1"
) -> None:
    """Publication ``number`` ended that many hours after midnight, by both clocks."""
    through = json.loads(
        warehouse.value("SELECT published_through FROM ops.publications ORDER BY publication DESC LIMIT 1") or "{}"
    )
    for part, (_, end) in windows.items():
        through[part] = str(max(end, datetime.fromisoformat(through.get(part, str(end)))))
    row: dict[str, Any] = {"publication": number, "published_at": hour(number), "recorded_at": hour(number)}
    row |= {"git_sha": sha, "models_version": version, "published_through": json.dumps(through)}
    row |= {"windows": json.dumps([[part, str(start), str(end)] for part, (start, end) in windows.items()])}
    warehouse.insert("ops.publications", [row])


def corrected(warehouse: Warehouse, load_id: str, loaded: int, window: Window, settled: int | None, area: str) -> None:
    """A load that touched a published window, which was built again at some hour, or not yet."""
    source = "oltp" if area == "sales" else "stores"
    warehouse.insert(
        "ops.loads", [{"load_id": load_id, "source": source, "ended_at": hour(loaded), "status": "loaded"}]
    )
    row: dict[str, Any] = {"window_id": load_id, "source": source, "entity": area, "load_id": load_id}
    row |= {"window_start": window[0], "window_end": window[1], "status": "open" if settled is None else "closed"}
    row |= {"settled_at": None if settled is None else hour(settled)}
    warehouse.insert("ops.correction_windows", [row])


def stood_on(
    warehouse: Warehouse, at: int, wanted: dict[str, list[Window]] | None = None
) -> list[tuple[int, str, dict[str, list[Window]]]]:
    """(publication, commit, windows) of every cut of sales at an hour."""
    told = publications(warehouse, hour(at))
    asked = wanted or {OLTP: [(hour(0), told[-1].through[OLTP])]}
    return [
        (cut.publication.number, str(cut.code.commit), {part: list(windows) for part, windows in cut.windows.items()})
        for cut in cuts(warehouse, told, SALES, asked)
    ]


def test_what_nothing_waited_for_stands_on_the_last_publication(warehouse: Warehouse) -> None:
    for number in (1, 2, 3):
        published(warehouse, number, {OLTP: (hour(number - 1), hour(number))})
    corrected(warehouse, "late", 2, (hour(0), hour(1)), 3, "sales")
    assert stood_on(warehouse, 3) == [(3, "c1", {OLTP: [(hour(0), hour(3))]})]
    assert stood_on(warehouse, 1) == [(1, "c1", {OLTP: [(hour(0), hour(1))]})]


def test_an_hour_that_waited_stands_as_it_was_written(warehouse: Warehouse) -> None:
    for number in (1, 2, 3):
        published(warehouse, number, {OLTP: (hour(number - 1), hour(number))})
    corrected(warehouse, "refused by its gate", 3, (hour(1), hour(2)), None, "sales")
    corrected(warehouse, "other area", 3, (hour(0), hour(1)), None, "inventory")
    assert stood_on(warehouse, 3) == [
        (2, "c1", {OLTP: [(hour(1), hour(2))]}),
        (3, "c1", {OLTP: [(hour(0), hour(1)), (hour(2), hour(3))]}),
    ]
    published(warehouse, 4, {OLTP: (hour(3), hour(4))})
    warehouse.execute("UPDATE ops.correction_windows SET status = 'closed', settled_at = ?", [hour(4)])
    assert [cut[0] for cut in stood_on(warehouse, 4)] == [4]
    assert [cut[0] for cut in stood_on(warehouse, 3)] == [2, 3]  # then it still waited


def test_the_code_is_that_of_the_publication_that_brought_the_models(warehouse: Warehouse) -> None:
    published(warehouse, 1, {OLTP: (hour(0), hour(1))}, "v1", "old")
    published(warehouse, 2, {OLTP: (hour(0), hour(2))}, "v2", "promoted-dirty")
    published(warehouse, 3, {OLTP: (hour(2), hour(3))}, "v2", "pulled, and not promoted")
    told = publications(warehouse, hour(3))
    (cut,) = cuts(warehouse, told, SALES, {OLTP: [(hour(0), hour(3))]})
    assert (cut.code.commit, cut.code.was_dirty, cut.code.models_version) == ("promoted", True, "v2")
    (cut,) = cuts(warehouse, told[:1], SALES, {OLTP: [(hour(0), hour(1))]})
    assert (cut.code.commit, cut.code.was_dirty) == ("old", False)


def test_of_stock_the_date_that_goes_on_stands_as_it_was_written_last(warehouse: Warehouse) -> None:
    published(warehouse, 1, {STORES: (hour(0), hour(1))})
    published(warehouse, 26, {STORES: (hour(1), hour(26))})
    published(warehouse, 27, {OLTP: (hour(0), hour(27))})  # the gate of the stock has refused
    told = publications(warehouse, hour(27))
    wanted = windows_of_dates(INVENTORY, [date(2026, 3, 5), date(2026, 3, 6)], told[-1].through)
    found = {cut.publication.number: cut.windows[STORES] for cut in cuts(warehouse, told, INVENTORY, wanted)}
    assert found == {26: [(hour(24), hour(26))], 27: [(MIDNIGHT - DAY, hour(24))]}


def test_windows_reach_as_far_as_dates_do_in_any_time_zone_and_no_further_than_was_published() -> None:
    through = {OLTP: hour(30), SHOPIFY: hour(-20)}
    assert windows_of_dates(SALES, [date(2026, 3, 5), date(2026, 3, 6), date(2026, 2, 1)], through) == {
        OLTP: [(datetime(2026, 1, 31), datetime(2026, 2, 3)), (MIDNIGHT - DAY, hour(30))],
        SHOPIFY: [(datetime(2026, 1, 31), datetime(2026, 2, 3)), (MIDNIGHT - DAY, hour(-20))],
    }
    assert windows_of_dates(SALES, [date(2026, 3, 9)], through) == {OLTP: [], SHOPIFY: []}


def test_what_the_journal_does_not_know_is_said(warehouse: Warehouse) -> None:
    with pytest.raises(InsightMartError, match="nothing had been published by 2026-03-05 09:00 UTC") as refused:
        publications(warehouse, hour(9))
    assert "It is empty" in str(refused.value.cure)
    published(warehouse, 10, {OLTP: (hour(5), hour(10))})
    with pytest.raises(InsightMartError, match="nothing had been published") as refused:
        publications(warehouse, hour(9))
    assert "begins at 2026-03-05 10:00" in str(refused.value.cure)
    corrected(warehouse, "late", 9, (hour(1), hour(2)), None, "sales")
    with pytest.raises(
        InsightMartError, match=r"does not say when certified\.agg_sales_hourly__oltp of 2026-03-05 01:00"
    ):
        stood_on(warehouse, 10, {OLTP: [(hour(0), hour(10))]})
