"""On Snowflake a scan is one statement, finds the same as one a check, and names a check that cannot be answered."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakesnow.cursor import FakeSnowflakeCursor
from soda.scan import Scan

from ingestion.warehouse import Warehouse
from insightmart.gate.snowflake_source import OneStatementScan, add_snowflake_connection
from insightmart.gateway import open_warehouse
from insightmart.settings import load_settings
from tests.support.snowflake_account import ACCOUNT

CHECKS = """
checks for OPS.COUNTS:
  - missing_count(SKU) = 0
  - missing_count(STORE_ID) = 0
  - duplicate_count(STORE_ID, SKU) = 0
  - most <= 5:
      most query: SELECT MAX(ON_HAND) AS most FROM OPS.COUNTS -- of all
checks for OPS.STORES:
  - max(STORE_ID) = 2
  - orphans = 0:
      orphans query: |
        WITH known AS (SELECT STORE_ID FROM OPS.STORES)
        SELECT COUNT(*) AS orphans FROM OPS.COUNTS AS c LEFT JOIN known AS k ON k.STORE_ID = c.STORE_ID
        WHERE k.STORE_ID IS NULL
"""
FOUND = {
    "missing_count(SKU) = 0": ("fail", 1),
    "missing_count(STORE_ID) = 0": ("pass", 0),
    "duplicate_count(STORE_ID, SKU) = 0": ("fail", 1),
    "most <= 5": ("fail", 7),
    "max(STORE_ID) = 2": ("pass", 2),
    "orphans = 0": ("fail", 1),
}


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every statement that is sent."""
    statements: list[str] = []
    execute = FakeSnowflakeCursor.execute

    def noting(self: Any, command: str, *args: Any, **kwargs: Any) -> Any:
        statements.append(command)
        return execute(self, command, *args, **kwargs)

    monkeypatch.setattr(FakeSnowflakeCursor, "execute", noting)
    return statements


@pytest.fixture
def warehouse(fake_account: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Warehouse]:
    for name, value in {**ACCOUNT, "INSIGHTMART_HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    with fake_account(tmp_path / "stages"), open_warehouse(load_settings()) as opened:
        opened.execute("CREATE SCHEMA OPS")
        opened.execute("CREATE TABLE OPS.COUNTS (STORE_ID INT, SKU VARCHAR, ON_HAND INT)")
        opened.execute("INSERT INTO OPS.COUNTS VALUES (1, 'A', 2), (1, 'A', 3), (2, NULL, 7), (9, 'B', 1)")
        opened.execute("CREATE TABLE OPS.STORES (STORE_ID INT)")
        opened.execute("INSERT INTO OPS.STORES VALUES (1), (2)")
        yield opened


def scanned(warehouse: Warehouse, checks: str) -> Scan:
    scan = Scan()
    scan.disable_telemetry()
    scan.set_data_source_name("insightmart")
    add_snowflake_connection(scan, warehouse.connection, "insightmart")
    scan.add_sodacl_yaml_str(checks)
    scan.execute()
    return scan


def results(scan: Scan) -> dict[str, tuple[str | None, float | None]]:
    found = scan.get_scan_results()["checks"]
    return {check["name"]: (check["outcome"], (check.get("diagnostics") or {}).get("value")) for check in found}


def test_a_scan_is_one_statement_and_finds_what_one_a_check_finds(
    warehouse: Warehouse, sent: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert results(scanned(warehouse, CHECKS)) == FOUND
    together = [text for text in sent if "OPS." in text]
    assert len(together) == 1
    sent.clear()
    monkeypatch.setattr(OneStatementScan, "_answers", lambda *_: [])
    assert results(scanned(warehouse, CHECKS)) == FOUND
    assert len([text for text in sent if "OPS." in text]) == 5  # the two missing counts are one


def test_a_check_that_cannot_be_answered_is_named_and_the_others_are_answered(warehouse: Warehouse) -> None:
    broken = CHECKS.replace("SELECT MAX(ON_HAND)", "SELECT MAX(ON_SALE)")
    scan = scanned(warehouse, broken)
    assert "ON_SALE" in scan.get_error_logs_text().upper()
    assert results(scan) == {name: found for name, found in FOUND.items() if name != "most <= 5"}
