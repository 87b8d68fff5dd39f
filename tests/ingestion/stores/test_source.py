"""The store drops on a real S3 endpoint (moto over HTTP): files once, hours in or waited for, corrections queued."""

from __future__ import annotations

import gzip
import hashlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ingestion.loading.context import IngestContext, SourceError, Window
from ingestion.loading.package import load
from ingestion.stores import packages as store_packages
from ingestion.stores import source as stores
from ingestion.stores.csv.decode import MAX_BYTES, UntrustedFileError
from ingestion.stores.csv.file import parts
from ingestion.stores.csv.typed import parse
from ingestion.stores.source import StoreDrops, backfill, ingest, missing_files
from ingestion.warehouse import Warehouse

if TYPE_CHECKING:
    from conftest import Drops

HEADER = "store_id,sku,on_hand,on_order,counted_at\n"
TILLS = "store_id,business_date,transactions,gross_sales,discounts,returns,net_sales\n"

At = Callable[[str], IngestContext]


def zipped(content: bytes) -> bytes:
    """The same bytes whenever it is called: they are in the names of tests, which all processes must agree on."""
    return gzip.compress(content, mtime=0)


@pytest.fixture(autouse=True)
def _credentials(aws: None) -> None:
    """Every test here asks an S3 endpoint."""


def statuses(warehouse: Warehouse) -> list[tuple[str, str]]:
    """Key below the prefix and status of everything that was seen, in the order of loads."""
    rows = warehouse.rows("SELECT file_name, status FROM ops.files ORDER BY load_id, file_name")
    return [(key.removeprefix("in/"), status) for key, status in rows]


def counts(warehouse: Warehouse) -> list[tuple[int, str, int, datetime]]:
    """The counts that count: of every file the rows of its last load that brought any."""
    return warehouse.rows(
        "SELECT store_id, sku, on_hand, counted_at FROM raw.stores_inventory"
        " QUALIFY _dlt_load_id = MAX(_dlt_load_id) OVER (PARTITION BY file_name) ORDER BY ALL"
    )


def covered(warehouse: Warehouse, entity: str = "inventory") -> datetime | None:
    value: datetime | None = warehouse.value(
        "SELECT covered_through FROM ops.source_watermarks WHERE source = 'stores' AND entity = ?", [entity]
    )
    return value


def queued(warehouse: Warehouse) -> list[tuple[str, str, datetime, datetime]]:
    """Open corrections: source, entity, start, end."""
    return warehouse.rows(
        "SELECT source, entity, window_start, window_end FROM ops.correction_windows WHERE status = 'open' ORDER BY ALL"
    )


def hour(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}:00")


# --- what is loaded ----------------------------------------------------------------------------------------------


def test_the_three_kinds_of_files_land_with_their_position(at: At, drops: Drops, warehouse: Warehouse) -> None:
    key = drops.inventory("2026-03-05T10", 7, on_hand=3)
    drops.reference("2026-03-05", 7, "Europe/Berlin", closed="2026-04-01")
    drops.put("tills/2026/03/04/store_007.csv", TILLS + '7,2026-03-04,12,"1,200.50",0.50,100,1100\n')
    results = ingest(at("2026-03-05T11:10"), drops.source)
    assert {result.entity: (result.rows, result.rejected_rows, result.status) for result in results} == {
        "reference": (1, 0, "loaded"),
        "tills": (1, 0, "loaded"),
        "inventory": (1, 0, "loaded"),
    }
    [row] = warehouse.records("SELECT * FROM raw.stores_inventory")
    modified_at = row.pop("file_modified_at")
    content = HEADER + "7,A,3,0,2026-03-05T10:15:00Z\n"
    assert row == {
        "store_id": 7,
        "sku": "A",
        "on_hand": 3,
        "on_order": 0,
        "counted_at": datetime(2026, 3, 5, 10, 15),
        "file_name": key,
        "file_hash": hashlib.sha256(content.encode()).hexdigest(),
        "file_line": 2,
        "_loaded_at": datetime(2026, 3, 5, 11, 10),
        "_dlt_load_id": results[0].load_id,
    }
    [seen] = warehouse.records("SELECT * FROM ops.files WHERE entity = 'inventory'")
    etag = seen.pop("etag")
    assert (etag, seen.pop("modified_at")) == (hashlib.md5(content.encode()).hexdigest(), modified_at)
    assert seen == {
        "source": "stores",
        "entity": "inventory",
        "file_name": key,
        "file_hash": row["file_hash"],
        "content_hash": row["file_hash"],
        "bytes": len(content),
        "store_id": 7,
        "file_date": date(2026, 3, 5),
        "file_hour": datetime(2026, 3, 5, 10),
        "rows": 1,
        "rejected_rows": 0,
        "status": "loaded",
        "reason": None,
        "load_id": results[0].load_id,
        "seen_at": datetime(2026, 3, 5, 11, 10),
    }
    assert warehouse.rows("SELECT store_id, timezone, closed_on, reference_date FROM raw.stores_reference") == [
        (7, "Europe/Berlin", date(2026, 4, 1), date(2026, 3, 5))
    ]
    assert warehouse.rows("SELECT business_date, transactions, net_sales FROM raw.stores_tills") == [
        (date(2026, 3, 4), 12, 1100)
    ]
    recorded = 'SELECT entity, "ROWS", bytes, status, load_id FROM ops.loads ORDER BY ALL'
    assert [row[:2] + row[3:] for row in warehouse.rows(recorded)] == [
        (kind, 1, "loaded", results[0].load_id) for kind in ("inventory", "reference", "tills")
    ]


