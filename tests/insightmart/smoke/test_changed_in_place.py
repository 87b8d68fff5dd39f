"""What stands in for an account translates a statement as fakesnow by itself does, only that it is done sooner."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import duckdb
from fakesnow.cursor import FakeSnowflakeCursor
from fakesnow.variables import Variables
from sqlglot import exp, parse_one

from insightmart.smoke.corpus import read_corpus
from tests.support.changed_in_place import InPlace


class Plain:
    """A statement that sqlglot shows to each step as a whole."""

    def __init__(self, statement: Any) -> None:
        self.statement = statement

    def transform(self, *step: Any, **named: Any) -> Plain:
        self.statement = self.statement.transform(*step, copy=False, **named)
        return self


def test_each_step_changes_what_it_changes_by_itself() -> None:
    database = SimpleNamespace(variables=Variables(), database="INSIGHTMART", schema="PUBLIC", db_path=None)
    cursor: Any = SimpleNamespace(_conn=database, _duck_conn=duckdb.connect())
    of_tables = [one.text for one in read_corpus() if not one.text.startswith(("CREATE", "ALTER", "SHOW", "PUT"))]
    some = [*of_tables[::20], "SELECT DATEADD(DAY, -364, CAST(a AS DATE)) AS b, a::VARCHAR FROM t", "SHOW SCHEMAS"]
    assert len(some) > 25
    changed = 0
    for text in some:
        statement = parse_one(text, read="snowflake")
        plain = FakeSnowflakeCursor._transform(cursor, Plain(statement.copy()), None).statement  # type: ignore[arg-type]
        found = FakeSnowflakeCursor._transform(cursor, InPlace(statement.copy()), None).statement  # type: ignore[arg-type]
        assert repr(found) == repr(plain), text
        assert found.sql("duckdb") == plain.sql("duckdb")
        changed += plain != statement
    assert changed > 10
    assert isinstance(found, exp.Select)  # one that lists schemas
