"""`insightmart backfill`: reload a window that a source missed, in pieces, and queue the hours that it corrects."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from ingestion.contracts import ENTITIES, SOURCES
from ingestion.warehouse import Warehouse
from insightmart.commands.options import Instant, as_of_option, window_of
from insightmart.commands.session import acting_clocks, writing
from insightmart.console_tables import print_table
from insightmart.errors import FAILED, InsightMartError
from insightmart.purged import refuse_purged
from insightmart.settings import Settings, load_settings
from insightmart.sources import Ingested, load_each, source_module, source_of

if TYPE_CHECKING:
    from ingestion.loading.context import IngestContext, LoadResult, Window

Queued = tuple[str, str, datetime, datetime]  # source, entity, start and end of a correction window


@dataclass
class Backfilled:
    """What a backfill did: the loads of its source, and the windows that are now queued because of them."""

    result: Ingested
    queued: list[Queued]

    def rows_by_entity(self) -> list[dict[str, Any]]:
        """One row an entity and window, over all its pieces."""
        return [
            {
                "entity": load.entity,
                "start": load.window.start if load.window else None,
                "end": load.window.end if load.window else None,
                "rows": load.rows,
                "rejected_rows": load.rejected_rows,
                "status": load.status,
            }
            for load in self.result.loads
        ]


def backfill(
    warehouse: Warehouse,
    settings: Settings,
    as_of: datetime,
    source: str,
    window: Window,
    entities: Sequence[str] | None = None,
    clocks: Mapping[str, datetime] | None = None,
) -> Backfilled:
    """Reload a window of one source. Pieces that are in stay in, whatever happens to the others.

    Raises:
        ConfigurationError: the source is not configured.
    """
    before = {window_id for window_id, *_ in _open_corrections(warehouse)}

    def load(context: IngestContext, name: str) -> list[LoadResult]:
        loads: list[LoadResult] = source_module(name).backfill(context, source_of(settings, name), window, entities)
        return loads

    [result] = load_each(warehouse, settings, as_of, [source], load, clocks=clocks)
    queued = [tuple(queued) for window_id, *queued in _open_corrections(warehouse) if window_id not in before]
    return Backfilled(result, queued)


def _open_corrections(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    return warehouse.rows(
        "SELECT window_id, source, entity, window_start, window_end FROM ops.correction_windows"
        " WHERE status = 'open' ORDER BY source, entity, window_start, window_end"
    )


def _chosen(source: str, names: Sequence[str]) -> list[str] | None:
    known = [item.name for item in ENTITIES if item.source == source]
    for name in names:
        if name not in known:
            raise click.BadParameter(f"{source} has no {name!r}; it has {', '.join(known)}", param_hint="--entity")
    return list(names) or None


@click.command()
@click.argument("source", type=click.Choice(SOURCES))
@click.option("--from", "start", type=Instant(), required=True, help="Start of the window, a UTC instant.")
@click.option("--to", "end", type=Instant(), required=True, help="End of the window (exclusive).")
@click.option("--entity", "entities", multiple=True, help="Only this one; may be given several times (default: all).")
@as_of_option
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def backfill_command(
    source: str, start: datetime, end: datetime, entities: tuple[str, ...], as_of: datetime | None, as_json: bool
) -> int:
    """Reload a window that SOURCE missed, however long, in pieces.

    The window is one of changes: `updated_at` in the database and the shop, the day in the key of a store file. Records
    come again in full, raw keeps both versions, and the models take the latest one. Released hours that it corrects are
    queued; the next `insightmart cycle` restates them.

    It may be killed at any point: the same command goes on with the first piece that is not in. For a day or less,
    `insightmart ingest SOURCE --from --to` does the same in one piece.

    \b
    Examples:
      insightmart backfill oltp --from 2026-01-01 --to 2026-03-01
      insightmart backfill oltp --from 2026-01-01 --to 2026-03-01 --entity orders --entity order_lines
      insightmart backfill shopify --from 2025-01-01 --to 2026-01-01
      insightmart backfill stores --from 2026-02-01 --to 2026-02-08 --entity tills

    \b
    Exit codes: 0 the whole window is in; 1 the source failed (run it again); 2 wrong usage or configuration;
    75 another process is writing to this warehouse.
    """
    settings = load_settings()
    now, clocks = acting_clocks(settings, as_of)
    window, chosen = window_of(start, end, now), _chosen(source, entities)
    with writing(settings, "backfill") as session, session.recorded_run(now) as run:
        refuse_purged(session.warehouse, window.start, f"the window from {window.start:%Y-%m-%d %H:%M}")
        own = clocks.by_source if clocks else None
        done = backfill(session.warehouse, settings, now, source, window, chosen, own)
        run.fail(done.result.problems)
        run.note(clocks.problems if clocks else ())
        run.summary = {source: {"rows": done.result.rows, "rejected": done.result.rejected}}
    if as_json:
        click.echo(json.dumps(_as_json(done), default=lambda instant: instant.isoformat()))
    elif done.result.loads:
        _print(done)
    if done.result.error:
        raise InsightMartError(done.result.error, "The same command goes on where it stopped", FAILED)
    for asked in done.result.asked:
        click.echo(asked.line, err=True)
    return FAILED if done.result.asked else 0


def _as_json(done: Backfilled) -> dict[str, Any]:
    queued = [dict(zip(("source", "entity", "start", "end"), window, strict=True)) for window in done.queued]
    return {"source": done.result.source, "loads": done.rows_by_entity(), "queued": queued, "error": done.result.error}


def _print(done: Backfilled) -> None:
    print_table(
        f"Backfill of {done.result.source}",
        ["Entity", "From", "To", "Rows>", "Rejected>", ""],
        [list(row.values()) for row in done.rows_by_entity()],
    )
    if done.queued:
        print_table(
            "Queued to be restated by the next `insightmart cycle`",
            ["Source", "Entity", "From", "To"],
            done.queued,
        )
    else:
        click.echo("No released hour was touched: nothing has to be restated.")
