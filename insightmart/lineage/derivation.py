"""How the columns of one model come out of the tables it reads, by SQLGlot's column lineage.

Each use of a column is said in the words of OpenLineage's facet of column lineage: DIRECT where values are made of it,
INDIRECT where it decides which value or which row there is. What decides over rows is of the whole table.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlglot import exp
from sqlglot.lineage import Node, lineage, to_node
from sqlglot.optimizer.scope import Scope, find_all_in_scope

if TYPE_CHECKING:
    from sqlmesh.core.model import Model

DIRECT, INDIRECT = "DIRECT", "INDIRECT"
Place = tuple[str, str]  # SQLMesh's name of a table, and a column

# Of the ways in which one value is made of another, the strongest holds.
_STRENGTH = ("IDENTITY", "TRANSFORMATION", "AGGREGATION")
_HASHES = (exp.MD5, exp.MD5Digest, exp.SHA, exp.SHA2)
_ONE_OF_MANY = (exp.Lag, exp.Lead, exp.FirstValue, exp.LastValue, exp.NthValue)  # of a window: a value, and no sum
_OF_ROWS = {"where": "FILTER", "having": "FILTER", "qualify": "FILTER", "group": "GROUP_BY", "order": "SORT"}
_SAME = (
    exp.DataType.INTEGER_TYPES | {exp.DType.DECIMAL},
    exp.DataType.TEXT_TYPES,
    {exp.DType.TIMESTAMP, exp.DType.TIMESTAMPNTZ, exp.DType.DATETIME},
)


@dataclass(frozen=True, order=True)
class Use:
    """How a column is used: ``type`` DIRECT or INDIRECT, ``subtype`` and ``masking`` as OpenLineage defines them."""

    type: str
    subtype: str
    masking: bool = False


COPIED = Use(DIRECT, "IDENTITY")


@dataclass
class Derivation:
    """How a model comes out of what it reads.

    Attributes:
        columns: column -> what its values are made of, or chosen by.
        expressions: column -> the SQL that makes it, the outermost first; nothing for plain copies.
        rows: what decides which rows there are.
    """

    columns: dict[str, dict[Place, set[Use]]] = field(default_factory=dict)
    expressions: dict[str, tuple[str, ...]] = field(default_factory=dict)
    rows: dict[Place, set[Use]] = field(default_factory=dict)


def derivation_of(model: Model, catalog: str) -> Derivation:
    """How a model's columns come out of what it reads. A model in Python says nothing of its columns.

    Args:
        model: the model.
        catalog: the one of tables whose name has none.
    """
    from sqlmesh.core.lineage import CACHE
    from sqlmesh.core.lineage import lineage as of_a_column

    names = list(model.columns_to_types or {})
    if not (model.is_sql and names):
        return Derivation()
    of_a_column(exp.column(names[0], quoted=True), model, trim_selects=False)  # qualifies the query, and keeps it
    _, query, scope = CACHE[model.name]
    nodes = lineage(None, sql=query, scope=scope, trim_selects=False, dialect=model.dialect, copy=False)
    assert isinstance(nodes, dict)
    tracer = _Tracer(model, catalog, scope)
    columns = {name: tracer.origins(node) for name, node in nodes.items()}
    return Derivation(
        columns,
        {name: tuple(tracer.expressions(node, with_constants=not columns[name])) for name, node in nodes.items()},
        tracer.rows(),
    )


class _Tracer:
    """Follows nodes of SQLGlot's lineage down to the tables that a query reads."""

    def __init__(self, model: Model, catalog: str, root: Scope) -> None:
        self._catalog, self._dialect = catalog, model.dialect
        self._scopes = {id(scope.expression): scope for scope in root.traverse()}
        self._known: dict[int, dict[Place, set[Use]]] = {}  # by id of a node, so nodes have to stay
        self._nodes: dict[tuple[int, str], Node] = {}

    def origins(self, node: Node) -> dict[Place, set[Use]]:
        """The columns of tables behind a node, and how each is used on the way."""
        if id(node) not in self._known:
            found: dict[Place, set[Use]] = {}
            if isinstance(node.expression, exp.Table):
                found[self._place(node.expression, exp.to_column(node.name).name)] = {COPIED}
            for child in node.downstream:
                for how in self._uses(node, child):
                    for place, uses in self.origins(child).items():
                        found.setdefault(place, set()).update(_through(how, use) for use in uses)
            self._known[id(node)] = {place: _strongest(uses) for place, uses in found.items()}
        return self._known[id(node)]

    def expressions(self, node: Node, *, with_constants: bool) -> Iterable[str]:
        """The SQL that a column is made by within the query, the outermost first; no plain copies.

        Args:
            node: the column's.
            with_constants: also values that depend on nothing, as one part of a union may have them.
        """
        found: dict[str, None] = {}
        waiting = [node]
        while waiting:
            one = waiting.pop()
            if isinstance(one.expression, exp.Table):
                continue
            is_said = not (isinstance(one.source, exp.SetOperation) or _copied(one.expression))
            if is_said and (with_constants or one.expression.find(exp.Column, exp.Func) is not None):
                found[readable(one.expression, self._dialect)] = None
            waiting += reversed(one.downstream)
        return found

    def rows(self) -> dict[Place, set[Use]]:
        """The columns of tables that decide which rows there are, anywhere in the query."""
        found: dict[Place, set[Use]] = {}
        for scope in self._scopes.values():
            for column, subtype in _deciding(scope):
                for place in self._behind(scope, column):
                    found.setdefault(place, set()).add(Use(INDIRECT, subtype))
        return found

    def _behind(self, scope: Scope, column: exp.Column) -> Iterable[Place]:
        around: Scope | None = scope
        source = None
        while source is None and around is not None:  # a subquery may name columns of the query around it
            source, around = around.sources.get(column.table), around.parent
        if isinstance(source, exp.Table):
            return [self._place(source, column.name)]
        if isinstance(source, Scope):
            key = id(source), column.name
            if key not in self._nodes:
                self._nodes[key] = to_node(column.name, scope=source, dialect=self._dialect, trim_selects=False)
            return self.origins(self._nodes[key])
        return []

    def _place(self, table: exp.Table, column: str) -> Place:
        from sqlmesh.core.dialect import normalize_model_name

        return normalize_model_name(table, default_catalog=self._catalog, dialect=self._dialect), column

    def _uses(self, node: Node, child: Node) -> set[Use]:
        """How an expression uses the column that a node below it stands for."""
        scope = self._scopes.get(id(node.source))
        if scope is None or isinstance(node.source, exp.SetOperation):
            return {COPIED}  # a part of a union is the union's column
        found = {
            _use(column, node.expression)
            for column in find_all_in_scope(node.expression, exp.Column)
            if _stands_for(scope, column, child)
        }
        return found or {Use(DIRECT, "TRANSFORMATION")}  # of a subquery that is a value


