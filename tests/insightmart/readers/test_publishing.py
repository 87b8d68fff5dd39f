"""The copy for readers: what it holds, and that readers and writers do not meet."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from subprocess import PIPE, Popen
from threading import Timer
from types import SimpleNamespace

import duckdb
import pytest

from ingestion.warehouse import Warehouse
from insightmart import runs
from insightmart.commands import session
from insightmart.errors import InsightMartError
from insightmart.gateway import open_to_read
from insightmart.read_copy import copy_path
from insightmart.read_only import answer
from insightmart.readers.by_sqlmesh import show_readers
from insightmart.readers.publishing import publish_copy, published_at
from insightmart.settings import Settings
from insightmart.status.facts import gather
from tests.support.workshop import CommandLine

NOW = datetime(2026, 3, 6, 10, 5)
HOLDER = """
import duckdb, sys
connection = duckdb.connect(sys.argv[1], read_only=sys.argv[2] == "reader")
print("open", flush=True)
for question in sys.stdin:
    print(connection.execute(question).fetchall(), flush=True)
"""


@contextmanager
def held_open(file: Path, by: str) -> Iterator[Popen[str]]:
    """Another process that has a file open, and answers a question a line."""
    with Popen([sys.executable, "-c", HOLDER, str(file), by], stdin=PIPE, stdout=PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "open\n"
        yield process
        process.stdin.close()


def _ask(process: Popen[str], question: str) -> str:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{question}\n")
    process.stdin.flush()
    return process.stdout.readline().strip()


def test_readers_have_certified_as_it_is_and_nothing_that_a_source_wrote(built: Warehouse, settings: Settings) -> None:
    built.execute(
        "INSERT INTO raw.rejects (source, entity, is_whole_file, rule_id, raw_text, rejected_at, _loaded_at,"
        " _dlt_load_id) VALUES ('oltp', 'orders', FALSE, 'untyped', 'call Ada on 555-0100', ?, ?, '1')",
        [NOW, NOW],
    )
    before = gather(built, settings, NOW, is_report=True)
    built.execute("UPDATE raw.oltp_customers SET email = 'ada@lovelace.example'")
    path = publish_copy(built, settings.home)
    assert path == copy_path(settings.home)
    with open_to_read(settings) as copy:
        certified = {
            name for (name,) in copy.rows("SELECT table_name FROM duckdb_tables() WHERE schema_name = 'certified'")
        }
        assert {"agg_sales_daily", "fct_orders", "published_changes"} <= certified
        assert not [name for name in certified if "__" in name]
        for name in certified:
            held = f"SELECT * FROM certified.{name} ORDER BY ALL"
            assert copy.rows(held) == built.rows(held), name
        assert copy.rows("SELECT COUNT(*), COUNT(raw_text) FROM raw.rejects") == [(1, 0)]
        [(said,)] = copy.rows("SELECT comment FROM duckdb_tables() WHERE table_name = 'agg_sales_daily'")
        assert said.startswith("Sales measures by business date")
        assert published_at(copy) is not None
        shown = gather(copy, settings, NOW, is_report=True)
    assert (shown.parts, shown.rejects, shown.sales) == (before.parts, before.rejects, before.sales)
    assert shown.missing_stores == before.missing_stores
    written = path.read_bytes()
    assert [text for text in (b"ada@lovelace", b"555-0100") if text in written] == []


def _published(warehouse: Warehouse, start: datetime, end: datetime) -> None:
    """An entry of the journal: this window of store sales was written."""
    last = warehouse.value("SELECT MAX(publication) FROM ops.publications") or 0
    windows = json.dumps([["agg_sales_hourly__oltp", str(start), str(end)]])
    warehouse.insert("ops.publications", [{"publication": last + 1, "windows": windows}])


def test_after_a_cycle_only_what_it_published_is_written(built: Warehouse, settings: Settings) -> None:
    """A row that was put into the copy by hand tells what was written anew: it is gone from there."""
    path = publish_copy(built, settings.home, is_settled=True)
    assert path is not None
    [table] = [
        name
        for (name,) in built.rows("SELECT table_name FROM duckdb_tables() WHERE table_name LIKE '%FCT_ORDERS__OLTP%'")
    ][:1]
    physical = f'"sqlmesh__CERTIFIED"."{table}"'
    hours = built.rows("SELECT DISTINCT DATE_TRUNC('hour', ordered_at) FROM certified.fct_orders__oltp ORDER BY 1")
    (untouched,), (changed,) = hours[0], hours[-1]

    def falsified() -> None:
        path.chmod(0o640)
        with duckdb.connect(str(path)) as copy:
            copy.execute("UPDATE certified.fct_orders SET total_amount = -1")

    def in_copy() -> dict[datetime, Decimal]:
        with duckdb.connect(str(path), read_only=True) as copy:
            rows = copy.execute("SELECT ordered_at, MAX(total_amount) FROM certified.fct_orders GROUP BY 1").fetchall()
        return dict(rows)

    falsified()
    built.execute(f"UPDATE {physical} SET total_amount = 77 WHERE ordered_at >= ?", [changed])
    _published(built, changed, changed + timedelta(hours=1))
    publish_copy(built, settings.home, of_a_cycle=True)
    found = in_copy()
    assert {amount for instant, amount in found.items() if changed <= instant < changed + timedelta(hours=1)} == {77}
    assert {amount for instant, amount in found.items() if instant < untouched + timedelta(hours=1)} == {-1}
    with open_to_read(settings) as copy:
        assert copy.rows("SELECT * FROM certified.fct_refunds ORDER BY ALL") == built.rows(
            "SELECT * FROM certified.fct_refunds ORDER BY ALL"
        )
        assert copy.value("SELECT MAX(publication) FROM ops.read_copy") == built.value(
            "SELECT MAX(publication) FROM ops.publications"
        )

    for whole in ("another command", "something erased", "something not in the journal"):
        falsified()
        if whole == "something erased":
            built.insert("ops.erasures", [{"erasure_id": "1", "source": "oltp", "customer_id": 1}])
        if whole == "something not in the journal":
            built.insert("ops.unpublished_windows", [{"mark_id": "1", "model": "agg_sales_hourly__oltp"}])
        publish_copy(built, settings.home, of_a_cycle=whole != "another command", is_settled=True)
        assert -1 not in in_copy().values(), whole
    path.chmod(0o640)
    path.write_bytes(b"no database")
    publish_copy(built, settings.home, of_a_cycle=True)
    assert in_copy()


def test_a_reader_keeps_the_old_copy_and_the_next_one_has_the_new_one(built: Warehouse, settings: Settings) -> None:
    file = publish_copy(built, settings.home)
    assert file is not None
    count = "SELECT COUNT(*) FROM ops.loads"
    [(before,)] = built.rows(count)
    with held_open(file, "reader") as reader:
        built.execute("INSERT INTO ops.loads (source, entity, status) VALUES ('oltp', 'orders', 'loaded')")
        publish_copy(built, settings.home)
        assert _ask(reader, count) == f"[({before},)]"
        with held_open(file, "reader") as next_one:
            assert _ask(next_one, count) == f"[({before + 1},)]"


def test_plain_sqlmesh_shows_what_it_has_published(built: Warehouse, settings: Settings) -> None:
    """SQLMesh by itself has the id of a run as soon as the journal asks for one; that is no command of ours."""
    runs.current_run_id()
    evaluator = SimpleNamespace(
        this_env="prod", engine_adapter=SimpleNamespace(connection=built.connection, dialect="duckdb")
    )
    show_readers(evaluator)
    with open_to_read(settings) as copy:
        assert published_at(copy) is not None
    copy_path(settings.home).unlink()
    evaluator.this_env = "dev"
    show_readers(evaluator)
    assert not copy_path(settings.home).exists()


def test_what_somebody_left_beside_the_copy_is_not_in_the_next_one(built: Warehouse, settings: Settings) -> None:
    path = publish_copy(built, settings.home)
    assert path is not None
    assert path.stat().st_mode & 0o777 == 0o440
    path.with_name(f"{path.name}.wal").write_bytes(b"left behind")
    built.insert("ops.erasures", [{"erasure_id": "1", "source": "oltp", "customer_id": 1, "reason": "Ada asked"}])
    publish_copy(built, settings.home)
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    with open_to_read(settings) as copy:
        assert copy.rows("SELECT * FROM ops.erasures") == []


def test_a_question_is_answered_while_a_writer_is_at_work(built: Warehouse, settings: Settings) -> None:
    publish_copy(built, settings.home)
    built.close()
    with held_open(settings.database_path, "writer"):
        _, rows, _ = answer(settings, "SELECT COUNT(*) FROM certified.fct_orders", None)
        assert rows[0][0] > 0
        with pytest.raises(InsightMartError, match=r"open in another process \(process \d+\).*copy for readers"):
            answer(settings, "SELECT COUNT(*) FROM raw.oltp_orders", None)


def test_a_writer_waits_for_whoever_reads_the_warehouse_itself(
    built: Warehouse, settings: Settings, insightmart: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    built.close()
    with held_open(settings.database_path, "reader") as reader:
        monkeypatch.setattr(session, "PATIENCE", 0)
        code, _, err = insightmart("ledger", "note", "closed early")
        assert (code, "is open in another process" in err) == (1, True), err
        monkeypatch.setattr(session, "PATIENCE", 60)
        assert reader.stdin is not None
        Timer(0.5, reader.stdin.close).start()
        code, _, err = insightmart("ledger", "note", "closed early")
    assert code == 0, err


def test_a_copy_that_cannot_be_written_is_said_and_the_old_one_stays(built: Warehouse, settings: Settings) -> None:
    file = publish_copy(built, settings.home)
    assert file is not None
    before = file.read_bytes()
    blocked = file.with_name("unfinished.duckdb")
    blocked.mkdir()
    (blocked / "something").touch()
    with pytest.raises(InsightMartError, match=r"the copy for readers, .* cannot be written"):
        publish_copy(built, settings.home)
    assert file.read_bytes() == before
    assert built.rows("SELECT database_name FROM duckdb_databases() WHERE database_name = 'readers'") == []


def test_where_nothing_was_loaded_there_is_nothing_to_read_and_no_file_comes_of_it(settings: Settings) -> None:
    with open_to_read(settings) as nothing:
        assert nothing.rows("SELECT table_name FROM duckdb_tables()") == []
    assert not settings.database_path.exists()
    with pytest.raises(duckdb.CatalogException), open_to_read(settings) as nothing:
        nothing.rows("SELECT 1 FROM certified.fct_orders")
