"""The same rows have the same text, and so the same digests, whichever engine keeps them."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ingestion.ops_tables import create_tables
from ingestion.warehouse import Warehouse, open_duckdb
from insightmart.gateway import open_warehouse
from insightmart.ledger.evidence_tables import EVIDENCE, columns_of
from insightmart.ledger.kept_heads import Outside
from insightmart.ledger.recording import enter
from insightmart.ledger.verification import entries_in_order, verify
from insightmart.settings import Settings, load_settings

BEGUN, AT = datetime(2026, 3, 1), datetime(2026, 3, 6, 1, 5, 0, 120)
VALUES: dict[str, Any] = {
    "VARCHAR": 'it\'s ümlaut "quoted"\n',
    "BIGINT": 2**53 + 1,
    "DECIMAL": Decimal("-1234567890.1200"),
    "TIMESTAMP_NTZ": AT,
    "DATE": date(2026, 3, 5),
    "BOOLEAN": True,
}
DONE = {"status": "done", "counts": "{}"}
PLAIN = {
    "purges": DONE,
    "erasures": DONE,
    "loads": {"status": "loaded"},
    "correction_windows": {"status": "closed"},
    "runs": {"status": "failed"},
}


def fill(warehouse: Warehouse) -> None:
    """Two rows in every table that is covered: one with a value in every column, one with as few as can be."""
    create_tables(warehouse)
    warehouse.execute("DELETE FROM ops.schema_version")  # when it was applied differs
    for name in dict.fromkeys(evidence.name for evidence in EVIDENCE):
        columns = columns_of(name)
        full = {column: VALUES[kind] for column, kind in columns.items()} | PLAIN.get(name, {})
        full |= {"seconds": Decimal("1.500")} if "seconds" in columns else {}
        full |= {"kind": "source"} if name == "run_problems" else {}
        kept = {"kind", "status", *(e.recorded for e in EVIDENCE if e.name == name)}
        sparse = {column: value if column in kept else None for column, value in full.items()}
        sparse |= {column: "2" for e in EVIDENCE if e.name == name for column in e.key if columns[column] == "VARCHAR"}
        warehouse.insert(f"ops.{name}", [full])
        warehouse.insert(f"ops.{name}", [sparse])


def test_both_engines_enter_the_same(
    settings: Settings, fake_account: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = {
        "INSIGHTMART_GATEWAY": "snowflake",
        "SNOWFLAKE_ACCOUNT": "acme-one",
        "SNOWFLAKE_USER": "transformer",
        "SNOWFLAKE_AUTHENTICATOR": "snowflake",
        "SNOWFLAKE_PASSWORD": "open-sesame",
    }
    with open_duckdb(settings.database_path) as local:
        expected = _entered(local, settings)
    for name, value in account.items():
        monkeypatch.setenv(name, value)
    remote = load_settings()
    with fake_account(tmp_path / "stages") as session, open_warehouse(remote) as warehouse:
        found = _entered(warehouse, remote)
        before = len(session.statements)
        enter(warehouse, remote, "run-2", BEGUN)
        again = session.statements[before:]
    assert found == expected
    assert len(found) > len(EVIDENCE)
    assert len(again) == 2  # the end of the ledger, and what became final since: nothing is left to be written


def _entered(warehouse: Warehouse, settings: Settings) -> list[tuple[str, str, str, str]]:
    """What entries say that does not differ by engine; and that it is sound there."""
    fill(warehouse)
    enter(warehouse, settings, "run-1", BEGUN)
    assert verify(warehouse, lambda _: Outside(), str).damage == []
    return [(entry.kind, entry.subject, entry.details, entry.digests) for entry in entries_in_order(warehouse)]
