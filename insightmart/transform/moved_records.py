"""Windows that share a record: it stood in an hour of one when that was certified, and stands in an hour of the other.

Such windows are certified together or not at all: else a reader finds the record in both of them, or in none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from ingestion.loading.context import Window
from ingestion.warehouse import Warehouse
from insightmart.transform.model_graph import layer, own_models

if TYPE_CHECKING:
    from sqlmesh import Context
    from sqlmesh.core.model import Model


def tied_together(
    warehouse: Warehouse, context: Context, models: Sequence[str], windows: Sequence[Window]
) -> list[list[Window]]:
    """Windows that a gate has just refused together, in groups of those that share a record, in order of time.

    What was refused stands in ``core``, and what was certified before in ``certified``: records are compared there.

    Args:
        warehouse: open connection.
        context: SQLMesh's context.
        models: names of models; what stands below them is looked at.
        windows: the windows, UTC.
    """
    groups = [[window] for window in sorted(windows, key=lambda window: (window.start, window.end))]
    for before, now in _moves(warehouse, context, models, windows):
        touched = [group for group in groups if any(_holds(window, hour) for window in group for hour in (before, now))]
        if len(touched) > 1:
            together = sorted((window for group in touched for window in group), key=lambda window: window.start)
            groups = [together if group is touched[0] else group for group in groups if group not in touched[1:]]
    return groups


def _holds(window: Window, hour: datetime) -> bool:
    return window.start <= hour < window.end


def _moves(
    warehouse: Warehouse, context: Context, models: Sequence[str], windows: Sequence[Window]
) -> list[tuple[datetime, datetime]]:
    """The hours that records stood in and stand in now, where these are two hours of the windows."""
    start, end = min(window.start for window in windows), max(window.end for window in windows)
    asked = [
        f"SELECT DATE_TRUNC('hour', was.{instant}) AS before_hour, DATE_TRUNC('hour', now.{instant}) AS now_hour"
        f" FROM certified.{table} AS was INNER JOIN core.{table} AS now"
        f" ON {' AND '.join(f'now.{key} = was.{key}' for key in keys)}"
        f" WHERE was.{instant} >= ? AND was.{instant} < ? AND now.{instant} >= ? AND now.{instant} < ?"
        f" AND DATE_TRUNC('hour', was.{instant}) <> DATE_TRUNC('hour', now.{instant})"
        for table, instant, keys in _records_below(context, models)
    ]
    if not asked:
        return []
    return [
        (before, now)
        for before, now in warehouse.rows(" UNION ".join(asked), [start, end, start, end] * len(asked))
        if all(any(_holds(window, hour) for window in windows) for hour in (before, now))
    ]


def _records_below(context: Context, models: Sequence[str]) -> Iterator[tuple[str, str, list[str]]]:
    """Tables that core and certified have of records which can move: name, column of the instant, key."""
    own = own_models(context)
    below = {name for model in models for name in context.dag.downstream(own[model].fqn)}
    for name, model in own.items():
        table = name.partition(".")[2]
        if model.fqn not in below or layer(model) != "certified" or not model.time_column or f"core.{table}" not in own:
            continue
        instant, keys = model.time_column.column.name, _key(model)
        if keys and instant.lower() not in keys:
            yield table, instant, keys


def _key(model: Model) -> list[str]:
    from sqlglot import exp

    return [column.name.lower() for grain in model.grains for column in grain.find_all(exp.Column)]
