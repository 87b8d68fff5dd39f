"""Dimensions of an hour that is done are built once more where a load has come since.

Their models take whatever loads have brought and wait for no source. So where an hour's cycle is repeated, after a
source could not be read, SQLMesh has them done for that hour, and facts would be certified whose customer, product or
store is in no dimension before the next one.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from ingestion.warehouse import Warehouse
from insightmart.transform.correction_plans import HOUR, whole_hour
from insightmart.transform.model_graph import PROD, layer, short_name

if TYPE_CHECKING:
    from sqlmesh.core.model import Model
    from sqlmesh.core.snapshot import Snapshot

    from insightmart.transform.transformer import Transformer

ANY_LOAD = "anything_loaded"  # the signal of models that wait for no source
_LAYERS = ("core", "gate", "certified")


def due_again(warehouse: Warehouse, transformer: Transformer, as_of: datetime) -> None:
    """Have the last whole hour built again of every dimension that a load has come for since it was built.

    Nothing is built here: it is due for the next run. It costs a few statements, so that it is for an hour that had a
    run already.
    """
    from sqlmesh.utils.date import to_timestamp

    context, end = transformer.context, whole_hour(as_of)
    taking = {short_name(name): model for name, model in context.models.items() if _takes_any_load(model)}
    marks = ", ".join("?" * len(taking))
    [(known, built_at)] = warehouse.rows(
        "SELECT COUNT(*), MIN(built_at) FROM (SELECT MAX(recorded_at) AS built_at FROM ops.run_intervals"
        f" WHERE status = 'evaluated' AND interval_end = ? AND model IN ({marks}) GROUP BY model) AS models",
        [end, *taking],
    )
    loads = "SELECT COUNT(*) FROM ops.loads WHERE status = 'loaded' AND ended_at > ?"
    if known == len(taking) and not warehouse.value(loads, [built_at]):
        return  # of a killed run nothing is known, so that it is done again
    areas = {tag for model in taking.values() for tag in model.tags}
    environment = context.state_reader.get_environment(PROD)
    found = context.state_reader.get_snapshots(environment.snapshots).values() if environment else ()
    wanted = [snapshot for snapshot in found if _is_built_in(areas, snapshot)]
    hour = (to_timestamp(end - HOUR), to_timestamp(end))
    context.state_sync.remove_intervals([(snapshot, hour) for snapshot in wanted], remove_shared_versions=True)


def _takes_any_load(model: Model) -> bool:
    return any(name.lower() == ANY_LOAD for name, _ in model.signals)


def _is_built_in(areas: set[str], snapshot: Snapshot) -> bool:
    model = snapshot.model if snapshot.is_model else None
    if model is None or model.kind.is_external or model.kind.is_view:
        return False
    return layer(model) in _LAYERS and not areas.isdisjoint(model.tags)
