"""What the graph says of the models: how people write their names, what they read, which a correction restates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ingestion.contracts import ENTITIES, Entity

if TYPE_CHECKING:
    from sqlmesh import Context
    from sqlmesh.core.model import Model

PROD = "prod"  # the environment that readers see
Kind = tuple[str, str]  # source and subject area of an entry in the queue of corrections

_ENTITY_OF = {f"raw.{item.table}": item for item in ENTITIES}


def short_name(name: str) -> str:
    """``gate.sales__oltp`` for ``"INSIGHTMART"."GATE"."SALES__OLTP"``."""
    return ".".join(part.strip('"') for part in name.split(".")[-2:]).lower()


def layer(model: Model) -> str:
    """The schema of a model in lower case, for example ``staging``."""
    return model.fully_qualified_table.db.lower()


def own_models(context: Context) -> dict[str, Model]:
    """The project's own models, without the tables that other programs write: name as it is written -> model."""
    return {short_name(name): model for name, model in context.models.items() if not model.kind.is_external}


def entities_read(model: Model) -> list[Entity]:
    """The records of sources that a model takes out of raw itself, in the order of the contracts."""
    read = {short_name(name) for name in model.depends_on or ()}
    return [item for table, item in _ENTITY_OF.items() if table in read]


def restated_by(context: Context) -> dict[Kind, tuple[str, ...]]:
    """What an entry in the queue of corrections restates: (source, area) -> models, in order of evaluation.

    These are the models of staging that hold records of the source in windows and carry the tag of the area; everything
    below them follows by itself.
    """
    found: dict[Kind, list[str]] = {}
    for name in context.dag.sorted:
        model = context.models[name]
        if layer(model) != "staging" or model.time_column is None or model.disable_restatement:
            continue
        for source in {item.source for item in entities_read(model)}:
            for area in set(model.tags) - {source}:
                found.setdefault((source, area), []).append(short_name(name))
    return {kind: tuple(models) for kind, models in found.items()}


def with_steps(context: Context, name: str) -> list[str]:
    """A model and, before it, the steps of staging that it is made of: only these read what raw holds now.

    A model above staging is alone: rebuilding it reads staging as it is.
    """
    models = own_models(context)
    if name not in models or layer(models[name]) != "staging":
        return [name]
    above = set(context.dag.upstream(models[name].fqn))
    steps = [
        other
        for other, model in models.items()
        if model.fqn in above and layer(model) == "staging" and model.time_column and not model.disable_restatement
    ]
    return [*sorted(steps), name]
