"""The columns of the whole project and what each is made of: models, tables of raw and ops, fields of the sources."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from ingestion.contracts import raw_tables
from ingestion.ops_tables import PUBLISHED_MEASURES
from ingestion.warehouse import DATABASE, sql_type
from insightmart.lineage.derivation import COPIED, DIRECT, Use, derivation_of
from insightmart.lineage.source_fields import source_fields, spoken_object
from insightmart.settings import PROJECT
from insightmart.transform.model_graph import short_name

if TYPE_CHECKING:
    from sqlmesh.core.model import Model

SOURCE = "SOURCE"  # the kind of a table that is an object of a source
EXTERNAL = "EXTERNAL"  # of a table that loads or commands write


@dataclass(frozen=True)
class ColumnFacts:
    """A column: its type as the models state it, its meaning, and the SQL that is no plain copy, if any."""

    type: str = ""
    meaning: str = ""
    expressions: tuple[str, ...] = ()


@dataclass(frozen=True)
class TableFacts:
    """A table of the warehouse, or an object of a source.

    Attributes:
        kind: SQLMesh's kind of the model, or SOURCE or EXTERNAL.
        meaning: its description.
        owner: the team that owns it; empty where nobody is named.
        reads: the tables that it is made of or waits for, the gate included.
        columns: in order; names in lower case, but for fields of Shopify.
        path: the model's file within the project; empty for other tables.
        checks: audits of the model.
    """

    kind: str
    meaning: str = ""
    owner: str = ""
    reads: tuple[str, ...] = ()
    columns: Mapping[str, ColumnFacts] = field(default_factory=dict)
    path: str = ""
    checks: tuple[str, ...] = ()


@dataclass(frozen=True)
class ColumnLink:
    """A column that something is made of. ``target`` is a column, or a table: the column decides over its rows."""

    source: str
    target: str
    uses: tuple[Use, ...]


@dataclass(frozen=True)
class ColumnGraph:
    """Tables by name (``certified.fct_orders``, ``oltp.orders``), and what their columns are made of."""

    tables: Mapping[str, TableFacts]
    links: tuple[ColumnLink, ...]

    @cached_property
    def above(self) -> dict[str, list[ColumnLink]]:
        """What a column, or the rows of a table, is made of or decided by."""
        found: dict[str, list[ColumnLink]] = {}
        for link in self.links:
            found.setdefault(link.target, []).append(link)
        return found

    @cached_property
    def below(self) -> dict[str, list[ColumnLink]]:
        """What a column is used for."""
        found: dict[str, list[ColumnLink]] = {}
        for link in self.links:
            found.setdefault(link.source, []).append(link)
        return found

    @cached_property
    def readers(self) -> dict[str, list[str]]:
        """The tables that read a table."""
        found: dict[str, list[str]] = {}
        for name, table in self.tables.items():
            for read in table.reads:
                found.setdefault(read, []).append(name)
        return found


def table_of(column: str) -> str:
    """``certified.fct_orders`` for ``certified.fct_orders.order_id``; a table is its own."""
    return ".".join(column.split(".")[:2])


def column_graph(models: Iterable[Model]) -> ColumnGraph:
    """The graph of these models and of what is loaded for them. Takes a second; nothing of the warehouse is read."""
    tables: dict[str, TableFacts] = {}
    links: list[ColumnLink] = []
    for model in models:
        name = short_name(model.fqn)
        derivation = derivation_of(model, DATABASE) if not model.kind.is_external else None
        tables[name] = _table(model, derivation.expressions if derivation else {})
        if derivation:
            for column, places in derivation.columns.items():
                links += [_link(place, f"{name}.{column.lower()}", uses) for place, uses in places.items()]
            links += [_link(place, name, uses) for place, uses in derivation.rows.items()]
    links += [*_loaded(tables), *_journalled(tables)]
    return ColumnGraph(tables, tuple(sorted(links, key=lambda link: (link.target, link.source))))


def loaded_graph() -> ColumnGraph:
    """The graph of what loads write, without any model."""
    tables = {
        f"raw.{table}": TableFacts(EXTERNAL, columns={one.name: ColumnFacts(sql_type(one.type)) for one in columns})
        for table, columns in raw_tables().items()
    }
    links = tuple(_loaded(tables))
    return ColumnGraph(tables, links)


def _link(place: tuple[str, str], target: str, uses: set[Use]) -> ColumnLink:
    table, column = place
    return ColumnLink(f"{short_name(table)}.{column.lower()}", target, tuple(sorted(uses)))


def _table(model: Model, expressions: Mapping[str, tuple[str, ...]]) -> TableFacts:
    meanings = {name.lower(): text for name, text in (model.column_descriptions or {}).items()}
    return TableFacts(
        kind=model.kind.name.value,
        meaning=model.description or "",
        owner=model.owner or "",
        reads=tuple(sorted({short_name(name) for name in model.depends_on or ()} - {short_name(model.fqn)})),
        columns={
            name.lower(): ColumnFacts(
                kind.sql(model.dialect),
                meanings.get(name.lower(), ""),
                tuple(expressions.get(name, ())),
            )
            for name, kind in (model.columns_to_types or {}).items()
        },
        path=_path(model),
        checks=tuple(name for name, _ in model.audits),
    )


def _path(model: Model) -> str:
    path = getattr(model, "_path", None)
    if path is None or model.kind.is_external or not path.is_relative_to(PROJECT):
        return ""
    return str(path.relative_to(PROJECT).as_posix())


def _loaded(tables: dict[str, TableFacts]) -> Iterator[ColumnLink]:
    """What loads copy out of the sources; adds the objects of the sources to the tables."""
    objects: dict[str, dict[str, ColumnFacts]] = {}
    for column, fields in source_fields().items():
        table, _, name = column.rpartition(".")
        if table not in tables or name not in tables[table].columns:
            continue
        for source in fields:
            objects.setdefault(table_of(source), {}).setdefault(source.split(".", 2)[2], ColumnFacts())
            uses = COPIED if len(fields) == 1 else Use(DIRECT, "TRANSFORMATION")
            yield ColumnLink(source, column, (uses,))
        above = {table_of(source) for source in fields}
        known = tables[table]
        tables[table] = TableFacts(
            known.kind, known.meaning, known.owner, tuple(sorted({*known.reads, *above})), known.columns
        )
    for name, columns in objects.items():
        tables[name] = TableFacts(SOURCE, spoken_object(*name.split(".", 1)), columns=columns)


def _journalled(tables: dict[str, TableFacts]) -> Iterator[ColumnLink]:
    """What the journal keeps of the aggregates it follows: commands write it, behind everything that is published."""
    journal = "ops.published_changes"
    if journal not in tables:
        return
    followed = [f"certified.{table}" for table in PUBLISHED_MEASURES if f"certified.{table}" in tables]
    for table in followed:
        of = tables[table].columns
        for column in tables[journal].columns:
            measure = column.removesuffix("_before").removesuffix("_after")
            if measure in of and (measure in PUBLISHED_MEASURES[table.split(".")[1]] or measure == column):
                is_sum = table.endswith("agg_inventory_daily") and measure != column
                yield ColumnLink(
                    f"{table}.{measure}", f"{journal}.{column}", (Use(DIRECT, "AGGREGATION") if is_sum else COPIED,)
                )
    known = tables[journal]
    tables[journal] = TableFacts(known.kind, known.meaning, known.owner, tuple(followed), known.columns)
