"""On Snowflake the audits of a model are one query, and each still has the count of its own."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from sqlglot import exp, parse_one, select
from sqlmesh.core.engine_adapter.duckdb import DuckDBEngineAdapter
from sqlmesh.core.engine_adapter.snowflake import SnowflakeEngineAdapter

from insightmart.transform.audit_queries import counted_together, noted

AUDITS = {
    "no_negatives": "SELECT * FROM (VALUES (1), (-2), (-3)) AS v(n) WHERE n < 0",
    "skipped": "",
    "no_zero": "SELECT * FROM (VALUES (1)) AS v(n) WHERE n = 0",
    "few": "SELECT * FROM (VALUES (1), (2), (3)) AS v(n)",
}


def of_kind(kind: type[Any], sent: list[str]) -> Any:
    """An adapter that answers out of an empty DuckDB and notes what it is asked."""
    import duckdb

    adapter = kind.__new__(kind)

    def fetchone(_: Any, query: Any, **__: Any) -> tuple[Any, ...] | None:
        sent.append(query if isinstance(query, str) else query.sql("duckdb"))
        return duckdb.connect().execute(sent[-1]).fetchone()

    asked = noted(fetchone) if kind is SnowflakeEngineAdapter else fetchone
    adapter.__dict__["fetchone"] = lambda query, **given: asked(adapter, query, **given)
    return adapter


def audit(self: Any, snapshot: Any, **_: Any) -> list[Any]:
    """As SQLMesh audits: one question after the other, and what an audit's macro asks in between."""
    adapter, results = self.get_adapter(snapshot.model_gateway), []
    for name, query in AUDITS.items():
        if not query:
            results.append(SimpleNamespace(name=name, skipped=True, count=None))
            continue
        assert adapter.fetchone("SELECT 42") == (42,)
        counted = select("COUNT(*)").from_(parse_one(query, into=exp.Select).subquery("audit"))
        (count,) = adapter.fetchone(counted, quote_identifiers=True)
        results.append(SimpleNamespace(name=name, skipped=False, count=count))
    return results


@pytest.mark.parametrize(("kind", "questions"), [(SnowflakeEngineAdapter, 1), (DuckDBEngineAdapter, 3)])
def test_audits_are_counted_together_where_a_statement_is_a_round_trip(kind: type[Any], questions: int) -> None:
    sent: list[str] = []
    adapter = of_kind(kind, sent)
    evaluator = SimpleNamespace(get_adapter=lambda _: adapter)
    results = counted_together(audit)(evaluator, SimpleNamespace(model_gateway=None))
    assert {r.name: r.count for r in results} == {"no_negatives": 2, "skipped": None, "no_zero": 0, "few": 3}
    assert len([text for text in sent if "audit" in text]) == questions
    assert sent.count("SELECT 42") == 3


def test_an_audit_that_fails_leaves_nothing_behind() -> None:
    adapter = of_kind(SnowflakeEngineAdapter, [])
    evaluator = SimpleNamespace(get_adapter=lambda _: adapter)

    def broken(*_: Any, **__: Any) -> None:
        raise ValueError("no such macro")

    with pytest.raises(ValueError, match="no such macro"):
        counted_together(broken)(evaluator, SimpleNamespace(model_gateway=None))
    counted = select("COUNT(*)").from_(parse_one("SELECT 1", into=exp.Select).subquery("audit"))
    assert adapter.fetchone(counted) == (1,)