def test_a_file_is_loaded_once(at: At, drops: Drops, warehouse: Warehouse) -> None:
    drops.inventory("2026-03-05T10", 7)
    ingest(at("2026-03-05T11:10"), drops.source)
    again = ingest(at("2026-03-05T11:20"), drops.source)
    drops.inventory("2026-03-05T10", 7)  # the same bytes under the same key
    ingest(at("2026-03-05T11:30"), drops.source)
    assert [result.status for result in again] == ["empty"] * 3
    assert statuses(warehouse) == [("inventory/2026/03/05/10/store_007.csv", "loaded")]
    assert warehouse.value("SELECT COUNT(*) FROM raw.stores_inventory") == 1


def test_a_multipart_upload_of_the_same_bytes_is_nothing_new(at: At, drops: Drops, warehouse: Warehouse) -> None:
    key = drops.inventory("2026-03-05T10", 7)
    ingest(at("2026-03-05T11:10"), drops.source)
    content = drops.client.get_object(Bucket=drops.bucket, Key=key)["Body"].read()
    place = {"Bucket": drops.bucket, "Key": key}
    upload = drops.client.create_multipart_upload(**place)["UploadId"]
    part = drops.client.upload_part(**place, UploadId=upload, PartNumber=1, Body=content)
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    drops.client.complete_multipart_upload(**place, UploadId=upload, MultipartUpload=parts)
    for minute in (20, 30):
        ingest(at(f"2026-03-05T11:{minute}"), drops.source)
    name = "inventory/2026/03/05/10/store_007.csv"
    assert statuses(warehouse) == [(name, "loaded"), (name, "duplicate")]
    assert counts(warehouse) == [(7, "A", 5, datetime(2026, 3, 5, 10, 15))]


@pytest.mark.parametrize("name", ["store_007 (1).csv", "store_007_2.csv", "store_007_resent.csv", "store_007.csv.gz"])
@pytest.mark.parametrize("together", [True, False])
def test_a_file_sent_twice_counts_once(at: At, drops: Drops, warehouse: Warehouse, name: str, together: bool) -> None:
    key = drops.inventory("2026-03-05T10", 7)
    if not together:
        ingest(at("2026-03-05T11:10"), drops.source)
    content = HEADER.encode() + b"7,A,5,0,2026-03-05T10:15:00Z\n"
    drops.put(f"inventory/2026/03/05/10/{name}", zipped(content) if name.endswith("gz") else content)
    ingest(at("2026-03-05T11:20"), drops.source)
    assert dict(statuses(warehouse)) == {
        "inventory/2026/03/05/10/store_007.csv": "loaded",
        f"inventory/2026/03/05/10/{name}": "duplicate",
    }
    assert warehouse.value("SELECT COUNT(*) FROM raw.stores_inventory") == 1
    reason = warehouse.value("SELECT reason FROM ops.files WHERE status = 'duplicate'")
    assert reason == f"the content that came as {key}"


