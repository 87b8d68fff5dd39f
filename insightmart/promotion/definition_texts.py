"""What a change says: the difference between two versions of a model and its audits, and of the checks of a gate."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterable
from itertools import chain
from typing import TYPE_CHECKING, Any

import yaml

from insightmart.transform.model_graph import short_name

if TYPE_CHECKING:
    from sqlmesh.core.model import Model

# What macros/gates.py gives a gate: SQLMesh keeps it with the model, as Python writes it.
_TOLD = "told"


def text_difference(before: Model | None, after: Model | None) -> list[str]:
    """The lines of a unified difference, without its header; none where both say the same.

    A gate is compared by its checks and thresholds, and where they are the same by its definition, as other models are.
    The text of an audit of the project counts as text of each model that names it.
    """
    if before is None or after is None:
        only, sign = (before, "-") if after is None else (after, "+")
        return [f"{sign}{line}" for line in _definition(only)] if only else []
    old, new = _told(before), _told(after)
    if old != new:
        return _unified(_check_lines(old), _check_lines(new))
    audits = [_unified(_audit_lines(before, name), _audit_lines(after, name)) for name in _audits(before, after)]
    return [*_without_header(before.text_diff(after).splitlines()), *chain.from_iterable(audits)]


def _audits(*models: Model) -> list[str]:
    return sorted({name for model in models for name in model.audit_definitions})


def _audit_lines(model: Model, name: str) -> list[str]:
    audit = model.audit_definitions.get(name)
    if audit is None:
        return []
    query = audit.query.sql(pretty=True, comments=False, dialect=model.dialect)
    return [f"AUDIT {name}", *query.splitlines()]


def _definition(model: Model) -> list[str]:
    if told := _told(model):
        return _check_lines(told)
    texts = [
        expression.sql(pretty=True, dialect=model.dialect) for expression in model.render_definition(render_query=False)
    ]
    return "\n\n".join(texts).splitlines()


def _told(model: Model) -> dict[str, Any]:
    """The checks and thresholds of a gate; nothing for another model."""
    kept = model.python_env.get(_TOLD) if short_name(model.fqn).startswith("gate.") else None
    found = ast.literal_eval(kept.payload) if kept is not None else {}
    return {"checks": found.get("checks", ""), "variables": found.get("variables", {})} if found else {}


def _check_lines(told: dict[str, Any]) -> list[str]:
    thresholds = yaml.safe_dump({"variables": told["variables"]}, sort_keys=True) if told else ""
    return [*str(told.get("checks", "")).splitlines(), *thresholds.splitlines()]


def _unified(before: Iterable[str], after: Iterable[str]) -> list[str]:
    return _without_header(list(difflib.unified_diff(list(before), list(after), lineterm="")))


def _without_header(lines: list[str]) -> list[str]:
    begin = next((place for place, line in enumerate(lines) if line.startswith("@@")), 0)
    return [line.rstrip("\n") for line in lines[begin:]]
