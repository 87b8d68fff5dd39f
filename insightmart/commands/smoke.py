"""`insightmart smoke`: what a Snowflake account is tried with before anything depends on it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from insightmart.console_tables import print_table
from insightmart.errors import DONE, FAILED
from insightmart.settings import load_settings

if TYPE_CHECKING:
    from insightmart.smoke.trial import Tried


@click.command()
@click.argument("checks", nargs=-1)
@click.option("--write", "writes", is_flag=True, help="Also what creates something, in a schema SMOKE_... of its own.")
@click.option("--keep", "keeps", is_flag=True, help="Leave that schema, to look at it.")
@click.option("--list", "lists", is_flag=True, help="List the checks and do nothing.")
@click.option("--json", "target", type=click.Path(dir_okay=False, path_type=Path), help="Also write the table here.")
def smoke_command(checks: tuple[str, ...], writes: bool, keeps: bool, lists: bool, target: Path | None) -> int:
    """Try a Snowflake account: sessions, every statement, every type, files, transactions, rights, plans.

    It only reads unless --write is given; what that creates lies in a schema of its own, which is dropped at the end,
    also after an error. CHECKS, by name, narrow it. Run it again after the first cycle, when all tables are there, and
    after a promotion. docs/snowflake.md says what each check is for.

    \b
    Examples:
      insightmart smoke
      insightmart smoke --write --json smoke.json
      insightmart smoke "every statement of the corpus compiles"

    Exit codes: 0 everything held; 1 something did not, or could not be tried; 2 no account is configured.
    """
    from insightmart.smoke.rehearsal import rehearse
    from insightmart.smoke.trial import CHECKS

    if lists:
        rows = [[one.name, "--write" if one.writes else ""] for one in CHECKS.values()]
        print_table("What is tried", ["check", "needs"], rows)
        return DONE
    if keeps and not writes:
        raise click.UsageError("--keep needs --write: there is nothing to keep otherwise")
    if unknown := [name for name in checks if name not in CHECKS]:
        raise click.UsageError(f"there is no check {unknown[0]!r}; --list names them")
    if not writes and (changing := [name for name in checks if CHECKS[name].writes]):
        raise click.UsageError(f"{changing[0]!r} creates something: it needs --write")
    if target is not None and not target.absolute().parent.is_dir():
        raise click.UsageError(f"--json: there is no folder {target.absolute().parent}")
    tried = rehearse(load_settings(), checks, writes=writes, keeps=keeps)
    if target is not None:
        target.write_text(json.dumps([asdict(one) for one in tried], indent=2, ensure_ascii=False), encoding="utf-8")
    left_out = 0 if writes or checks else sum(one.writes for one in CHECKS.values())
    _print(tried, f"{left_out} more checks create something: --write" if left_out else "")
    return DONE if all(one.verdict == "held" for one in tried) else FAILED


def _print(tried: Sequence[Tried], note: str) -> None:
    print_table(
        "\nWhat held",
        ["check", "verdict", "seen", "seconds>", "statement id"],
        [[one.check, one.verdict, one.seen, f"{one.seconds:.1f}", one.statement_id] for one in tried],
        note,
    )
    counts = Counter(one.verdict for one in tried)
    click.echo(f"{', '.join(f'{count} {verdict}' for verdict, count in counts.items())}.")
