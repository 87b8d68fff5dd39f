"""Replay: after a repair of the parser or of a synonym exactly the missing rows come in, once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ingestion import replay as replays
from ingestion.contracts import entity
from ingestion.loading.context import IngestContext
from ingestion.loading.rejects import CURRENT_REJECTS, Replayed
from ingestion.replay import replay
from ingestion.stores.content import current_loads
from ingestion.stores.csv import layout, typed
from ingestion.stores.csv import values as csv_values
from ingestion.stores.csv.declared import Declared
from ingestion.stores.source import ingest
from ingestion.warehouse import Warehouse

if TYPE_CHECKING:
    from conftest import Drops

At = Callable[[str], IngestContext]

NAME = "inventory/2026/03/05/10/store_007.csv"
AT = "2026-03-05T10:15:00Z"
BAD_LINES = f"7,A,5,0,{AT}\n7,B,dozen,0,{AT}\n7,C,0x10,0,{AT}\n"


@pytest.fixture
def mended(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Call it to mend the parser: ``dozen`` is a number from then on, and ``pieces`` a name for on_hand."""

    def mend() -> None:
        def reading(text: Any, column: str, verdicts: Any) -> Any:
            return read(csv_values.pc.replace_substring(text, "dozen", "12"), column, verdicts)

        read = typed.integer_values
        monkeypatch.setattr(typed, "integer_values", reading)
        monkeypatch.setitem(layout._COLUMN_OF["inventory"], "pieces", "on_hand")
        layout.layout_of.cache_clear()

    return mend


@pytest.fixture(autouse=True)
def _no_layout_is_remembered() -> Any:
    yield
    layout.layout_of.cache_clear()


def counts(warehouse: Warehouse) -> list[tuple[str, int, int]]:
    """The counts that the models take: product, pieces, line."""
    return warehouse.rows(
        "SELECT sku, on_hand, file_line FROM raw.stores_inventory"
        f" WHERE (file_name, _dlt_load_id) IN ({current_loads('raw.stores_inventory')}) ORDER BY ALL"
    )


def held(warehouse: Warehouse) -> list[tuple[str, int | None]]:
    """What is in quarantine: rule and line."""
    return warehouse.rows(f"SELECT rule_id, file_line FROM ({CURRENT_REJECTS}) AS held ORDER BY ALL")


def queued(warehouse: Warehouse) -> list[datetime]:
    rows = warehouse.rows("SELECT window_start FROM ops.correction_windows WHERE status = 'open' ORDER BY 1")
    return [start for (start,) in rows]


def test_the_missing_lines_of_a_loaded_file_come_in_once(
    at: At, drops: Drops, warehouse: Warehouse, mended: Callable[[], None]
) -> None:
    key = drops.put(NAME, drops.HEADER + BAD_LINES)
    ingest(at("2026-03-05T12:30"), drops.source)
    assert replay(at("2026-03-05T12:40"), drops.source) == [
        Replayed("stores_inventory", 2, 0, 0, {key: "still rejected: 2 lines"})
    ]
    mended()
    expected = [Replayed("stores_inventory", 2, 1, 1, {key: "still rejected: 1 lines"})]
    assert replay(at("2026-03-05T12:50"), drops.source, is_dry=True) == expected
    assert counts(warehouse) == [("A", 5, 2)]
    assert replay(at("2026-03-05T12:50"), drops.source) == expected
    assert counts(warehouse) == [("A", 5, 2), ("B", 12, 3)]
    assert held(warehouse) == [("on_hand_not_integer", 4)]
    assert queued(warehouse) == [datetime(2026, 3, 5, 10)]
    [(load_id, reject_load, line)] = warehouse.rows("SELECT load_id, reject_load_id, reject_key FROM ops.replays")
    assert (load_id > reject_load, line) == (True, "3")
    [done] = warehouse.records("SELECT * FROM ops.loads WHERE load_id = ?", [load_id])
    assert [done[name] for name in ("rows", "rejected_rows", "source_count", "source_sum", "landed_sum")] == [
        1, 0, 1, 12, 12,
    ]  # fmt: skip

    again = replay(at("2026-03-05T13:00"), drops.source)
    ingest(at("2026-03-05T13:10"), drops.source)
    assert again == [Replayed("stores_inventory", 1, 0, 0, {key: "still rejected: 1 lines"})]
    assert warehouse.value("SELECT COUNT(*) FROM raw.stores_inventory") == 2


