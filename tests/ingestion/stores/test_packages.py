"""Many files, and large ones, in packages; a run that breaks off goes on where it was."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from ingestion.loading.context import IngestContext, Window
from ingestion.loading.package import load
from ingestion.stores import packages as store_packages
from ingestion.stores import source as stores
from ingestion.stores.csv.decode import UntrustedFileError
from ingestion.stores.csv.file import parts
from ingestion.stores.csv.typed import parse
from ingestion.stores.source import backfill, ingest
from ingestion.warehouse import Warehouse
from tests.support.store_drops import HEADER, At, counts, covered, statuses

if TYPE_CHECKING:
    from conftest import Drops

pytestmark = pytest.mark.usefixtures("aws")


def test_a_file_whose_records_cannot_be_told_apart_does_not_take_others_with_it(
    at: At, drops: Drops, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The two ways to tell records apart never disagreed on any file so far: here they are made to."""
    poison = drops.inventory("2026-03-05T10", 7)
    drops.inventory("2026-03-05T10", 8)

    def disagreeing(kind: str, files: Any, rejected_at: datetime) -> Any:
        if any(file.drop.key == poison for file in files):
            raise UntrustedFileError("records_unclear", "no")
        return parse(kind, files, rejected_at)

    monkeypatch.setattr(store_packages, "parse", disagreeing)
    ingest(at("2026-03-05T11:10"), drops.source)
    assert [status for _, status in statuses(warehouse)] == ["quarantined", "loaded"]
    assert warehouse.rows("SELECT file_name, original_path FROM raw.rejects") == [
        (poison, f"s3://{drops.bucket}/{poison}")
    ]
    assert [row[0] for row in counts(warehouse)] == [8]


def test_many_files_take_several_packages(
    at: At, drops: Drops, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_packages, "PACKAGE_FILES", 3)
    for store in range(1, 9):
        drops.inventory("2026-03-05T10", store)
    drops.reference("2026-03-05", 1)
    results = ingest(at("2026-03-05T11:10"), drops.source)
    assert [(result.entity, result.rows) for result in results] == [("reference", 1), ("tills", 0), ("inventory", 8)]
    assert [row[0] for row in counts(warehouse)] == list(range(1, 9))
    per_load = "SELECT COUNT(*) FROM ops.files GROUP BY load_id ORDER BY load_id"
    assert [count for (count,) in warehouse.rows(per_load)] == [3, 3, 3]
    total = """SELECT SUM("ROWS") FROM ops.loads WHERE entity = 'inventory' AND status = 'loaded'"""
    assert warehouse.value(total) == 8


def test_a_run_that_breaks_off_is_taken_up_where_it_was(
    at: At, drops: Drops, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_packages, "PACKAGE_FILES", 2)
    for store in range(1, 6):
        drops.inventory("2026-03-05T10", store)
    loads = iter([None, RuntimeError("killed")])

    def breaking(context: IngestContext, source: str, tables: Any) -> str:
        if error := next(loads, None):
            raise error
        return load(context, source, tables)

    monkeypatch.setattr(stores, "load", breaking)
    with pytest.raises(RuntimeError, match="killed"):
        ingest(at("2026-03-05T11:10"), drops.source)
    assert (len(counts(warehouse)), covered(warehouse)) == (2, None)
    ingest(at("2026-03-05T11:20"), drops.source)
    assert [row[0] for row in counts(warehouse)] == [1, 2, 3, 4, 5]
    assert warehouse.value("SELECT COUNT(*) FROM raw.stores_inventory") == 5


def test_a_large_file_is_typed_in_parts(
    at: At, drops: Drops, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_packages, "PART_BYTES", 100)
    monkeypatch.setattr(store_packages, "parts", lambda file: parts(file, 100))
    rows = [f"7,S{number},{'x' if number % 7 == 0 else number},0,2026-03-05T10:15:00Z\n" for number in range(50)]
    drops.put("inventory/2026/03/05/10/store_007.csv", HEADER + "".join(rows))
    drops.inventory("2026-03-05T10", 8, on_hand=1)
    result = ingest(at("2026-03-05T11:10"), drops.source)[-1]
    lines = warehouse.rows("SELECT file_line, sku FROM raw.stores_inventory WHERE store_id = 7 ORDER BY 1")
    assert lines == [(number + 2, f"S{number}") for number in range(50) if number % 7]
    assert (result.rows, result.rejected_rows, result.source_count) == (43, 8, 51)
    total = sum(number for number in range(50) if number % 7) + 1
    assert (result.source_sum, result.landed_sum) == (total, total)
    assert warehouse.rows('SELECT "ROWS", rejected_rows FROM ops.files ORDER BY file_name') == [(42, 8), (1, 0)]


def test_a_large_file_whose_records_cannot_be_told_apart_leaves_no_part_behind(
    at: At, drops: Drops, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_packages, "PART_BYTES", 100)
    monkeypatch.setattr(store_packages, "parts", lambda file: parts(file, 100))
    poison = drops.put(
        "inventory/2026/03/05/10/store_007.csv",
        HEADER + "".join(f"7,S{number},1,0,2026-03-05T10:15:00Z\n" for number in range(50)),
    )
    drops.inventory("2026-03-05T10", 8)

    def disagreeing(kind: str, files: Any, rejected_at: datetime) -> Any:
        if any(file.drop.key == poison and file.body_line > 20 for file in files):
            raise UntrustedFileError("records_unclear", "no")
        return parse(kind, files, rejected_at)

    monkeypatch.setattr(store_packages, "parse", disagreeing)
    result = ingest(at("2026-03-05T11:10"), drops.source)[-1]
    assert [row[0] for row in counts(warehouse)] == [8]
    assert (result.rows, result.rejected_rows, result.source_sum) == (1, 0, 5)
    assert [status for _, status in statuses(warehouse)] == ["quarantined", "loaded"]
    assert warehouse.rows("SELECT is_whole_file FROM raw.rejects") == [(True,)]


def test_a_backfill_loads_days_of_any_age_and_goes_on_where_it_was(
    at: At, drops: Drops, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_packages, "PACKAGE_FILES", 2)
    monkeypatch.setattr(stores, "DAYS_AT_ONCE", 2)
    for day in (1, 2, 3):
        for store in (1, 2, 3):
            drops.inventory(f"2026-03-0{day}T10", store)
    lines: list[str] = []
    context = replace(at("2026-06-01T00:00"), progress=lines.append)
    window = Window(datetime(2026, 3, 1), datetime(2026, 3, 4))
    calls = iter([None, None, RuntimeError("killed")])

    def breaking(context: IngestContext, source: str, tables: Any) -> str:
        if error := next(calls, None):
            raise error
        return load(context, source, tables)

    with monkeypatch.context() as patch:
        patch.setattr(stores, "load", breaking)
        with pytest.raises(RuntimeError, match="killed"):
            backfill(context, drops.source, window)
    assert len(counts(warehouse)) == 4
    [result] = backfill(context, drops.source, window, ["inventory"])
    assert (result.rows, len(counts(warehouse))) == (5, 9)
    assert lines[0].startswith("stores: 2 of 6 files in 2 of 3 days, ")
    assert warehouse.value("SELECT COUNT(*) FROM ops.loads WHERE status = 'loaded' AND source_sum = landed_sum") == 5
    for wrong in (Window(window.end, window.start), Window(datetime(2026, 7, 1), datetime(2026, 7, 2))):
        with pytest.raises(ValueError, match="window"):
            backfill(context, drops.source, wrong)
