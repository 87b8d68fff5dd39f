"""Subqueries that Snowflake is reported to refuse ("Unsupported subquery type cannot be evaluated"), and the lint rule.

DuckDB answers them, and so does what stands in for an account in the tests, so nothing else would find them here.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp
from sqlglot.optimizer.scope import Scope, traverse_scope
from sqlmesh.core.linter.rule import Rule, RuleViolation
from sqlmesh.core.model import Model, SqlModel

COMPUTED = "a correlated subquery computes with a column from outside: join instead, or compute it outside"
UNDER_OR = "a correlated EXISTS or IN stands under OR: make it a LEFT JOIN, or a UNION of two queries"
UNEQUAL = "a correlated subquery that is a value compares with more than =: join to the aggregate, or use QUALIFY"

_COMPARISONS = (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.NullSafeEQ, exp.NullSafeNEQ, exp.Between)
_SELECTED_FROM = (exp.From, exp.Join, exp.Lateral, exp.SetOperation, exp.Insert, exp.Merge)
_CONNECTORS = (exp.And, exp.Or, exp.Not, exp.Paren, exp.Is, exp.Where)


def refused_shapes(statement: exp.Expr) -> list[str]:
    """What Snowflake would refuse in a statement, in words; columns from outside must name their table."""
    found = []
    for scope in _scopes(statement):
        predicate = _predicate(scope.expression)
        outside = [column for column in scope.external_columns if column.table] if predicate is not None else []
        if predicate is None or not outside:
            continue
        if any(not isinstance(_user(column), (*_COMPARISONS, *_CONNECTORS)) for column in outside):
            found.append(COMPUTED)
        if isinstance(predicate, exp.Subquery):
            if any(not isinstance(_user(column), exp.EQ) for column in outside):
                found.append(UNEQUAL)
        elif isinstance(_condition_around(predicate), exp.Or):
            found.append(UNDER_OR)
    return list(dict.fromkeys(found))


def _scopes(statement: exp.Expr) -> Iterator[Scope]:
    """The scopes of every query of a statement, of an INSERT, MERGE or DELETE too."""
    for query in statement.find_all(exp.Query):
        if query.find_ancestor(exp.Query) is None:
            yield from traverse_scope(query)


def _predicate(query: exp.Expr) -> exp.Expr | None:
    """The EXISTS, IN or value that a query is; None for one that is selected from."""
    node = query.parent
    while isinstance(node, exp.SetOperation):
        node = node.parent
    if isinstance(node, exp.Exists):
        return node
    if not isinstance(node, exp.Subquery):
        return None
    if isinstance(node.parent, (exp.In, exp.Any, exp.All, exp.Exists)):
        return node.parent
    is_selected_from = isinstance(
        node.parent, (exp.From, exp.Join, exp.Lateral, exp.SetOperation, exp.Insert, exp.Merge)
    )
    return None if is_selected_from or node.parent is None else node


def _user(column: exp.Expr) -> exp.Expr | None:
    """What a column is used by."""
    node = column.parent
    while isinstance(node, exp.Paren):
        node = node.parent
    return node


def _condition_around(predicate: exp.Expr) -> exp.Expr | None:
    """The OR that a predicate is a part of; else something else."""
    node = predicate.parent
    while isinstance(node, (exp.Not, exp.Paren, exp.And)):
        node = node.parent
    return node


class NothingThatSnowflakeRefuses(Rule):
    """A model is a query that Snowflake can compile."""

    def check_model(self, model: Model) -> RuleViolation | None:
        if not isinstance(model, SqlModel) or model.query.find(exp.Exists, exp.In, exp.Subquery) is None:
            return None
        query = model.render_query()
        found = refused_shapes(query) if query is not None else []
        return self.violation(f"Snowflake refuses it: {'; '.join(found)}.") if found else None