def _stands_for(scope: Scope, column: exp.Column, node: Node) -> bool:
    """Whether a node below is that of a column of the scope."""
    source = scope.sources.get(column.table)
    if isinstance(source, exp.Table):
        return node.expression is source and exp.to_column(node.name).name == column.name
    if not isinstance(source, Scope):
        return False
    if isinstance(source.expression, exp.SetOperation):  # its parts stand below by the number of the column
        place = source.expression.named_selects.index(column.name)
        return node.name == str(place) and any(node.source is part for part in _parts(source))
    return node.source is source.expression and node.name == f"{column.table}.{column.name}"


def _parts(union: Scope) -> Iterator[exp.Expr]:
    for scope in union.union_scopes:
        if isinstance(scope.expression, exp.SetOperation):
            yield from _parts(scope)
        else:
            yield scope.expression


def _use(column: exp.Column, select: exp.Expr) -> Use:
    """How a select expression uses a column that stands in it."""
    direct, masking = "IDENTITY", False
    below: exp.Expr = column
    above = column.parent if column is not select else None
    while above is not None:
        masking = masking or isinstance(above, _HASHES)
        if isinstance(above, exp.If | exp.Case) and below.arg_key == "this":
            return Use(INDIRECT, "CONDITIONAL", masking)
        if isinstance(above, exp.ArgMax | exp.ArgMin) and below.arg_key == "expression":
            return Use(INDIRECT, "CONDITIONAL", masking)  # decides which of the values it is
        if isinstance(above, exp.Window):
            if below.arg_key in ("partition_by", "order"):
                return Use(INDIRECT, "WINDOW", masking)
        elif isinstance(above, exp.AggFunc) and not isinstance(above, _ONE_OF_MANY):
            direct = "AGGREGATION"
        elif not (isinstance(above, exp.Alias | exp.Paren) or _is_same(above)) and direct == "IDENTITY":
            direct = "TRANSFORMATION"
        if above is select:
            break
        below, above = above, above.parent
    return Use(DIRECT, direct, masking)


