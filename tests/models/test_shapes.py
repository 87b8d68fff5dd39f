"""Shapes of statements that Snowflake is reported to refuse, and their neighbours that it takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import snowflake.connector.errors
import sqlglot

from insightmart.gateway import open_warehouse
from insightmart.settings import load_settings
from linter.shapes import COMPUTED, UNDER_OR, UNEQUAL, refused_shapes
from tests.support.snowflake_account import ACCOUNT

REFUSED = [
    ("SELECT 1 FROM a WHERE NOT EXISTS (SELECT 1 FROM b WHERE b.x = COALESCE(a.x, 0))", COMPUTED),
    ("SELECT 1 FROM a WHERE EXISTS (SELECT 1 FROM b UNION ALL SELECT 1 FROM c WHERE c.x = a.x + 1)", COMPUTED),
    ("DELETE FROM a WHERE EXISTS (SELECT 1 FROM b WHERE UPPER(a.x) = b.x)", COMPUTED),
    ("INSERT INTO c SELECT x FROM a WHERE x IN (SELECT b.x FROM b WHERE b.y = CAST(a.y AS DATE))", COMPUTED),
    ("SELECT 1 FROM a WHERE a.y = 1 OR NOT EXISTS (SELECT 1 FROM b WHERE b.x = a.x)", UNDER_OR),
    ("SELECT 1 FROM a WHERE a.y = 1 OR (a.z = 2 AND a.x IN (SELECT b.x FROM b WHERE b.y = a.y))", UNDER_OR),
    ("SELECT (SELECT MAX(b.z) FROM b WHERE b.x = a.x AND b.y < a.y) FROM a", UNEQUAL),
    (
        "MERGE INTO c USING (SELECT (SELECT MAX(b.z) FROM b WHERE b.y < a.y) AS z FROM a) AS n ON c.z = n.z"
        " WHEN NOT MATCHED THEN INSERT (z) VALUES (n.z)",
        UNEQUAL,
    ),
]
TAKEN = [
    "SELECT 1 FROM a WHERE NOT EXISTS (SELECT 1 FROM b WHERE b.x = a.x AND b.y >= a.y)",
    "SELECT 1 FROM a WHERE EXISTS (SELECT 1 FROM b WHERE b.x = a.x AND COALESCE(b.y, 0) = 1)",
    "SELECT 1 FROM a WHERE a.y = 1 OR a.x IN (SELECT b.x FROM b)",
    "SELECT (SELECT MAX(b.z) FROM b WHERE b.x = a.x) FROM a",
    "SELECT 1 FROM a LEFT JOIN b ON b.x = COALESCE(a.x, 0) OR b.y < a.y WHERE b.x IS NULL",
    "SELECT 1 FROM (SELECT x FROM a) AS a JOIN (SELECT x FROM b) AS b ON b.x = UPPER(a.x)",
]


@pytest.mark.parametrize(("sql", "why"), REFUSED)
def test_a_refused_shape_is_found(sql: str, why: str) -> None:
    assert refused_shapes(sqlglot.parse_one(sql, read="snowflake")) == [why]


@pytest.mark.parametrize("sql", TAKEN)
def test_what_snowflake_takes_is_left_alone(sql: str) -> None:
    assert refused_shapes(sqlglot.parse_one(sql, read="snowflake")) == []


def test_what_stands_in_for_an_account_refuses_them_too(
    fake_account: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**ACCOUNT, "INSIGHTMART_HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    with fake_account(tmp_path / "stages"), open_warehouse(load_settings()) as warehouse:
        for table in ("a", "b"):
            warehouse.execute(f"CREATE TABLE main.{table} AS SELECT 1 AS x")
        with pytest.raises(snowflake.connector.errors.ProgrammingError, match="Unsupported subquery type"):
            warehouse.rows(
                "SELECT 1 FROM main.a AS a WHERE NOT EXISTS (SELECT 1 FROM main.b AS b WHERE b.x = COALESCE(a.x, 0))"
            )
