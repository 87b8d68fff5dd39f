"""Files of the home, damaged or gone: what can be made anew is; what cannot is one line, and nothing changes."""

from __future__ import annotations

import shutil
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from ingestion.ops_tables import create_tables
from insightmart.damage import refuse_earlier_warehouse, refuse_lost_state, refuse_lost_warehouse
from insightmart.errors import InsightMartError
from insightmart.settings import Settings
from tests.support.both_engines import ENGINES, opened
from tests.support.homeless import Gateway, PlayedDay

pytestmark = pytest.mark.slow

GARBAGE = b"\x00\xff no database, no JSON, no archive \n" * 500
KINDS: dict[str, bytes | None] = {"garbage": GARBAGE, "empty": b"", "gone": None}
# of dlt's folder of a source; each kind of damage meets each of them, at one source or another
OF_DLT = ("state.json", "schemas/{source}.schema.json", "load/.version")


def damage(path: Path, content: bytes | None) -> None:
    if content is None:
        path.unlink(missing_ok=True)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def test_what_can_be_made_anew_is_and_the_figures_are_exact(day: PlayedDay, local: Gateway) -> None:
    cache = local.home / "cache"
    for shared in [path for path in cache.iterdir() if path.is_symlink()]:
        target = shared.resolve()
        shared.unlink()
        shutil.copytree(target, shared)
    for number, (kind, content) in enumerate(KINDS.items()):
        truth = day.advance(day.hour + 1)
        for place, source in enumerate(("oltp", "shopify", "stores")):
            damage(local.home / "dlt" / source / OF_DLT[(number + place) % 3].format(source=source), content)
        for folder in cache.iterdir():
            for path in sorted(folder.iterdir())[:: 1 if folder.name == "lineage" else 5]:
                damage(path, content)
        for name in ("readers/INSIGHTMART.duckdb", "status/index.html", "status/index.json", "writer.json"):
            damage(local.home / name, content)
        damage(local.home / "ledger" / "heads.json", content)
        damage(local.home / "shopify" / "bulk.jsonl", content)
        code, said = local.run("cycle", "--as-of", day.now, EVIDENCE_URL=f"s3://{local.bucket.name}/ledger")
        assert (code, local.inexact(truth)) == (0, set()), (kind, said)
        assert "dlt's working folder was damaged" in said, (kind, said)
        assert ("files of the cache cannot be read and are made anew" in said) == (content is not None), (kind, said)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["INSIGHTMART.duckdb", "state.duckdb"])
def test_what_cannot_is_one_line_that_names_the_command_and_changes_nothing(
    day: PlayedDay,
    local: Gateway,
    name: str,
    kind: str,
) -> None:
    for entry in local.home.iterdir():
        if entry.name not in ("cache", "INSIGHTMART.duckdb", "state.duckdb"):
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    damage(local.home / name, KINDS[kind])
    before = {path.name: path.read_bytes() for path in local.home.glob("*.duckdb")}
    for _ in range(2):
        code, said = local.run("cycle", "--as-of", day.now)
        [line] = [line for line in said.splitlines() if line.startswith("insightmart: ")]
        assert code == 1
        assert str(local.home / name) in line
        assert (" is lost" if kind == "gone" else " is damaged: ") in line
        assert line.endswith("the next cycle catches up from the sources")
        assert "`insightmart restore`" in line
        assert {path.name: path.read_bytes() for path in local.home.glob("*.duckdb")} == before


def test_readers_read_the_warehouse_while_their_copy_is_damaged(local: Gateway) -> None:
    for content in (GARBAGE, b""):
        damage(local.home / "readers" / "INSIGHTMART.duckdb", content)
        assert local.run("sql", "SELECT COUNT(*) FROM certified.fct_orders")[0] == 0


@pytest.mark.parametrize("engine", ENGINES)
def test_one_half_is_missed_by_the_other_on_both_engines(
    engine: str, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.gateway = "local" if engine == "duckdb" else engine
    cure = "`insightmart restore`" if engine == "duckdb" else "Snowflake by Time Travel"
    with opened(engine, tmp_path / "warehouse", monkeypatch) as warehouse:
        refuse_lost_state(warehouse, settings)  # nothing is published yet
        with pytest.raises(InsightMartError, match=f"the warehouse is lost.*{cure}"):
            refuse_lost_warehouse(warehouse, settings)
        for schema in ("certified", '"sqlmesh__CERTIFIED"'):
            warehouse.execute(f"CREATE SCHEMA {schema}")
            warehouse.execute(f"CREATE TABLE {schema}.fct_orders (order_id VARCHAR)")
        refuse_lost_warehouse(warehouse, settings)
        with pytest.raises(InsightMartError, match=f"SQLMesh's state, .*, is lost.*{cure}"):
            refuse_lost_state(warehouse, settings)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_state_of_a_later_moment_is_told_from_a_run_that_was_killed(
    engine: str, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.gateway = "local" if engine == "duckdb" else engine
    ten, eleven = datetime(2026, 3, 6, 10), datetime(2026, 3, 6, 11)
    gated = {"sales__oltp": eleven, "inventory__stores": ten}
    with opened(engine, tmp_path / "warehouse", monkeypatch) as warehouse:
        create_tables(warehouse)

        def refused(published: datetime | None = ten + timedelta(minutes=5)) -> str:
            try:
                refuse_earlier_warehouse(warehouse, settings, gated, published)
            except InsightMartError as error:
                return str(error)
            return ""

        assert "has gate.sales__oltp done to 2026-03-06 11:00 UTC where the warehouse has nothing" in refused()
        for end in (ten, eleven):  # a refusal of the gate was written down as well
            assert "gate.sales__oltp done to 2026-03-06 11:00" in refused()
            row = {
                "area": "sales__oltp",
                "window_start": end - timedelta(hours=1),
                "window_end": end,
                "outcome": "pass",
            }
            warehouse.insert("ops.check_results", [row])
        assert refused() == ""
        assert "gate.inventory__stores done to 2026-03-06 10:00" in refused(None)
        warehouse.insert("ops.check_results", [{**row, "area": "inventory__stores"}])
        assert refused(None) == ""


@pytest.mark.parametrize("engine", ENGINES)
def test_scans_that_retention_deleted_are_not_missed(
    engine: str, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.gateway = "local" if engine == "duckdb" else engine
    eleven = datetime(2026, 3, 6, 11)
    with opened(engine, tmp_path / "warehouse", monkeypatch) as warehouse:
        create_tables(warehouse)
        purge = {"purge_id": "1", "class": "raw", "purged_before": eleven}
        warehouse.insert("ops.purges", [purge])
        with pytest.raises(InsightMartError, match=r"gate\.sales__oltp done to 2026-03-06 11:00"):
            refuse_earlier_warehouse(warehouse, settings, {"sales__oltp": eleven}, None)
        warehouse.insert("ops.purges", [{**purge, "purge_id": "2", "class": "evidence"}])
        refuse_earlier_warehouse(warehouse, settings, {"sales__oltp": eleven}, None)
        with pytest.raises(InsightMartError, match=r"gate\.sales__oltp done to 2026-03-06 12:00"):
            refuse_earlier_warehouse(warehouse, settings, {"sales__oltp": eleven + timedelta(hours=1)}, None)
