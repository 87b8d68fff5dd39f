"""The warehouse as its driver sees it: what the Snowflake connector really sends for the rows of an insert."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
import snowflake.connector
from snowflake.connector.network import SnowflakeRestful

from ingestion import warehouse as warehouses
from ingestion.warehouse import STORAGE_VERSION, Warehouse, open_duckdb

SESSION = {
    "token": "token",
    "masterToken": "master",
    "parameters": [{"name": "CLIENT_STAGE_ARRAY_BINDING_THRESHOLD", "value": 65280}],
    "sessionInfo": {"databaseName": "INSIGHTMART", "schemaName": None, "warehouseName": None, "roleName": "R"},
}
DONE = {"rowtype": [], "rowset": [], "total": 0, "returned": 0, "queryId": "1", "queryResultFormat": "json"}


class Account:
    """What would have gone over the wire: the statements of an account that says yes to everything."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    def answer(self, url: str, body: str) -> dict[str, Any]:
        if "login-request" in url:
            return {"success": True, "data": SESSION}
        if "query-request" in url:
            self.sent.append(json.loads(body))
        return {"success": True, "data": DONE | {"parameters": [], "statementTypeId": 0x3000}}

    def bound(self) -> list[list[tuple[str, Any]]]:
        """Type and values of every column of every insert."""
        inserts = [one for one in self.sent if one["sqlText"].startswith("INSERT")]
        return [[(column["type"], column["value"]) for column in one["bindings"].values()] for one in inserts]


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Account:
    found = Account()
    monkeypatch.setattr(
        SnowflakeRestful, "_post_request", lambda _, url, headers, body, *args, **named: found.answer(url, body)
    )
    monkeypatch.setattr(SnowflakeRestful, "delete_session", lambda *_, **__: None)
    return found


@pytest.fixture
def on_snowflake(account: Account) -> Iterator[Warehouse]:
    """The real connector, without anybody at the other end."""
    connection = snowflake.connector.connect(
        account="acme", user="loader", password="none", paramstyle="qmark", database="INSIGHTMART"
    )
    with Warehouse(connection, "snowflake") as opened:
        yield opened


def test_each_column_is_sent_with_its_type_whatever_is_null_in_it(account: Account, on_snowflake: Warehouse) -> None:
    """2026-03-05 10:00 is 1,772,704,800 s since 1970, and 2026-03-05 00:00 1,772,668,800; 1969-12-31 one day before."""
    rows = [
        {"at": datetime(2026, 3, 5, 10), "day": date(2026, 3, 5), "n": 7, "amount": Decimal("1.5000"), "ok": True},
        {"at": None, "day": None, "n": None, "amount": None, "ok": None},
        {"at": datetime(1969, 12, 31), "day": date(1969, 12, 31), "n": -1, "amount": Decimal(0), "ok": False},
    ]
    on_snowflake.insert("ops.some", [row | {"said": None, "text": text} for row, text in zip(rows, "aéb", strict=True)])
    assert account.bound() == [
        [
            ("TIMESTAMP_NTZ", ["1772704800000000000", None, "-86400000000000"]),
            ("DATE", ["1772668800000", None, "-86400000"]),
            ("FIXED", ["7", None, "-1"]),
            ("FIXED", ["1.5000", None, "0"]),
            ("BOOLEAN", ["true", None, "false"]),
            ("TEXT", [None, None, None]),
            ("TEXT", ["a", "é", "b"]),
        ]
    ]


def test_seconds_are_bound_as_numbers_and_what_has_no_type_of_its_own_is_named(
    account: Account, on_snowflake: Warehouse
) -> None:
    on_snowflake.insert("ops.some", [{"seconds": 0.25}, {"seconds": None}])
    assert account.bound() == [[("REAL", ["0.25", None])]]
    with pytest.raises(TypeError, match="how a bytes is bound"):
        on_snowflake.insert("ops.some", [{"payload": b"x"}])


def test_no_more_is_bound_at_once_than_the_connector_sends_itself(
    account: Account, on_snowflake: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of more it would write a file to a stage: instants as text, and whatever stands in the rows."""
    assert SESSION["parameters"][0]["value"] > warehouses.BOUND_AT_ONCE
    monkeypatch.setattr(warehouses, "BOUND_AT_ONCE", 5)
    on_snowflake.insert("ops.some", [{"a": number, "b": None} for number in range(5)])
    assert account.bound() == [
        [("FIXED", ["0", "1"]), ("TEXT", [None, None])],
        [("FIXED", ["2", "3"]), ("TEXT", [None, None])],
        [("FIXED", ["4"]), ("TEXT", [None])],
    ]
    assert not [one for one in account.sent if "stage" in one["sqlText"].lower()]


def test_a_local_file_is_made_in_the_format_that_is_quick_to_write_and_comes_to_it_when_it_is_rewritten(
    tmp_path: Path,
) -> None:
    with open_duckdb(tmp_path / "it's" / "new.duckdb") as new:
        assert _format(new) == f"{STORAGE_VERSION}+"
    with duckdb.connect(str(tmp_path / "old.duckdb")) as earlier:
        earlier.execute("CREATE TABLE kept AS SELECT 1 AS one")
    with open_duckdb(tmp_path / "old.duckdb") as old:
        assert _format(old) != f"{STORAGE_VERSION}+"
        old.rewrite()
        assert (_format(old), old.value("SELECT one FROM kept")) == (f"{STORAGE_VERSION}+", 1)


def _format(warehouse: Warehouse) -> str:
    return str(warehouse.value("SELECT tags['storage_version'] FROM duckdb_databases() WHERE NOT internal"))
