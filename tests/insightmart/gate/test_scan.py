"""The Soda checks: what each says about itself, what volume compares, and that a plain `soda scan` runs them all."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from ingestion.warehouse import open_duckdb

CHECKS = sorted((Path(__file__).parents[3] / "soda" / "checks").glob("*.yml"))
SODA = Path(__file__).parents[3] / "soda"
OWNERS = {"data-engineering", "finance", "operations", "store-operations", "e-commerce"}
HOUR = datetime(2026, 3, 29, 15)


def checks_of(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """The checks of a file as (rule, options)."""
    text = yaml.safe_load(path.read_text(encoding="utf-8"))
    return [next(iter(check.items())) for checks in text.values() for check in checks]


@pytest.mark.parametrize("path", CHECKS, ids=lambda path: path.stem)
def test_every_check_says_what_holds_how_much_it_matters_and_whom_to_ask(path: Path) -> None:
    found = checks_of(path)
    assert found
    for rule, options in found:
        assert options["name"], rule
        assert options["attributes"]["severity"] in ("critical", "warning"), rule
        assert options["attributes"]["owner"] in OWNERS, rule
    names = [options["name"] for _, options in found]
    assert sorted(set(names)) == sorted(name for name in names if name in set(names)), "names are read in mails"


def test_thresholds_stand_in_one_place() -> None:
    declared = yaml.safe_load((SODA / "variables.yml").read_text(encoding="utf-8"))["variables"]
    texts = "".join(path.read_text(encoding="utf-8") for path in CHECKS)
    assert set(re.findall(r"\$\{(\w+)\}", texts)) == set(declared)
    for path in CHECKS:
        for rule, options in checks_of(path):
            limits = [rule, str(options.get("warn", "")), str(options.get("fail", ""))]
            numbers = {number for limit in limits for number in re.findall(r"(?<![\w{])\d+(?![\w}])", limit)}
            assert numbers <= {"0", "1"}, f"{path.name}: {rule}"


def volume(tmp_path: Path, past: dict[int, int], now: int | None) -> tuple[str, float]:
    """Outcome and value of the volume check for an hour with ``now`` orders, and ``past`` weeks ago so many."""
    from soda.scan import Scan

    with open_duckdb(tmp_path / "INSIGHTMART.duckdb") as warehouse:
        warehouse.execute("CREATE SCHEMA certified")
        warehouse.execute("CREATE SCHEMA ops")
        warehouse.execute(
            "CREATE TABLE certified.row_counts (event_hour TIMESTAMP, source_system VARCHAR, entity VARCHAR,"
            " row_count BIGINT, rejected_row_count BIGINT)"
        )
        warehouse.execute(
            "CREATE TABLE ops.source_watermarks (source VARCHAR, entity VARCHAR, covered_through TIMESTAMP)"
        )
        counts = {HOUR - timedelta(weeks=weeks): rows for weeks, rows in past.items()}
        counts |= {HOUR + timedelta(hours=1): 70} | ({HOUR: now} if now is not None else {})
        shared = {"source_system": "oltp", "entity": "orders", "rejected_row_count": 0}
        warehouse.insert(
            "certified.row_counts", [{"event_hour": at, "row_count": rows} | shared for at, rows in counts.items()]
        )
        checks = yaml.safe_load((SODA / "checks" / "sales.yml").read_text(encoding="utf-8"))
        variables = yaml.safe_load((SODA / "variables.yml").read_text(encoding="utf-8"))["variables"]
        scan = Scan()
        scan.disable_telemetry()
        scan.set_data_source_name("insightmart")
        scan.add_duckdb_connection(warehouse.connection, "insightmart")
        scan.add_variables({name: str(value) for name, value in variables.items()})
        scan.add_sodacl_yaml_str(
            yaml.safe_dump({name: rules for name, rules in checks.items() if "ROW_COUNTS" in name})
        )
        scan.execute()
        assert not scan.has_error_logs(), scan.get_error_logs_text()
        (result,) = (check for check in scan.get_scan_results()["checks"] if "same hour" in check["name"])
        return result["outcome"], float(result["diagnostics"]["value"])


@pytest.mark.parametrize(
    ("past", "now", "expected"),
    [
        ({1: 100, 2: 120, 3: 80, 4: 100}, 90, ("pass", 90.0)),
        ({1: 100, 2: 120, 3: 80, 4: 100}, 39, ("warn", 39.0)),
        ({1: 100, 2: 120, 3: 80, 4: 100}, 1, ("fail", 1.0)),
        ({1: 100, 2: 100}, None, ("fail", 0.0)),  # an hour without any order has no row at all
        ({1: 100}, 1, ("pass", 100.0)),  # one week is no history
        ({}, 1, ("pass", 100.0)),
        ({1: 10, 2: 12, 3: 8}, 0, ("pass", 100.0)),  # a quiet hour is not compared
        ({1: 100, 2: 100, 7: 100_000}, 90, ("pass", 90.0)),  # nor is what lies longer back
    ],
    ids=["usual", "little", "next to nothing", "nothing", "no history", "first hour", "quiet hour", "long ago"],
)
def test_volume_is_compared_to_the_same_hour_of_past_weeks(
    tmp_path: Path, past: dict[int, int], now: int | None, expected: tuple[str, float]
) -> None:
    assert volume(tmp_path, past, now) == expected


@pytest.mark.slow
def test_plain_soda_scan_runs_the_same_files_on_what_is_published(built_home: Path, tmp_path: Path) -> None:
    shutil.copy(built_home / "INSIGHTMART.duckdb", tmp_path)
    command = [str(Path(sys.executable).with_name("soda")), "scan", "-d", "insightmart", "-c", "configuration.yml"]
    outcome = subprocess.run(
        [*command, "variables.yml", *(str(path) for path in CHECKS)],
        cwd=SODA,
        env={**os.environ, "INSIGHTMART_HOME": str(tmp_path), "OTEL_SDK_DISABLED": "true"},
        capture_output=True,
        text=True,
        check=False,
    )
    said = outcome.stdout + outcome.stderr
    expected = sum(len(checks_of(path)) for path in CHECKS)
    assert f"1 failures. 0 warnings. 0 errors. {expected - 1} pass." in said, said[-3000:]
    assert "what is sold is described [FAILED]" in said  # no product is loaded there