@pytest.mark.parametrize(
    ("content", "rule", "declared", "expected"),
    [
        (
            "store_id,sku,on_hand,on_order,counted_at\n7,Łódź,5,2,2026-03-05T10:15:00Z\n".encode("cp1250"),
            "encoding_undeclared",
            Declared(encoding="cp1250"),
            [("Łódź", 5, 2, 2)],
        ),
        (
            b"store_id,sku,on_hand,counted_at\n7,A,5,2026-03-05T10:15:00Z\n",
            "column_undeclared",
            Declared(lacks=frozenset({"on_order"})),
            [("A", 5, None, 2)],
        ),
    ],
)
def test_a_file_that_waits_for_a_declaration_comes_in_after_it(
    at: At, drops: Drops, warehouse: Warehouse, content: bytes, rule: str, declared: Declared, expected: list[Any]
) -> None:
    key = drops.put(NAME, content)
    drops.reference("2026-03-05", 7)
    ingest(at("2026-03-05T11:10"), drops.source)
    assert held(warehouse) == [(rule, None)]
    assert counts(warehouse) == []
    covered = "SELECT covered_through FROM ops.source_watermarks WHERE entity = 'inventory'"
    assert warehouse.value(covered) == datetime(2026, 3, 5, 11)  # it is in: nothing waits for it
    undeclared = replay(at("2026-03-05T11:20"), drops.source)
    assert [(one.resolved, list(one.unread)) for one in undeclared] == [(0, [key])]
    stated = replace(drops.source, declared={7: declared})
    assert replay(at("2026-03-05T11:30"), stated) == [Replayed("stores_inventory", 1, 1, 1)]
    found = warehouse.rows("SELECT sku, on_hand, on_order, file_line FROM raw.stores_inventory")
    assert found == expected
    assert held(warehouse) == []
    assert queued(warehouse) == [datetime(2026, 3, 5, 10)]
    assert replay(at("2026-03-05T11:40"), stated) == []
    drops.put(NAME.replace("/10/", "/11/"), content.replace(b"10:15", b"11:15"))
    ingest(at("2026-03-05T12:10"), stated)
    assert warehouse.rows("SELECT status FROM ops.files WHERE file_name LIKE '%/11/%'") == [("loaded",)]


def test_a_zone_without_a_region_waits_and_comes_in_when_it_is_declared(
    at: At, drops: Drops, warehouse: Warehouse
) -> None:
    drops.reference("2026-03-04", 7, "America/New_York")
    drops.reference("2026-03-05", 7, "EST")
    ingest(at("2026-03-05T11:10"), drops.source)
    assert held(warehouse) == [("timezone_ambiguous", 2)]
    zones = "SELECT reference_date, timezone FROM raw.stores_reference ORDER BY ALL"
    assert warehouse.rows(zones) == [(date(2026, 3, 4), "America/New_York")]  # the last good one holds
    stated = replace(drops.source, declared={7: Declared(timezone="America/New_York")})
    again = replay(at("2026-03-05T11:30"), stated, [entity("stores", "reference")])
    assert again == [Replayed("stores_reference", 1, 1, 1)]
    assert warehouse.rows(zones) == [(date(2026, 3, day), "America/New_York") for day in (4, 5)]
    assert held(warehouse) == []


