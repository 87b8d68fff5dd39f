"""`insightmart deletions`: rows that a source no longer shows, too many to be taken for deleted without a question."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from typing import Any

import click

from ingestion.loading.deletions import UNANSWERED, Question, confirm, questions
from insightmart.certification.observations import existing_tables
from insightmart.commands.options import as_of_option
from insightmart.commands.session import acting_instant, reading, writing
from insightmart.console_tables import print_table
from insightmart.runs import actor
from insightmart.settings import load_settings

NOTE = "Deleted indeed? `insightmart deletions confirm ID --reason TEXT`. Otherwise it closes when the rows are back."


@click.group()
def deletions() -> None:
    """Rows that vanished at a source: whether they are deleted is asked where they are many.

    Nothing is deleted while a question is open. It closes by itself when the rows are back.
    """


@deletions.command("list")
@click.option("--all", "with_closed", is_flag=True, help="Closed questions as well: who confirmed what, when and why.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_command(with_closed: bool, as_json: bool) -> None:
    """List the questions that wait for an answer, or for the next load to carry it out.

    \b
    Examples:
      insightmart deletions list
      insightmart deletions list --all --json
    """
    with reading(load_settings()) as warehouse:
        exists = "ops.deletion_questions" in existing_tables(warehouse)
        found = questions(warehouse, () if with_closed else UNANSWERED) if exists else []
    _show(found, as_json)


@deletions.command("confirm")
@click.argument("question_ids", nargs=-1, required=True, metavar="ID...")
@click.option("--reason", required=True, help="Why the rows are gone, in a sentence; it is kept with your name.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@as_of_option
def confirm_command(question_ids: tuple[str, ...], reason: str, as_json: bool, as_of: datetime | None) -> None:
    """Say that the rows of questions ID are deleted at their source indeed.

    The next load gives exactly these rows tombstones and queues their hours; where other rows are missing by then, it
    asks anew. Who confirmed, when and why stays in ops.deletion_questions.

    \b
    Example:
      insightmart deletions confirm 3f2a9c01 --reason "orders of 2025 were archived, ticket 4711"
    """
    if not reason.strip():
        raise click.UsageError("--reason must say why")
    settings = load_settings()
    now = acting_instant(settings, as_of)
    with writing(settings, "deletions confirm") as session, session.recorded_run(now) as run:
        try:
            found = confirm(session.warehouse, question_ids, actor(settings), reason.strip(), now)
        except KeyError as unknown:
            raise click.UsageError(f"{unknown.args[0]}; `insightmart deletions list` shows those that are") from None
        run.summary = {"confirmed": list(question_ids), "rows": sum(one.missing.rows for one in found)}
    _show(found, as_json)


def _show(found: list[Question], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps([_record(question) for question in found], default=str, indent=2))
    elif not found:
        click.echo("No question waits.")
    else:
        names = ["id", "source", "entity", "day (UTC)", "known>", "missing>", "asked (UTC)", "state", "by", "reason"]
        print_table("Rows that a source no longer shows", names, [_cells(question) for question in found], NOTE)


def _cells(question: Question) -> list[Any]:
    missing = question.missing
    place = [question.question_id, question.source, question.entity, question.day or "whole table"]
    answer = [question.asked_at, question.state, question.confirmed_by, question.reason]
    return [*place, missing.known, missing.rows, *answer]


def _record(question: Question) -> dict[str, Any]:
    """A question as its row of ops.deletion_questions, without the digest."""
    record = asdict(question)
    window, missing = record.pop("window"), record.pop("missing")
    return {
        **record,
        "day": question.day,
        "window_start": None if question.is_whole_table else window["start"],
        "window_end": window["end"],
        "rows_known": missing["known"],
        "rows_missing": missing["rows"],
    }
