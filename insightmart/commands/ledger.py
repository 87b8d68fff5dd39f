"""`insightmart ledger`: what was done and by whom, and whether anybody has changed it since."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

import click

from insightmart.certification.observations import existing_tables
from insightmart.commands.options import Instant
from insightmart.commands.session import reading, writing
from insightmart.console_tables import print_table
from insightmart.errors import FAILED, ConfigurationError, InsightMartError
from insightmart.ledger.chain import Entry, Head, Kind
from insightmart.ledger.kept_heads import Outside, OutsideHead, head_store
from insightmart.ledger.recording import LEDGER, last_head, note
from insightmart.ledger.verification import Verified, latest_entries, verify
from insightmart.progress import step
from insightmart.readers.publishing import publish_copy
from insightmart.settings import Settings, load_settings

SHOWN = 50
NOTHING_YET = "Nothing has been entered yet: the first `insightmart cycle` begins the ledger."


@click.group()
def ledger() -> None:
    """What was loaded, checked, built and done by hand: by whom, with which code, and that it stands as it was written.

    Every entry has the hash of the one before and digests of the rows it speaks of, in ops.loads, ops.check_results,
    ops.runs and others. So whoever changes a row, or an entry, has to rewrite all that follows; and the heads of the
    ledger that are in the daily mails and in the bucket of EVIDENCE_URL show that.
    """


@ledger.command("verify")
@click.option(
    "--since", type=Instant(), help="Only evidence entered since this UTC instant; entries are all looked at."
)
@click.option(
    "--head",
    "heads",
    multiple=True,
    metavar="NUMBER:HASH",
    help="A head from a mail or from `ledger head`, to be compared; may be given several times.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def verify_command(since: datetime | None, heads: tuple[str, ...], as_json: bool) -> int:
    """Hash every entry again, compare the rows of evidence with their digests, and the heads kept outside.

    Names every entry that was changed, removed, put in or moved, every row of evidence that is not as it was entered,
    rows that no entry covers, and from where on a ledger was rewritten. A ledger that is damaged says what it still
    proves: runs of entries that each follow the one before.

    \b
    Examples:
      insightmart ledger verify
      insightmart ledger verify --head 815:9f2c...   # a head from a mail
      insightmart ledger verify --since 2026-03-01 --json

    \b
    Exit codes: 0 everything is as it was written; 1 something is not; 2 wrong usage or configuration.
    """
    given = [OutsideHead(_head(text), "the head that was given") for text in heads]
    settings = load_settings()
    with reading(settings, is_whole=True) as warehouse, step("Ledger") as progress:
        if LEDGER not in existing_tables(warehouse):
            raise ConfigurationError("there is no ledger: ops.ledger does not exist", "Run `insightmart cycle` first")
        found = verify(warehouse, partial(_outside, settings, given), progress.say, since)
        progress.failed = not found.is_sound
        progress.outcome = f"{found.entries:,} entries, {found.rows:,} rows of evidence"
    if as_json:
        click.echo(json.dumps(found.as_json(), default=str, indent=2))
    else:
        _print_verified(found)
    return 0 if found.is_sound else FAILED


def _outside(settings: Settings, given: list[OutsideHead], hash_of: Callable[[int], str | None]) -> Outside:
    """The heads that were given and those in the bucket; one that does not answer is said, and keeps nothing back."""
    found = Outside()
    try:
        if store := head_store(settings):
            found = store.read(hash_of)
    except InsightMartError as error:
        found.notes.append(f"no head in the bucket was compared: {error.cause}")
    found.heads += given
    return found


def _head(text: str) -> Head:
    number, _, entry_hash = text.strip().partition(":")
    is_hash = len(entry_hash) == 64 and set(entry_hash.lower()) <= set("0123456789abcdef")
    if not number.isascii() or not number.isdigit() or not is_hash:
        raise click.BadParameter(
            f"{text!r} is no NUMBER:HASH as `insightmart ledger head` prints it", param_hint="--head"
        )
    return Head(int(number), entry_hash.lower())


def _print_verified(found: Verified) -> None:
    if found.damage:
        print_table(
            "Not as it was written",
            ["what", "where", "entry>", "finding"],
            [[one.what, one.table, one.sequence, one.message] for one in found.damage[:SHOWN]],
            f"{len(found.damage) - SHOWN} more; --json shows all." if len(found.damage) > SHOWN else "",
        )
        counts = Counter((one.what, one.table) for one in found.damage)
        click.echo("; ".join(f"{count} {what} in {table}" for (what, table), count in counts.items()))
    for line in found.notes:
        click.echo(f"Note: {line}.")
    proven = ", ".join(_stretch(stretch) for stretch in found.stretches) or "none"
    click.echo(f"Entries that prove each other: {proven}.")
    anchored = ", ".join(_stretch(stretch) for stretch in found.anchored)
    click.echo(
        f"Compared with {found.compared} heads kept outside, which nobody can have rewritten: {anchored or 'none'}."
        if found.compared
        else "Compared with no head kept outside: a ledger rewritten as a whole would not show."
        " Give one with --head; to a bucket that EVIDENCE_URL names every command that writes sends one."
    )
    click.echo(f"{found.entries:,} entries, {found.rows:,} rows of evidence: {_verdict(found)}.")


def _verdict(found: Verified) -> str:
    return "sound" if found.is_sound else f"NOT SOUND, {len(found.damage)} findings"


def _stretch(stretch: tuple[int, int]) -> str:
    first, last = stretch
    return f"{first}" if first == last else f"{first} to {last}"


@ledger.command("show")
@click.option("--kind", type=click.Choice([str(kind) for kind in Kind]), help="Only entries of this kind.")
@click.option("--run", "run_id", help="Only entries of this run id.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="At most so many entries.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with the digests.")
def show_command(kind: str | None, run_id: str | None, limit: int, as_json: bool) -> None:
    """Show the last entries: what, by whom, with which commit (* marks a working tree that differed from it).

    \b
    Examples:
      insightmart ledger show --kind promotion
      insightmart ledger show --run cycle-20260306T0105-1a2b3c4d --json
    """
    with reading(load_settings(), is_whole=True) as warehouse:
        found = latest_entries(warehouse, limit, kind, run_id) if LEDGER in existing_tables(warehouse) else []
    if as_json:
        click.echo(json.dumps([entry.as_json() for entry in found], default=str, indent=2))
    elif not found:
        click.echo("No entry is like that." if kind or run_id else NOTHING_YET)
    else:
        columns = ["entry>", "recorded (UTC)", "kind", "subject", "by", "commit", "details"]
        print_table("The ledger, newest first", columns, [_cells(entry) for entry in found])


def _cells(entry: Entry) -> list[Any]:
    commit = f"{entry.git_sha[:10]}{'*' if entry.is_dirty else ''}" if entry.git_sha else ""
    told = ", ".join(f"{name} {_short(value)}" for name, value in entry.told.items())
    return [entry.sequence, entry.recorded_at, entry.kind, entry.subject, entry.actor, commit, told]


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


@ledger.command("head")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def head_command(as_json: bool) -> None:
    """Print number and hash of the last entry, to be kept anywhere else: it stands for all entries up to it.

    `insightmart ledger verify --head NUMBER:HASH` says later whether any of them has been changed.
    """
    with reading(load_settings(), is_whole=True) as warehouse:
        found = last_head(warehouse) if LEDGER in existing_tables(warehouse) else None
    if as_json:
        click.echo(json.dumps(found and {"sequence": found.sequence, "entry_hash": found.entry_hash}))
    else:
        click.echo(str(found) if found else NOTHING_YET)


@ledger.command("note")
@click.argument("text")
def note_command(text: str) -> None:
    """Enter what you did by hand outside of these commands: with your name, the time and the commit, for good.

    \b
    Example:
      insightmart ledger note "gave up correction 3f2a9c01: the store was closed that day, ticket 4711"
    """
    if not text.strip():
        raise click.UsageError("TEXT must say what was done")
    settings = load_settings()
    with writing(settings, "ledger note") as session:
        head = note(session.warehouse, settings, text.strip())
        publish_copy(session.warehouse, settings.home)
    click.echo(f"entry {head.sequence}, {head.entry_hash}")
