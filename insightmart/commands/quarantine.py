"""`insightmart quarantine`: rejected rows and files, with their reasons, and reading them again after a repair."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from ingestion.contracts import ENTITIES
from insightmart.certification.observations import existing_tables
from insightmart.commands.options import Instant, as_of_option
from insightmart.commands.session import acting_instant, reading, writing
from insightmart.console_tables import print_table
from insightmart.errors import FAILED
from insightmart.progress import step
from insightmart.quarantine.counts import rule_counts
from insightmart.quarantine.rejected_files import quarantined_files
from insightmart.quarantine.rejected_rows import Asked, quarantined_rows, rejected_texts
from insightmart.quarantine.tables import TABLES
from insightmart.settings import load_settings

if TYPE_CHECKING:
    from ingestion.loading.rejects import Replayed


@click.group()
def quarantine() -> None:
    """Rejected rows and files, with their reasons.

    A row leaves the quarantine by itself when its source is mended: the next cycle loads the new version. When it was
    the pipeline that read it wrongly, mend that and `replay`.
    """


@quarantine.command("list")
@click.option("--entity", type=click.Choice(TABLES), help="Only this entity.")
@click.option("--rule", help="Only this rule id.")
@click.option("--since", type=Instant(), help="Only events at or after this UTC instant.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="At most so many lines a table.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_command(entity: str | None, rule: str | None, since: datetime | None, limit: int, as_json: bool) -> None:
    """Count the rejected rows by entity and rule, and list the files that were not trusted at all.

    \b
    Examples:
      insightmart quarantine list
      insightmart quarantine list --entity oltp_order_lines --since 2026-03-06T16:00
    """
    with reading(load_settings()) as warehouse:
        existing = existing_tables(warehouse)
        counts = rule_counts(warehouse, existing, entity=entity, rule=rule, since=since)
        files = quarantined_files(warehouse, existing, entity=entity, rule=rule, since=since)
    if as_json:
        result = {"rows": [asdict(count) for count in counts], "files": [asdict(file) for file in files]}
        click.echo(json.dumps(result, default=str, indent=2))
        return
    if not counts and not files:
        click.echo("Nothing is in quarantine." if existing else "Nothing has been loaded yet.")
        return
    print_table(
        "Rows in quarantine",
        ["entity", "rule", "rows>", "meaning", "owner", "oldest event (UTC)", "newest event (UTC)"],
        [[c.entity, c.rule, c.rows, c.meaning, c.owner, c.oldest, c.newest] for c in counts[:limit]],
        _left_out(counts, limit),
    )
    if files:
        print_table(
            "\nFiles in quarantine",
            ["entity", "file", "rule", "reason", "since (UTC)", "original kept at"],
            [[f.entity, f.file_name, f.rule, f.reason, f.rejected_at, f.original_path] for f in files[:limit]],
            _left_out(files, limit),
        )


@quarantine.command("show")
@click.argument("entity", type=click.Choice(TABLES))
@click.option("--rule", help="Only rows that break this rule.")
@click.option("--since", type=Instant(), help="Only events, or rejections, at or after this UTC instant.")
@click.option("--store", "store_id", type=int, help="Only rows of this store.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="At most so many rows.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show_command(
    entity: str, rule: str | None, since: datetime | None, store_id: int | None, limit: int, as_json: bool
) -> None:
    """Show the rejected rows of ENTITY with the load, and for files the line, they came from.

    \b
    Examples:
      insightmart quarantine show oltp_order_lines --rule unit_price_negative
      insightmart quarantine show stores_inventory --store 17 --since 2026-03-05
      insightmart quarantine show stores_inventory --json
    """
    with reading(load_settings(), is_whole=True) as warehouse:
        existing = existing_tables(warehouse)
        asked = Asked(entity, rule, since, store_id, limit)
        rows, texts = quarantined_rows(warehouse, existing, asked), rejected_texts(warehouse, existing, asked)
    if as_json:
        click.echo(json.dumps({"rows": rows, "rejected_texts": texts}, default=str, indent=2))
        return
    if not rows and not texts:
        click.echo(f"Nothing of {entity} is in quarantine{f' for {rule}' if rule else ''}.")
    if rows:
        _print_records(f"Rows of {entity} in quarantine, newest first", rows, limit)
    if texts:
        _print_records(f"\nRecords of {entity} that could not be typed, newest first", texts, limit)


@quarantine.command("replay")
@click.argument("entity", required=False, type=click.Choice(TABLES))
@click.option("--rule", help="Only what was rejected by this rule.")
@click.option("--file", "file_name", help="Only this file (its key, as `quarantine list` shows it).")
@click.option("--dry-run", is_flag=True, help="Say what would come in, and load nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@as_of_option
def replay_command(
    entity: str | None, rule: str | None, file_name: str | None, dry_run: bool, as_json: bool, as_of: datetime | None
) -> int:
    """Read what could not be read once more, after the parser or a synonym was mended, and load what can be read now.

    Exactly the missing rows come in: lines of files that were loaded but for them, whole files that were not trusted,
    records of other sources, each as it was when it was rejected. What they change in hours already released is queued
    for the next cycle. A second replay brings nothing.

    Rows that were typed and break a rule of a model need no replay: they leave when the model is planned anew.

    \b
    Examples:
      insightmart quarantine replay --dry-run
      insightmart quarantine replay stores_inventory --rule columns_missing
    """
    from ingestion.loading.context import SourceError
    from ingestion.replay import replay
    from insightmart.sources import ingest_context, source_of, source_problem

    settings = load_settings()
    now = acting_instant(settings, as_of)
    chosen = [item for item in ENTITIES if entity in (None, item.table)]
    with (
        writing(settings, "quarantine replay") as session,
        session.recorded_run(now) as run,
        step("Replay") as progress,
    ):
        context = ingest_context(session.warehouse, settings, now, progress.say)
        try:
            drops = source_of(settings, "stores") if settings.stores_url else None
            results = replay(context, drops, chosen, rule=rule, file_name=file_name, is_dry=dry_run)
        except SourceError as error:
            run.fail([source_problem(error.source, error.cause, error.cure)])
            progress.failed, progress.outcome = True, str(error)
            return FAILED
        resolved, rows = sum(one.resolved for one in results), sum(one.rows for one in results)
        run.summary = {"dry_run": dry_run, "resolved": resolved, "rows": rows}
        progress.outcome = f"{rows:,} rows {'would come' if dry_run else 'came'} in"
    if as_json:
        click.echo(json.dumps([asdict(one) for one in results], indent=2))
    elif not results:
        click.echo("Nothing that could be replayed is in quarantine.")
    else:
        _print_replayed(results, dry_run)
    return 0


def _print_replayed(results: Sequence[Replayed], is_dry: bool) -> None:
    print_table(
        "What would come in" if is_dry else "What came in",
        ["entity", "in quarantine>", "can be read now>", "rows>"],
        [[one.entity, one.rejects, one.resolved, one.rows] for one in results],
    )
    unread = [(one.entity, name, why) for one in results for name, why in one.unread.items()]
    if unread:
        print_table("\nStill in quarantine", ["entity", "file or table", "why"], unread[:50], _left_out(unread, 50))


def _print_records(title: str, records: Sequence[Mapping[str, Any]], limit: int) -> None:
    """Reasons and source position first; columns without any value are left out."""
    leading = ("reasons", "raw_load_id", "file_name", "file_line")
    filled = [name for name in records[0] if any(record[name] is not None for record in records)]
    dropped = {"rule_ids", "event_at", "_loaded_at", "source_system"}
    names = [name for name in leading if name in filled]
    names += [name for name in filled if name not in (*leading, *dropped)]
    note = f"The first {limit}; --limit shows more, --json every column." if len(records) == limit else ""
    print_table(title, names, [[_plain(record[name]) for name in names] for record in records], note)


def _plain(value: Any) -> Any:
    # Ids are names: 1000000001 is not 1,000,000,001.
    return str(value) if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else value


def _left_out(found: Sequence[Any], limit: int) -> str:
    return f"{len(found) - limit} more; --limit shows them." if len(found) > limit else ""
