"""Our own models as texts with places for a window's instants: what every rival is made of."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlglot import exp
from sqlmesh.core.macros import RuntimeStage
from sqlmesh.core.model.kind import ModelKindName
from sqlmesh.utils.date import make_inclusive

from insightmart.transform.model_graph import layer, short_name
from insightmart.transform.statement_templates import Template, template_of

if TYPE_CHECKING:
    from sqlmesh import Context
    from sqlmesh.core.model import Model, SqlModel

LAYERS = ("staging", "core", "certified")
DIALECT = "duckdb"
READ = re.compile(r'"read ([a-z0-9_.]+)"')  # how a text names a table that a rival may keep under another name
KINDS = {
    ModelKindName.VIEW: "view",
    ModelKindName.FULL: "whole",
    ModelKindName.INCREMENTAL_BY_TIME_RANGE: "window",
    ModelKindName.INCREMENTAL_BY_UNIQUE_KEY: "key",
}
Window = Sequence[datetime]  # start, end (excluded) and "now"


@dataclass(frozen=True)
class OwnModel:
    """A model of staging, core or certified.

    Attributes:
        name: as people write it, ``core.fct_orders__oltp``.
        kind: how it is kept: ``view``, ``whole`` (built anew), ``window`` (replaced by time) or ``key`` (by key).
        query: what it selects, cut to the window; tables are named ``"read SCHEMA.NAME"``.
        window: the condition that a window's rows meet; None unless ``kind`` is ``window``.
        columns: name -> type, as DuckDB spells them.
        reads: tables that it names, those of raw included.
        below: models that stand below it, as far as a correction rebuilds them.
        key: columns of its key; empty unless ``kind`` is ``key``.
        not_null: columns that its audits want filled.
        unique: combinations of columns that its audits want once.
    """

    name: str
    kind: str
    query: Template
    window: Template | None
    columns: dict[str, str]
    reads: tuple[str, ...]
    below: tuple[str, ...] = ()
    key: tuple[str, ...] = ()
    not_null: tuple[str, ...] = ()
    unique: tuple[tuple[str, ...], ...] = ()

    @property
    def places(self) -> list[tuple[str, str]]:
        """The instants that its texts have places for: which, in which format."""
        texts = [self.query, *([self.window] if self.window else [])]
        return sorted({part for text in texts for part in text.parts if not isinstance(part, str)})


def own_models(context: Context) -> list[OwnModel]:
    """The SQL models of ``LAYERS``, in order of evaluation.

    Raises:
        ValueError: a model's statement differs between windows in more than their instants.
    """
    known: dict[str, Any] = {
        name: model
        for name in context.dag.sorted
        if (model := context.models.get(name)) and model.is_sql and layer(model) in LAYERS
    }
    return [_own_model(model, _rebuilt_below(context, known, name)) for name, model in known.items()]


def _rebuilt_below(context: Context, known: dict[str, Model], name: str) -> tuple[str, ...]:
    below = context.dag.downstream(name)
    return tuple(short_name(found) for found in below if found in known and not known[found].disable_restatement)


def _own_model(model: SqlModel, below: tuple[str, ...]) -> OwnModel:
    name, columns = short_name(model.fqn), model.columns_to_types_or_raise
    reads: set[str] = set()

    def rendered(window: Window) -> exp.Query:
        start, end, now = window
        query = model.render_query_or_raise(
            start=start, end=end, execution_time=now, runtime_stage=RuntimeStage.EVALUATING
        ).copy()
        for table in query.find_all(exp.Table):
            if table.db:
                reads.add(read := f"{table.db}.{table.name}".lower())
                table.set("this", exp.to_identifier(f"read {read}", quoted=True))
                table.set("db", None)
                table.set("catalog", None)
        if model.time_column is None:
            return query
        return exp.select("*").from_(query.subquery("rendered")).where(_of_window(model, window))

    query = template_of(rendered, DIALECT)
    window = template_of(lambda instants: exp.select("1").where(_of_window(model, instants)), DIALECT)
    if query is None or window is None:
        raise ValueError(f"{name} is not the same text for every window")
    return OwnModel(
        name=name,
        kind=KINDS[model.kind.name],
        query=query,
        window=_condition(window) if model.time_column else None,
        columns={column: type_.sql(DIALECT) for column, type_ in columns.items()},
        reads=tuple(sorted(reads)),
        below=below,
        key=tuple(column.name for column in model.unique_key),
        not_null=tuple(dict.fromkeys(column for columns in _audited(model, "not_null") for column in columns)),
        unique=(
            *((column,) for columns in _audited(model, "unique_values") for column in columns),
            *_audited(model, "unique_combination_of_columns"),
        ),
    )


def _of_window(model: SqlModel, window: Window) -> exp.Expr:
    """What SQLMesh deletes of a table before it inserts a window, and what it takes of the query."""
    if model.time_column is None:
        return exp.true()
    start, end, _ = window
    low, high = (
        model.convert_to_time_column(instant, model.columns_to_types) for instant in make_inclusive(start, end, DIALECT)
    )
    return exp.Between(this=model.time_column.column.copy(), low=low, high=high)


def _condition(of_select: Template) -> Template:
    first, *others = of_select.parts
    return Template((str(first).removeprefix("SELECT 1 WHERE "), *others), ())


def _audited(model: SqlModel, audit: str) -> list[tuple[str, ...]]:
    """The columns of each audit of this name."""
    return [
        tuple(column.name.upper() for column in arguments["columns"].find_all(exp.Column))
        for name, arguments in model.audits
        if name == audit
    ]