def _copied(select: exp.Expr) -> bool:
    inner = select.unalias()
    while isinstance(inner, exp.Paren) or _is_same(inner):
        inner = inner.this
    return isinstance(inner, exp.Column)


def _is_same(cast: exp.Expr) -> bool:
    """Whether a cast states the kind of value that is there already."""
    if not isinstance(cast, exp.Cast):
        return False
    was, now = cast.this.type, cast.to
    if was is None or was.this in (exp.DType.UNKNOWN, exp.DType.NULL, now.this):
        return True
    return any(was.this in kinds and now.this in kinds for kinds in _SAME) and not (
        was.this == exp.DType.DECIMAL and now.this in exp.DataType.INTEGER_TYPES
    )


def _through(outer: Use, inner: Use) -> Use:
    """A use of a use."""
    masking = outer.masking or inner.masking
    for one in (outer, inner):
        if one.type == INDIRECT:
            return Use(INDIRECT, one.subtype, masking)
    return Use(DIRECT, max(outer.subtype, inner.subtype, key=_STRENGTH.index), masking)


def _strongest(uses: set[Use]) -> set[Use]:
    """Of several direct uses the strongest; each way of an indirect one. Masked only where it is nowhere in clear."""
    masked = all(use.masking for use in uses)
    direct = [use.subtype for use in uses if use.type == DIRECT]
    indirect = {Use(INDIRECT, use.subtype, masked) for use in uses if use.type == INDIRECT}
    return indirect | ({Use(DIRECT, max(direct, key=_STRENGTH.index), masked)} if direct else set())


def _deciding(scope: Scope) -> Iterator[tuple[exp.Column, str]]:
    """The columns that decide over the rows of a scope, and how."""
    select = scope.expression
    clauses = [(select.args.get(clause), subtype) for clause, subtype in _OF_ROWS.items()]
    clauses += [(join.args.get("on"), "JOIN") for join in select.args.get("joins") or ()]
    for clause, subtype in clauses:
        for column in find_all_in_scope(clause, exp.Column) if clause else ():
            yield column, subtype
    around = select.find_ancestor(exp.Where, exp.Having, exp.Qualify, exp.Join, exp.Select)
    if scope.is_subquery and isinstance(around, exp.Where | exp.Having | exp.Qualify | exp.Join):
        subtype = "JOIN" if isinstance(around, exp.Join) else "FILTER"
        for projection in select.expressions:
            for column in find_all_in_scope(projection, exp.Column):
                yield column, subtype


def readable(select: exp.Expr, dialect: str) -> str:
    """A select expression as people write it: lower case, no quotes, no alias, tables only where they tell apart."""
    inner = select.unalias().copy()
    while isinstance(inner, exp.Cast | exp.Paren) and not isinstance(inner.this, exp.Column):
        inner = inner.this
    qualified: Mapping[str, set[str]] = {}
    for column in inner.find_all(exp.Column):
        qualified = {**qualified, column.name: {*qualified.get(column.name, ()), column.table}}
    for column in list(inner.find_all(exp.Column)):
        if len(qualified[column.name]) == 1:
            column.set("table", None)
    for name in inner.find_all(exp.Identifier):
        name.set("this", name.this.lower())
        name.set("quoted", False)
    text: str = inner.sql(dialect=dialect, comments=False)
    return " ".join(text.split())