def test_the_same_content_for_another_hour_or_store_is_no_duplicate(at: At, drops: Drops, warehouse: Warehouse) -> None:
    content = HEADER + "7,A,5,0,2026-03-05T10:59:00Z\n7,B,5,0,2026-03-05T11:01:00Z\n"
    for name in ("10/store_007", "11/store_007", "11/store_008"):
        drops.put(f"inventory/2026/03/05/{name}.csv", content)
    ingest(at("2026-03-05T12:00"), drops.source)
    assert [status for _, status in statuses(warehouse)] == ["loaded"] * 3
    rows = "SELECT file_name, COUNT(*) FROM raw.stores_inventory GROUP BY ALL ORDER BY ALL"
    assert [count for _, count in warehouse.rows(rows)] == [2, 2]  # store 8's file holds only rows of store 7
    assert warehouse.rows("SELECT rule_id, COUNT(*) FROM raw.rejects GROUP BY ALL") == [("store_id_not_of_file", 2)]


def test_rewritten_content_replaces_the_earlier_and_may_come_back(at: At, drops: Drops, warehouse: Warehouse) -> None:
    counted_at = datetime(2026, 3, 5, 10, 15)
    for minute, on_hand in ((10, 5), (20, 6), (30, 5)):
        drops.inventory("2026-03-05T10", 7, on_hand)
        ingest(at(f"2026-03-05T11:{minute}"), drops.source)
        assert counts(warehouse) == [(7, "A", on_hand, counted_at)]
    assert [status for _, status in statuses(warehouse)] == ["loaded"] * 3


@pytest.mark.parametrize("content", [b"", HEADER.encode(), b'store_id,sku\n7,"', zipped(b"x" * 99)[:-9]])
def test_an_empty_or_distrusted_rewrite_does_not_take_the_earlier_rows_away(
    at: At, drops: Drops, warehouse: Warehouse, content: bytes
) -> None:
    drops.inventory("2026-03-05T10", 7)
    ingest(at("2026-03-05T11:10"), drops.source)
    before = counts(warehouse)
    drops.put("inventory/2026/03/05/10/store_007.csv", content)
    ingest(at("2026-03-05T12:10"), drops.source)
    drops.inventory("2026-03-05T10", 7)  # and the first content again, which still counts
    ingest(at("2026-03-05T13:10"), drops.source)
    assert counts(warehouse) == before
    assert [status for _, status in statuses(warehouse)][::2] == ["loaded", "duplicate"]
    assert warehouse.value("SELECT COUNT(*) FROM raw.stores_inventory") == 1


def test_bad_rows_are_rejected_with_their_place(at: At, drops: Drops, warehouse: Warehouse) -> None:
    key = drops.put(
        "inventory/2026/03/05/10/store_007.csv",
        HEADER + "7,A,5,0,2026-03-05T10:15:00Z\n7,B,many,0,2026-03-05T10:15:00Z\n8,C,5,0,2026-03-05T10:15:00Z\n",
    )
    result = ingest(at("2026-03-05T11:10"), drops.source)[-1]
    assert (result.rows, result.rejected_rows, result.source_count) == (1, 2, 3)
    rejects = warehouse.rows(
        "SELECT source, entity, is_whole_file, column_name, rule_id, raw_text, file_name, file_line, rejected_at,"
        " _dlt_load_id FROM raw.rejects ORDER BY file_line"
    )
    seen_at = datetime(2026, 3, 5, 11, 10)
    common = ("stores", "inventory", False)
    assert rejects == [
        (*common, "on_hand", "on_hand_not_integer", "7,B,many,0,2026-03-05T10:15:00Z", key, 3, seen_at, result.load_id),
        (*common, "store_id", "store_id_not_of_file", "8,C,5,0,2026-03-05T10:15:00Z", key, 4, seen_at, result.load_id),
    ]
    assert warehouse.rows('SELECT "ROWS", rejected_rows FROM ops.files') == [(1, 2)]


