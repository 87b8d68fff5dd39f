"""The first history in parts, in the order of time: as much at once as fits, and a kill costs one part.

A table is filled part by part, each in the order of its time column (``time_order``), so that what asks for a window
later finds it in few blocks. What no event adds to is built first and once; a part is its days of the rest, staging
to certified, through the gates. What a part has done is in SQLMesh's state when it ends; the next cycle goes on there.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise
from math import ceil

from ingestion.loading.context import Window
from ingestion.loading.intervals import DAY, start_of_day
from ingestion.warehouse import Warehouse
from insightmart.progress import time_left
from insightmart.transform.transformer import Transformer

# Rows in raw that a part brings, about. Each part looks once at everything that came with the first load, so that many
# small ones would cost more than they save.
PART_ROWS = 50_000_000


def parts(warehouse: Warehouse, since: datetime, as_of: datetime) -> list[Window]:
    """The days from an instant on, cut so that each part brings about ``PART_ROWS`` rows; one part where all fits.

    Args:
        warehouse: open connection; what the loads since then brought is asked.
        since: everything before is built.
        as_of: the run's now.
    """
    if as_of - since <= DAY:
        return [Window(since, as_of)]
    rows = warehouse.value(
        'SELECT SUM("ROWS") FROM ops.loads WHERE status = ? AND loaded_at >= CAST(? AS TIMESTAMP_NTZ)',
        ["loaded", since],
    )
    days = ceil((as_of - start_of_day(since)) / DAY)
    length = ceil(days / max(1, ceil((rows or 0) / PART_ROWS)))
    bounds = [start_of_day(since) + timedelta(days=first) for first in range(length, days, length)]
    return [Window(start, end) for start, end in pairwise([since, *bounds, as_of])]


def build(transformer: Transformer, windows: list[Window], as_of: datetime, say: Callable[[str], None]) -> None:
    """Build all parts but the last, which a run of what is still missing brings, failures included.

    A part that a gate refuses does not keep the next one back.
    """
    if len(windows) < 2:
        return
    dimensions, others = transformer.filled_whole_and_by_time()
    transformer.run(as_of, only=dimensions)
    began = time.monotonic()
    for number, part in enumerate(windows[:-1], start=1):
        left = time_left(began, number - 1, len(windows))
        say(f"{part.start:%Y-%m-%d} to {part.end:%Y-%m-%d}, part {number} of {len(windows)}{left and f', {left}'}")
        transformer.run(as_of, only=others, window=part)
