"""Store files from a bucket into raw: once, whatever is sent twice, rewritten, empty or broken."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ingestion.loading.context import SourceError, Window
from ingestion.stores.csv.decode import MAX_BYTES
from ingestion.stores.source import MANY, ingest
from ingestion.warehouse import Warehouse
from insightmart.status.store_files import files_seen
from tests.support.store_drops import HEADER, TILLS, At, counts, covered, hour, queued, statuses, zipped

if TYPE_CHECKING:
    from conftest import Drops

pytestmark = pytest.mark.usefixtures("aws")


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
        "inventory/2026/03/05/10/store_007.TXT",
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


def test_a_key_in_capitals_is_the_stores_file(at: At, drops: Drops, warehouse: Warehouse) -> None:
    content = HEADER + "8,P-1,3,0,2026-03-05T03:10:00Z\n"
    drops.put("inventory/2026/03/05/03/STORE_008.CSV", content)
    drops.put("inventory/2026/03/05/03/Store_009.CSV.GZ", zipped(content.replace("8,P", "9,P").encode()))
    ingest(at("2026-03-05T04:10"), drops.source)
    assert [status for _, status in statuses(warehouse)] == ["loaded", "loaded"]
    assert [(store, sku, on_hand) for store, sku, on_hand, _ in counts(warehouse)] == [(8, "P-1", 3), (9, "P-1", 3)]


def test_objects_where_no_store_file_belongs_are_counted_once(at: At, drops: Drops, warehouse: Warehouse) -> None:
    names = [
        "INVENTORY/2026/03/05/10/store_007.csv",
        "inventory/05.03.2026/store_007.csv",
        "inventory/store_007.csv",
        "store_007.csv",
        "tills/today/a/b/store_007.csv",
    ]
    for name in names:
        drops.put(name, HEADER + "7,A,5,0,2026-03-05T10:15:00Z\n")
    drops.inventory("2026-03-05T10", 7)
    for minute in (10, 20):
        ingest(at(f"2026-03-05T11:{minute}"), drops.source)
    assert sorted(statuses(warehouse)) == sorted(
        [("inventory/2026/03/05/10/store_007.csv", "loaded"), *((name, "unrecognised") for name in names)]
    )
    seen = files_seen(warehouse, {"ops.files"}, hour("2026-03-05T12"))
    assert ("unknown", "unrecognised", 5) in seen
    drops.put(names[0], HEADER)  # another content is another mistake
    ingest(at("2026-03-05T11:30"), drops.source)
    assert statuses(warehouse).count((names[0], "unrecognised")) == 2


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


# --- a bucket that shows nothing ---------------------------------------------------------------------------------


def empty(drops: Drops) -> None:
    listed = drops.client.list_objects_v2(Bucket=drops.bucket).get("Contents", [])
    for entry in listed:
        drops.client.delete_object(Bucket=drops.bucket, Key=entry["Key"])


def test_an_emptied_bucket_is_an_error_and_no_store_is_missing(at: At, drops: Drops, warehouse: Warehouse) -> None:
    drops.reference("2026-03-05", 7)
    drops.inventory("2026-03-05T10", 7)
    ingest(at("2026-03-05T11:10"), drops.source)
    empty(drops)
    with pytest.raises(SourceError) as raised:
        ingest(at("2026-03-05T13:00"), drops.source)
    assert "shows no file, and 2 were there before" in raised.value.cause
    assert "Check the prefix in STORES_URL" in raised.value.cure
    assert covered(warehouse) == datetime(2026, 3, 5, 11)
    assert warehouse.value("SELECT COUNT(*) FROM ops.missing_files WHERE file_hour > '2026-03-05 10:00'") == 0
    drops.inventory("2026-03-05T11", 7)
    drops.inventory("2026-03-05T12", 7)
    ingest(at("2026-03-05T13:05"), drops.source)
    assert covered(warehouse) == datetime(2026, 3, 5, 13)


def test_another_prefix_that_shows_nothing_is_an_error_too(at: At, drops: Drops) -> None:
    drops.inventory("2026-03-05T10", 7)
    ingest(at("2026-03-05T11:10"), drops.source)
    elsewhere = replace(drops.source, url=f"s3://{drops.bucket}/out")
    with pytest.raises(SourceError, match="/out shows no file, and 1 were there before"):
        ingest(at("2026-03-05T12:10"), elsewhere)


def test_a_place_with_none_of_the_files_that_were_there_is_another_one(
    at: At, drops: Drops, warehouse: Warehouse
) -> None:
    for store in range(1, MANY + 1):
        drops.inventory("2026-03-05T10", store)
    ingest(at("2026-03-05T11:10"), drops.source)
    before = counts(warehouse), covered(warehouse)
    for store in range(1, MANY + 1):
        place = {"Bucket": drops.bucket, "Key": f"other/inventory/2026/03/05/10/store_{store:03d}.csv"}
        drops.client.put_object(**place, Body=f"{HEADER}{store},A,99,0,2026-03-05T10:15:00Z\n")
    elsewhere = replace(drops.source, url=f"s3://{drops.bucket}/other")
    with pytest.raises(SourceError, match="has none of the 20 files that were there since") as raised:
        ingest(at("2026-03-05T12:10"), elsewhere)
    assert "insightmart ingest stores --from 2026-02-28 --to 2026-03-05T12:10" in raised.value.cure
    assert (counts(warehouse), covered(warehouse)) == before
    ingest(at("2026-03-05T12:10"), elsewhere, Window(datetime(2026, 2, 28), datetime(2026, 3, 5, 12, 10)))
    ingest(at("2026-03-05T12:20"), elsewhere)
    assert {on_hand for _, _, on_hand, _ in counts(warehouse)} == {5, 99}


def test_all_files_but_one_written_anew_are_corrections(at: At, drops: Drops, warehouse: Warehouse) -> None:
    for store in range(1, MANY + 1):
        drops.inventory("2026-03-05T10", store)
    ingest(at("2026-03-05T11:10"), drops.source)
    for store in range(2, MANY + 1):
        drops.inventory("2026-03-05T10", store, on_hand=6)
    ingest(at("2026-03-05T12:10"), drops.source)
    assert sorted(on_hand for _, _, on_hand, _ in counts(warehouse)) == [5] + [6] * (MANY - 1)


def test_recent_days_that_show_nothing_any_more_are_an_error_though_old_files_are_left(at: At, drops: Drops) -> None:
    drops.put("tills/2026/01/04/store_007.csv", TILLS + "7,2026-01-04,12,1,0,0,1\n")
    drops.inventory("2026-03-05T10", 7)
    ingest(at("2026-03-05T11:10"), drops.source)
    drops.client.delete_object(Bucket=drops.bucket, Key="in/inventory/2026/03/05/10/store_007.csv")
    with pytest.raises(SourceError, match="shows no file"):
        ingest(at("2026-03-05T12:10"), drops.source)


def test_a_bucket_that_never_held_a_file_is_empty_without_an_error(at: At, drops: Drops) -> None:
    assert [result.rows for result in ingest(at("2026-03-05T11:10"), drops.source)] == [0, 0, 0]