def test_a_distrusted_file_comes_in_from_its_kept_original(
    at: At, drops: Drops, warehouse: Warehouse, mended: Callable[[], None]
) -> None:
    content = drops.HEADER.replace("on_hand", "pieces") + BAD_LINES
    key = drops.put(NAME, content)
    ingest(at("2026-03-05T12:30"), drops.source)
    assert held(warehouse) == [("columns_missing", None)]
    mended()
    drops.client.delete_object(Bucket=drops.bucket, Key=key)
    assert replay(at("2026-03-05T12:40"), None) == [Replayed("stores_inventory", 1, 1, 2)]
    assert counts(warehouse) == [("A", 5, 2), ("B", 12, 3)]
    assert held(warehouse) == [("on_hand_not_integer", 4)]
    assert queued(warehouse) == [datetime(2026, 3, 5, 10)]
    seen = warehouse.rows('SELECT status, "ROWS", rejected_rows, file_hash FROM ops.files ORDER BY load_id')
    file_hash = seen[0][3]
    assert seen == [("quarantined", 0, 0, file_hash), ("loaded", 2, 1, file_hash)]
    drops.put(NAME, content)
    ingest(at("2026-03-05T12:50"), drops.source)
    assert len(replay(at("2026-03-05T13:00"), drops.source)) == 1
    assert warehouse.value("SELECT COUNT(*) FROM raw.stores_inventory") == 2


def test_a_content_that_went_and_came_back_is_replayed_into_what_counts(
    at: At, drops: Drops, warehouse: Warehouse, mended: Callable[[], None]
) -> None:
    for minute, content in ((30, BAD_LINES), (35, f"7,Z,1,0,{AT}\n"), (40, BAD_LINES)):
        drops.put(NAME, drops.HEADER + content)
        ingest(at(f"2026-03-05T12:{minute}"), drops.source)
    assert held(warehouse) == [("on_hand_not_integer", 3), ("on_hand_not_integer", 4)]
    mended()
    [result] = replay(at("2026-03-05T12:50"), drops.source)
    assert (result.rejects, result.resolved, result.rows) == (2, 1, 1)
    assert counts(warehouse) == [("A", 5, 2), ("B", 12, 3)]


def test_what_was_replaced_since_is_not_replayed(
    at: At, drops: Drops, warehouse: Warehouse, mended: Callable[[], None]
) -> None:
    drops.put(NAME, drops.HEADER + BAD_LINES)
    drops.put(NAME.replace("007", "008"), "pieces\n1\n")
    ingest(at("2026-03-05T12:30"), drops.source)
    drops.put(NAME, drops.HEADER + f"7,Z,1,0,{AT}\n")
    drops.inventory("2026-03-05T10", 8, end="_resent.csv")
    ingest(at("2026-03-05T12:40"), drops.source)
    mended()
    assert held(warehouse) == []
    assert replay(at("2026-03-05T12:50"), drops.source) == []


def test_content_that_is_gone_is_named(
    at: At, drops: Drops, warehouse: Warehouse, home: Path, mended: Callable[[], None]
) -> None:
    bad = drops.HEADER + BAD_LINES
    keys = [drops.put(NAME.replace("007", f"00{store}"), bad.replace("7,", f"{store},")) for store in (1, 2, 3)]
    broken = drops.put(NAME, "pieces\n1\n")
    ingest(at("2026-03-05T12:30"), drops.source)
    mended()
    drops.client.delete_object(Bucket=drops.bucket, Key=keys[0])
    drops.put(NAME.replace("007", "002"), bad + "\n")
    [kept] = (home / "quarantine").iterdir()
    kept.write_text("spoilt")
    [result] = replay(at("2026-03-05T12:40"), drops.source)
    assert (result.rejects, result.resolved) == (7, 1)
    assert result.unread == {
        keys[0]: "no original was kept, and the object is not in the bucket any more",
        keys[1]: "no original was kept, and the object in the bucket has other content now",
        keys[2]: "still rejected: 1 lines",
        broken: "columns_missing: the header has no column store_id, sku, counted_at",
    }
    without = replay(at("2026-03-05T12:50"), None, file_name=keys[2])
    assert without[0].unread == {keys[2]: "no original was kept, and STORES_URL is not set"}