def test_a_distrusted_file_is_kept_under_its_hash(at: At, drops: Drops, warehouse: Warehouse, home: Path) -> None:
    content = HEADER.encode() + b'7,"A,5,0,2026-03-05T10:15:00Z\n'
    drops.put("inventory/2026/03/05/10/store_007.csv", content)
    drops.inventory("2026-03-05T10", 8)
    ingest(at("2026-03-05T11:10"), drops.source)
    ingest(at("2026-03-05T11:20"), drops.source)
    file_hash = hashlib.sha256(content).hexdigest()
    [(is_whole, rule, path, found_hash)] = warehouse.rows(
        "SELECT is_whole_file, rule_id, original_path, file_hash FROM raw.rejects"
    )
    assert (is_whole, rule, path, found_hash) == (
        True, "quote_unterminated", str(home / "quarantine" / file_hash), file_hash,
    )  # fmt: skip
    assert Path(path).read_bytes() == content
    assert [entry.name for entry in (home / "quarantine").iterdir()] == [file_hash]
    assert [status for _, status in statuses(warehouse)] == ["quarantined", "loaded"]
    assert [row[0] for row in counts(warehouse)] == [8]


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


def test_a_file_too_large_to_be_read_is_quarantined_unread(
    at: At, drops: Drops, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = drops.inventory("2026-03-05T10", 7)
    monkeypatch.setitem(MAX_BYTES, "inventory", 10)
    ingest(at("2026-03-05T11:10"), drops.source)
    assert [status for _, status in statuses(warehouse)] == ["quarantined"]
    assert warehouse.rows("SELECT rule_id, original_path FROM raw.rejects") == [
        ("file_too_large", f"s3://{drops.bucket}/{key}")
    ]


@pytest.mark.parametrize(
    "name",
    [
        "inventory/2026/03/05/10/store_7.csv",
        "inventory/2026/03/05/10/store_000.csv",
        "inventory/2026/03/05/10/store_0007.csv",
        "inventory/2026/03/05/10/store_007.CSV",
        "inventory/2026/03/05/10/store_007.csv.zip",
        "inventory/2026/03/05/10/store_007_new.csv",
        "inventory/2026/03/05/10/../../store_007.csv",
        "inventory/2026/03/05/10/..%2f..%2fstore_007.csv",
        "inventory/2026/03/05/10/..\\store_007.csv",
        "inventory/2026/03/05/10/store_007\x1b[2J.csv",
        "inventory/2026/03/05/10/store_\uff10\uff10\uff17.csv",
        "inventory/2026/03/05/10/store_007+store 008.csv",
        "inventory/2026/03/05/10/'; DROP TABLE raw.rejects; --.csv",
        f"inventory/2026/03/05/10/{'x' * 900}.csv",
        "inventory/2026/03/05/24/store_007.csv",
        "inventory/2026/03/05/store_007.csv",
        "tills/2026/03/05/10/store_007.csv",
        "reference/2026/03/05/stores.csv",
    ],
)
def test_a_key_of_another_form_is_reported_and_not_read(at: At, drops: Drops, warehouse: Warehouse, name: str) -> None:
    drops.put(name, HEADER + "7,A,5,0,2026-03-05T10:15:00Z\n")
    drops.put("inventory/2026/03/05/", "")  # what a console makes of a "folder"
    for minute in (10, 20):
        ingest(at(f"2026-03-06T11:{minute}"), drops.source)
    assert statuses(warehouse) == [(name, "unrecognised")]
    assert warehouse.rows("SELECT entity, file_hash FROM ops.files") == [(name.split("/")[0], None)]
    assert counts(warehouse) == []


def test_files_later_than_as_of_are_left_for_later(at: At, drops: Drops, warehouse: Warehouse) -> None:
    drops.inventory("2026-03-05T10", 7)
    drops.reference("2026-03-06", 7)
    ingest(at("2026-03-05T10:59"), drops.source)
    assert statuses(warehouse) == []
    ingest(at("2026-03-05T11:00"), drops.source)
    assert [name for name, _ in statuses(warehouse)] == ["inventory/2026/03/05/10/store_007.csv"]
    ingest(at("2026-03-06T00:00"), drops.source)
    assert [name for name, _ in statuses(warehouse)][1:] == ["reference/2026/03/06/store_007.csv"]


def test_files_come_a_week_late_and_older_ones_on_request(at: At, drops: Drops, warehouse: Warehouse) -> None:
    ingest(at("2026-03-12T00:30"), drops.source)
    drops.inventory("2026-03-04T00", 7)
    drops.inventory("2026-03-02T23", 7)
    ingest(at("2026-03-12T01:10"), drops.source)
    assert [name for name, _ in statuses(warehouse)] == ["inventory/2026/03/04/00/store_007.csv"]
    before = covered(warehouse)
    [result] = ingest(
        at("2026-03-12T01:20"),
        drops.source,
        Window(datetime(2026, 3, 2), datetime(2026, 3, 3)),
        entities=["inventory"],
    )
    assert (result.entity, result.rows) == ("inventory", 1)
    assert covered(warehouse) == before
    assert queued(warehouse) == [
        ("stores", "inventory", hour("2026-03-02T23"), hour("2026-03-03T00")),
        ("stores", "inventory", hour("2026-03-04T00"), hour("2026-03-04T01")),
    ]


def test_a_requested_window_that_joins_on_moves_the_watermark(at: At, drops: Drops, warehouse: Warehouse) -> None:
    for start, end in (("2026-03-02", "2026-03-03"), ("2026-03-01", "2026-03-02"), ("2026-03-04", "2026-03-05")):
        window = Window(datetime.fromisoformat(start), datetime.fromisoformat(end))
        ingest(at("2026-03-09T00:00"), drops.source, window)
    assert covered(warehouse) == datetime(2026, 3, 2)


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


def test_an_object_that_grew_since_it_was_listed_is_not_read(at: At, warehouse: Warehouse) -> None:
    size = MAX_BYTES["inventory"] + 1

    def respond(path: str) -> Answer:
        if "list-type" in path:
            return 200, (LISTING if "inventory%2F2026%2F03%2F05" in path else "<ListBucketResult/>").encode()
        return size, b"CUT: the rest never comes"

    with answering(respond) as endpoint:
        ingest(at("2026-03-05T11:10"), StoreDrops("s3://shop/in", endpoint, attempts=1))
    assert warehouse.rows("SELECT rule_id FROM raw.rejects") == [("file_too_large",)]


# --- which hours are in ------------------------------------------------------------------------------------------


def test_without_a_reference_only_the_grace_period_counts(at: At, drops: Drops, warehouse: Warehouse) -> None:
    drops.inventory("2026-03-01T00", 7)
    ingest(at("2026-03-01T01:10"), drops.source)
    assert covered(warehouse) == hour("2026-03-01T00")
    ingest(at("2026-03-01T01:29"), drops.source)
    assert covered(warehouse) == hour("2026-03-01T00")
    ingest(at("2026-03-01T01:30"), drops.source)
    assert covered(warehouse) == hour("2026-03-01T01")


def test_nothing_is_covered_before_history_begins(at: At, drops: Drops, warehouse: Warehouse) -> None:
    ingest(at("2026-02-28T12:00"), drops.source)
    assert covered(warehouse) is None


def test_an_hour_is_in_when_every_open_store_has_sent_its_file(at: At, drops: Drops, warehouse: Warehouse) -> None:
    for store in (1, 2, 3):
        drops.reference("2026-03-05", store)
    drops.reference("2026-03-05", 4, opened="2026-03-06")
    drops.reference("2026-03-05", 5, closed="2026-03-05")
    drops.inventory("2026-03-05T10", 1)
    drops.put("inventory/2026/03/05/10/store_002.csv", "garbage\n")  # quarantined: in
    drops.put("inventory/2026/03/05/10/store_003.csv", "")  # empty: not in
    ingest(at("2026-03-05T11:05"), drops.source)
    assert covered(warehouse) == hour("2026-03-05T10")
    assert missing_files(warehouse, hour("2026-03-05T10")) == []
    assert missing_files(warehouse, hour("2026-03-05T10"), hour("2026-03-05T11")) == [(hour("2026-03-05T10"), 3)]
    drops.inventory("2026-03-05T10", 3)
    ingest(at("2026-03-05T11:06"), drops.source)
    assert covered(warehouse) == hour("2026-03-05T11")
    assert (covered(warehouse, "reference"), covered(warehouse, "tills")) == (datetime(2026, 3, 5, 11, 6),) * 2
    assert queued(warehouse) == []


def test_a_missing_file_is_waited_for_and_then_counted_as_missing(at: At, drops: Drops, warehouse: Warehouse) -> None:
    for store in (1, 2):
        drops.reference("2026-03-05", store)
        drops.inventory("2026-03-05T10", store)
    drops.inventory("2026-03-05T11", 1)
    for minute, through in (("12:00", "11"), ("12:29", "11"), ("12:30", "12")):
        ingest(at(f"2026-03-05T{minute}"), drops.source)
        assert covered(warehouse) == hour(f"2026-03-05T{through}")
    assert missing_files(warehouse, hour("2026-03-05T10")) == [(hour("2026-03-05T11"), 2)]
    assert missing_files(warehouse, hour("2026-03-05T12")) == []
    missed = "SELECT store_id, missed_at, arrived_at FROM ops.missing_files WHERE file_hour = ?"
    assert warehouse.rows(missed, [hour("2026-03-05T11")]) == [(2, datetime(2026, 3, 5, 12, 30), None)]
    assert warehouse.rows(missed, [hour("2026-03-05T10")]) == []
    drops.inventory("2026-03-05T11", 2)
    ingest(at("2026-03-05T13:00"), drops.source)
    assert warehouse.rows(missed, [hour("2026-03-05T11")]) == [
        (2, datetime(2026, 3, 5, 12, 30), datetime(2026, 3, 5, 13))
    ]


def test_a_longer_grace_period_lets_several_hours_wait(at: At, drops: Drops, warehouse: Warehouse) -> None:
    source = StoreDrops(drops.source.url, drops.source.endpoint_url, grace_minutes=150)
    drops.reference("2026-03-05", 1)
    for start in ("08", "09", "11"):
        drops.inventory(f"2026-03-05T{start}", 1)
    ingest(at("2026-03-05T12:10"), source)
    assert covered(warehouse) == hour("2026-03-05T10")


def test_the_watermark_never_goes_back(at: At, drops: Drops, warehouse: Warehouse) -> None:
    ingest(at("2026-03-05T12:30"), drops.source)
    ingest(at("2026-03-05T09:00"), drops.source)
    assert covered(warehouse) == hour("2026-03-05T12")
    assert covered(warehouse, "tills") == datetime(2026, 3, 5, 12, 30)


# --- corrections -------------------------------------------------------------------------------------------------


def test_a_late_file_queues_its_hour(at: At, drops: Drops, warehouse: Warehouse) -> None:
    drops.inventory("2026-03-05T10", 1)
    ingest(at("2026-03-05T12:30"), drops.source)
    assert queued(warehouse) == []
    drops.inventory("2026-03-05T10", 2)
    drops.inventory("2026-03-05T12", 1)  # not released yet: in time
    ingest(at("2026-03-05T13:10"), drops.source)
    assert queued(warehouse) == [("stores", "inventory", hour("2026-03-05T10"), hour("2026-03-05T11"))]


def test_the_right_file_after_an_empty_one_is_a_correction(at: At, drops: Drops, warehouse: Warehouse) -> None:
    drops.put("inventory/2026/03/05/10/store_007.csv", "")
    ingest(at("2026-03-05T12:30"), drops.source)
    drops.inventory("2026-03-05T10", 7)
    ingest(at("2026-03-05T12:40"), drops.source)
    assert queued(warehouse) == [("stores", "inventory", hour("2026-03-05T10"), hour("2026-03-05T11"))]
    assert [row[0] for row in counts(warehouse)] == [7]


def test_a_rewrite_queues_the_hours_of_old_and_new_rows(at: At, drops: Drops, warehouse: Warehouse) -> None:
    name = "inventory/2026/03/05/10/store_007.csv"
    drops.put(
        name, HEADER + "7,A,5,0,2026-03-05T10:15:00Z\n7,B,5,0,2026-03-05T11:15:00Z\n7,C,1,0,2026-03-05T10:20:00Z\n"
    )
    drops.inventory("2026-03-05T06", 7)
    ingest(at("2026-03-05T12:30"), drops.source)
    drops.put(
        name, HEADER + "7,C,1,0,2026-03-05T10:20:00Z\n7,A,5,0,2026-03-05T09:45:00Z\n7,B,5,0,2026-03-05T11:15:00Z\n"
    )
    ingest(at("2026-03-05T12:40"), drops.source)
    assert queued(warehouse) == [("stores", "inventory", hour("2026-03-05T09"), hour("2026-03-05T11"))]


def test_a_rewrite_with_the_same_rows_queues_nothing(at: At, drops: Drops, warehouse: Warehouse) -> None:
    drops.inventory("2026-03-05T10", 7)
    ingest(at("2026-03-05T12:30"), drops.source)
    drops.put("inventory/2026/03/05/10/store_007.csv", HEADER + "\r\n007,A,5,0,2026-03-05T05:15:00-05:00\r\n")
    ingest(at("2026-03-05T12:40"), drops.source)
    assert [status for _, status in statuses(warehouse)] == ["loaded", "loaded"]
    assert queued(warehouse) == []


def sale(warehouse: Warehouse, order_id: int, store_id: int, ordered_at: str, refunded_at: str | None = None) -> None:
    """An order (and a refund of it) as an earlier load brought it."""
    at = datetime.fromisoformat(ordered_at)
    order = {"order_id": order_id, "store_id": store_id, "ordered_at": at, "updated_at": at, "_loaded_at": at}
    warehouse.insert("raw.oltp_orders", [order | {"_dlt_load_id": "0"}])
    if refunded_at:
        then = datetime.fromisoformat(refunded_at)
        refund = {"refund_id": order_id, "order_id": order_id, "refunded_at": then, "updated_at": then}
        warehouse.insert("raw.oltp_refunds", [refund | {"_loaded_at": then, "_dlt_load_id": "0"}])


def release_sales(warehouse: Warehouse, through: datetime) -> None:
    row = {"source": "oltp", "entity": "orders", "covered_through": through}
    warehouse.insert("ops.source_watermarks", [row])


def test_a_time_zone_that_becomes_known_or_changes_moves_all_hours_of_the_store(
    at: At, drops: Drops, warehouse: Warehouse
) -> None:
    sale(warehouse, 1, 1, "2026-03-02T08:30:00", refunded_at="2026-03-04T09:10:00")
    sale(warehouse, 2, 2, "2026-03-01T03:00:00", refunded_at="2026-03-04T20:10:00")
    release_sales(warehouse, datetime(2026, 3, 5, 12))
    drops.inventory("2026-03-03T06", 1)
    ingest(at("2026-03-05T12:30"), drops.source)
    assert queued(warehouse) == []
    drops.reference("2026-03-05", 1)
    ingest(at("2026-03-05T12:40"), drops.source)
    expected = [
        ("oltp", "sales", hour("2026-03-02T08"), hour("2026-03-04T10")),
        ("stores", "inventory", hour("2026-03-03T06"), hour("2026-03-03T07")),
    ]
    assert queued(warehouse) == expected

    warehouse.execute("UPDATE ops.correction_windows SET status = 'done'")
    drops.reference("2026-03-05", 1, manager="Another")
    drops.reference("2026-03-06", 1)
    ingest(at("2026-03-06T12:50"), drops.source)
    assert queued(warehouse) == []
    drops.reference("2026-03-06", 1, zone="Asia/Tokyo")
    ingest(at("2026-03-06T12:55"), drops.source)
    assert queued(warehouse) == expected


def test_a_time_zone_before_anything_was_released_queues_nothing(at: At, drops: Drops, warehouse: Warehouse) -> None:
    sale(warehouse, 1, 1, "2026-03-02T08:30:00")
    drops.reference("2026-03-05", 1)
    drops.inventory("2026-03-03T06", 1)
    ingest(at("2026-03-05T12:30"), drops.source)
    assert queued(warehouse) == []


def test_only_released_hours_move_with_a_time_zone(at: At, drops: Drops, warehouse: Warehouse) -> None:
    sale(warehouse, 1, 1, "2026-03-02T08:30:00", refunded_at="2026-03-04T09:10:00")
    release_sales(warehouse, datetime(2026, 3, 4, 9))
    drops.reference("2026-03-05", 1)
    ingest(at("2026-03-05T12:30"), drops.source)
    assert queued(warehouse) == [("oltp", "sales", hour("2026-03-02T08"), hour("2026-03-02T09"))]


# --- failures ----------------------------------------------------------------------------------------------------


Answer = tuple[int, bytes]


@contextmanager
def answering(respond: Callable[[str], Answer]) -> Iterator[str]:
    """The URL of an HTTP server whose answer follows from the path and query of a GET.

    The number is the status, or beyond 599 a length that the answer claims to have.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = respond(self.path)
            self.send_response(status if status < 600 else 200)
            self.send_header("Content-Length", str(len(body) if status < 600 else status))
            self.send_header("ETag", f'"{hashlib.md5(body).hexdigest()}"')
            self.send_header("Last-Modified", "Thu, 05 Mar 2026 11:01:00 GMT")
            self.end_headers()
            self.wfile.write(body[:-5] if b"CUT" in body else body)
            self.close_connection = b"CUT" in body

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def failure(context: IngestContext, source: StoreDrops) -> SourceError:
    with pytest.raises(SourceError) as caught:
        ingest(context, source)
    assert "verysecret" not in str(caught.value)
    assert "\n" not in str(caught.value)
    return caught.value


def test_a_missing_bucket_is_named(at: At, drops: Drops, warehouse: Warehouse) -> None:
    source = StoreDrops("s3://no-such-bucket/in", drops.source.endpoint_url, attempts=1)
    error = failure(at("2026-03-05T12:30"), source)
    assert (error.source, error.cause) == ("stores", "there is no bucket 'no-such-bucket'")
    assert "STORES_URL" in error.cure
    assert covered(warehouse) is None


def test_a_refused_endpoint_is_named(at: At) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    error = failure(at("2026-03-05T12:30"), StoreDrops("s3://shop/in", f"http://127.0.0.1:{port}", attempts=1))
    assert f"127.0.0.1:{port}" in error.cause
    assert "AWS_ENDPOINT_URL" in error.cure


def test_missing_credentials_are_named(at: At, drops: Drops, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert "AWS_ACCESS_KEY_ID" in failure(at("2026-03-05T12:30"), drops.source).cure


def test_denied_access_is_named(at: At) -> None:
    refusal = 403, b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>"
    with answering(lambda path: refusal) as endpoint:
        error = failure(at("2026-03-05T12:30"), StoreDrops("s3://shop/in", endpoint, attempts=1))
    assert error.cause == "access to bucket 'shop' was denied (AccessDenied)"
    assert "s3:ListBucket" in error.cure


@pytest.mark.parametrize("url", ["", "drops", "https://bucket/in", "s3:///in"])
def test_a_location_that_is_none_is_named(at: At, url: str) -> None:
    assert "STORES_URL" in failure(at("2026-03-05T12:30"), StoreDrops(url)).cure


LISTING = """<ListBucketResult><Contents><Key>in/inventory/2026/03/05/10/store_007.csv</Key>
<LastModified>2026-03-05T11:01:00.000Z</LastModified><ETag>"x"</ETag><Size>70</Size></Contents></ListBucketResult>"""


@pytest.mark.parametrize("trouble", [(503, b"slow down"), (403, b"no"), (200, b"CUT short in the middle")])
def test_an_object_that_does_not_come_at_once_is_asked_for_again(at: At, warehouse: Warehouse, trouble: Answer) -> None:
    content = (HEADER + "7,A,5,0,2026-03-05T10:15:00Z\n").encode()
    asked = []

    def respond(path: str) -> Answer:
        if "list-type" in path:
            return 200, (LISTING if "inventory%2F2026%2F03%2F05" in path else "<ListBucketResult/>").encode()
        asked.append(path)
        return trouble if len(asked) == 1 else (200, content)

    with answering(respond) as endpoint:
        ingest(at("2026-03-05T11:10"), StoreDrops("s3://shop/in", endpoint, attempts=2))
    assert len(asked) == 2
    assert counts(warehouse) == [(7, "A", 5, datetime(2026, 3, 5, 10, 15))]
    assert warehouse.value("SELECT etag FROM ops.files") == hashlib.md5(content).hexdigest()


def test_an_object_that_is_gone_when_it_is_read_is_left_out(at: At, warehouse: Warehouse) -> None:
    def respond(path: str) -> Answer:
        if "list-type" in path:
            return 200, (LISTING if "inventory%2F2026%2F03%2F05" in path else "<ListBucketResult/>").encode()
        return 404, b"<Error><Code>NoSuchKey</Code><Message>gone</Message></Error>"

    with answering(respond) as endpoint:
        results = ingest(at("2026-03-05T11:10"), StoreDrops("s3://shop/in", endpoint, attempts=1))
    assert [result.rows for result in results] == [0, 0, 0]
    assert statuses(warehouse) == []
