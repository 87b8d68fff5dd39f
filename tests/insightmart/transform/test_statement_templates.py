"""A statement from a template is, to the letter, the one that SQLMesh would render."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from sqlglot import exp, parse_one
from sqlmesh.core.dialect import parse
from sqlmesh.core.engine_adapter.duckdb import DuckDBEngineAdapter
from sqlmesh.core.macros import RuntimeStage
from sqlmesh.core.model import SqlModel, load_sql_based_model
from sqlmesh.core.model.definition import _Model
from sqlmesh.core.snapshot import DeployabilityIndex, Snapshot, SnapshotChangeCategory

from insightmart.settings import load_settings
from insightmart.transform import statement_templates
from insightmart.transform.statement_templates import (
    Templates,
    audited_by_template,
    created_by_template,
    evaluated_by_template,
    template_of,
)
from insightmart.transform.transformer import open_transformer
from tests.support.workshop import Workshop

WINDOW = (datetime(2026, 3, 8, 6), datetime(2026, 3, 8, 8), datetime(2026, 3, 9, 0, 5))
INCLUSIVE = "2026-03-08 07:59:59.999999"


def rendering(write: Callable[[datetime, datetime, datetime], str]) -> Callable[[Sequence[datetime]], exp.Query]:
    """What renders a query whose text depends on start, last microsecond and "now"."""

    def render(window: Sequence[datetime]) -> exp.Query:
        start, end, now = window
        query = parse_one(write(start, end - timedelta(microseconds=1), now), dialect="snowflake")
        assert isinstance(query, exp.Query)
        return query

    return render


def test_every_way_to_write_an_instant_has_its_place() -> None:
    render = rendering(
        lambda start, last, now: (
            f"SELECT '{start}'::TIMESTAMP_NTZ AS a, '{last}' AS b, '{start:%Y-%m-%d}'::DATE AS c,"
            f" '{last.isoformat()}' AS d, '{now}+00:00' AS e, 'it''s' AS f FROM t WHERE g <= '{last}' -- '{now}'"
        )
    )
    template = template_of(render, "duckdb")
    assert template is not None
    assert template.text(WINDOW) == (
        "SELECT CAST('2026-03-08 06:00:00' AS TIMESTAMP) AS \"a\", '2026-03-08 07:59:59.999999' AS \"b\","
        " CAST('2026-03-08' AS DATE) AS \"c\", '2026-03-08T07:59:59.999999' AS \"d\","
        " '2026-03-09 00:05:00+00:00' AS \"e\", 'it''s' AS \"f\" FROM \"t\" WHERE \"g\" <= '2026-03-08 07:59:59.999999'"
    )
    assert [name for name, _ in template.columns] == list("abcdef")


@pytest.mark.parametrize(
    "dependent",
    [
        pytest.param(lambda start, last, now: f"SELECT {start.hour} AS a", id="an hour"),
        pytest.param(lambda start, last, now: f"SELECT {start.timestamp()} AS a", id="seconds"),
        pytest.param(lambda start, last, now: f"SELECT '{start - timedelta(days=1)}' AS a", id="the day before"),
        pytest.param(lambda start, last, now: f"SELECT '{start:%A}' AS a", id="a weekday"),
        pytest.param(
            lambda start, last, now: f"SELECT 1 AS a{' FROM t' if last - start > timedelta(1) else ''}", id="if"
        ),
        pytest.param(lambda start, last, now: f"SELECT 'to {last}' AS a", id="within a text"),
    ],
)
def test_what_else_depends_on_the_window_is_rendered_as_ever(dependent: Callable[..., str]) -> None:
    assert template_of(rendering(dependent), "duckdb") is None


def test_sqlmesh_selects_from_a_template_on_both_engines() -> None:
    template = template_of(
        rendering(lambda start, last, now: f"WITH x AS (SELECT '{start}' AS a) SELECT a FROM x"), "duckdb"
    )
    assert template is not None
    query = template.query(WINDOW)
    assert query.named_selects == ["a"]
    inner = '(WITH "x" AS (SELECT \'2026-03-08 06:00:00\' AS "a") SELECT "a" FROM "x") AS "_rendered"'
    for dialect in ("duckdb", "snowflake"):
        assert exp.select("COUNT(*)").from_(query.subquery("audit")).sql(dialect) == (
            f'SELECT COUNT(*) FROM (SELECT "a" FROM {inner}) AS audit'
        )


def test_a_template_is_made_once_and_kept_in_the_cache_of_its_state(tmp_path: Path) -> None:
    asked: list[Sequence[datetime]] = []

    def render(window: Sequence[datetime]) -> exp.Query:
        asked.append(window)
        return rendering(lambda start, last, now: f"SELECT '{start}' AS a")(window)

    for home, renderings in (("a", 2), ("a", 2), ("b", 4)):
        templates = Templates()
        templates.keep_in(tmp_path / home)
        first = templates.get("name", lambda: template_of(render, "duckdb"))
        assert first is not None
        assert templates.get("name", lambda: template_of(render, "duckdb")) is first
        assert len(asked) == renderings


def test_a_table_is_created_of_what_sqlmesh_renders_once_for_all_windows(tmp_path: Path) -> None:
    text = (
        "MODEL (name core.a, kind INCREMENTAL_BY_TIME_RANGE (time_column y));"
        " SELECT 1::INT AS x, @end_ts::TIMESTAMP_NTZ AS y FROM a.b"
    )
    model = load_sql_based_model(parse(text, default_dialect="snowflake"), dialect="snowflake")
    assert isinstance(model, SqlModel)
    snapshot = Snapshot.from_node(model, nodes={})
    snapshot.categorize_as(SnapshotChangeCategory.BREAKING)
    rendered = []

    def counted(model: SqlModel, **given: Any) -> exp.Query:
        rendered.append(given)
        query: exp.Query = _Model.ctas_query(model, **given)
        return query

    statement_templates.TEMPLATES.keep_in(tmp_path)
    given = {
        "runtime_stage": RuntimeStage.CREATING,
        "snapshots": {model.fqn: snapshot},
        "deployability_index": DeployabilityIndex.all_deployable(),
        "engine_adapter": DuckDBEngineAdapter(duckdb.connect),
    }
    expected = statement_templates._text(_Model.ctas_query(model, **given), "duckdb")
    assert expected.endswith("WHERE FALSE LIMIT 0")
    created = created_by_template(counted)
    for window in ({}, {"start": WINDOW[0], "end": WINDOW[1], "execution_time": WINDOW[2]}):
        query = created(model, **given, **window)
        assert query.named_selects == ["X", "Y"]
        table = query.find(exp.Table)
        assert table is not None
        assert table.name == f"({expected})"
    assert len(rendered) == 1
    created(model, **given, table_mapping={model.fqn: "elsewhere"})
    created(model, **{**given, "runtime_stage": RuntimeStage.LOADING})
    assert len(rendered) == 3
    assert {name: kind.sql() for name, kind in (model.columns_to_types or {}).items()} == {
        "X": "INT",
        "Y": "TIMESTAMPNTZ",
    }


def _counted(render: Callable[..., exp.Query], rendered: list[str]) -> Callable[..., exp.Query]:
    def run(model: SqlModel, *args: Any, **given: Any) -> exp.Query:
        rendered.append(model.name)
        return render(model, *args, **given)

    return run


@pytest.mark.slow
def test_each_model_and_audit_of_the_project_gives_what_sqlmesh_renders(
    built_home: Path, workshop: Callable[[Path], Workshop], monkeypatch: pytest.MonkeyPatch
) -> None:
    judged: dict[str, bool] = {}
    by_template = statement_templates._by_template

    def compared(
        model: Any, purpose: str, render: Callable[..., exp.Query], given: Mapping[str, Any]
    ) -> exp.Query | None:
        expected = render(**given)
        columns = dict(model.columns_to_types)
        model._columns_to_types = None
        query = by_template(model, purpose, render, given)
        name = f"{model.name} {purpose}"
        if query is not None:
            table = query.find(exp.Table)
            assert table is not None
            judged[name] = table.name == f"({statement_templates._text(expected, given['engine_adapter'].dialect)})"
            assert model.columns_to_types == columns, name
        else:
            judged[name] = False
        return query

    monkeypatch.setattr(statement_templates, "_by_template", compared)
    shop = workshop(built_home)
    with shop.warehouse() as warehouse, open_transformer(load_settings(), warehouse) as transformer:
        staging = [name for name in transformer.models() if name.startswith("staging.")]
        window = datetime(2026, 3, 5, 22), datetime(2026, 3, 6, 1)
        outcome = transformer.restate(staging, *window, datetime(2026, 3, 6, 10, 5))
        assert outcome.failures == {}
        # another window: nothing is rendered
        rendered: list[str] = []
        monkeypatch.setattr(statement_templates, "_by_template", by_template)
        monkeypatch.setattr(statement_templates, "template_of", lambda *_: rendered.append("a template"))
        for operation, change in (
            ("render_query_or_raise", evaluated_by_template),
            ("render_audit_query", audited_by_template),
        ):
            whole = getattr(SqlModel, operation).__wrapped__
            monkeypatch.setattr(SqlModel, operation, change(_counted(whole, rendered)))
        window = datetime(2026, 3, 5, 3), datetime(2026, 3, 5, 5)
        outcome = transformer.restate(staging, *window, datetime(2026, 3, 6, 10, 5))
    assert outcome.failures == {}
    assert outcome.evaluated > 40
    assert rendered == []
    assert len(judged) > 70
    assert [name for name, same in judged.items() if not same] == []