def test_a_replay_can_be_narrowed(at: At, drops: Drops, warehouse: Warehouse, mended: Callable[[], None]) -> None:
    keys = [
        drops.put(NAME.replace("007", f"00{store}"), drops.HEADER + BAD_LINES.replace("7,", f"{store},"))
        for store in (1, 2)
    ]
    ingest(at("2026-03-05T12:30"), drops.source)
    mended()
    assert replay(at("2026-03-05T12:40"), drops.source, rule="store_id_missing") == []
    [result] = replay(at("2026-03-05T12:40"), drops.source, rule="on_hand_not_integer", file_name=keys[1])
    assert (result.rejects, result.rows) == (2, 1)
    assert warehouse.value("SELECT COUNT(*) FROM raw.stores_inventory") == 3


def test_a_replay_that_is_killed_leaves_nothing_behind(
    at: At, drops: Drops, warehouse: Warehouse, mended: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    drops.put(NAME, drops.HEADER + BAD_LINES)
    ingest(at("2026-03-05T12:30"), drops.source)
    mended()
    with monkeypatch.context() as patch:
        patch.setattr("ingestion.stores.source.record", lambda *_: 1 / 0)  # the rows are in raw, and nothing says so
        with pytest.raises(ZeroDivisionError):
            replay(at("2026-03-05T12:40"), drops.source)
    assert held(warehouse) == [("on_hand_not_integer", 3), ("on_hand_not_integer", 4)]
    replay(at("2026-03-05T12:50"), drops.source)
    assert counts(warehouse) == [("A", 5, 2), ("B", 12, 3)]
    assert warehouse.value("SELECT COUNT(*) FROM raw.stores_inventory") == 2
    assert warehouse.value("SELECT COUNT(*) FROM ops.replays") == 1


def test_records_of_other_sources_come_in_from_their_text(at: At, warehouse: Warehouse) -> None:
    common = {"source": "oltp", "entity": "products", "is_whole_file": False, "_dlt_load_id": "1772.1"}
    good = '"A-1","Chair",,,"12.50","20.00","t","2026-03-05 10:00:00"'
    texts = {good: "number_not_exact", good.replace("12.50", "1e99"): "number_not_exact"}
    warehouse.insert("raw.rejects", [common | {"raw_text": text, "rule_id": rule} for text, rule in texts.items()])
    [result] = replay(at("2026-03-05T12:30"), None)
    assert (result.entity, result.rejects, result.resolved, result.rows) == ("oltp_products", 2, 1, 1)
    assert result.unread == {"oltp_products": "still rejected: 1 records"}
    assert warehouse.rows("SELECT sku, unit_cost FROM raw.oltp_products") == [("A-1", 12.50)]
    [again] = replay(at("2026-03-05T12:40"), None)
    assert (again.rejects, again.resolved) == (1, 0)
    assert warehouse.rows("SELECT source_count, source_sum, landed_sum FROM ops.loads") == [(1, 20, 20)]


def test_rejects_are_read_again_in_parts_and_a_text_that_is_there_twice_at_once(
    at: At, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Six records at most two at a time: A alone is a part of three, since its load brought it three times."""
    monkeypatch.setattr(replays, "RECORDS_AT_ONCE", 2)
    common = {"source": "oltp", "entity": "products", "is_whole_file": False, "rule_id": "number_not_exact"}
    texts = [(sku, cost, "1772.1") for sku, cost in (("A", "1"), ("A", "1"), ("A", "1"), ("B", "2"), ("C", "1e99"))]
    warehouse.insert(
        "raw.rejects",
        [
            common | {"raw_text": f'"{sku}",,,,"{cost}",,,', "_dlt_load_id": load_id}
            for sku, cost, load_id in [*texts, ("D", "4", "1773.1")]
        ],
    )
    [result] = replay(at("2026-03-05T12:30"), None)
    assert (result.rejects, result.resolved, result.rows) == (6, 5, 5)
    held = "SELECT sku, COUNT(*) FROM raw.oltp_products GROUP BY 1 ORDER BY 1"
    assert warehouse.rows(held) == [("A", 3), ("B", 1), ("D", 1)]
    [again] = replay(at("2026-03-05T12:40"), None)
    assert (again.rejects, again.resolved) == (1, 0)
