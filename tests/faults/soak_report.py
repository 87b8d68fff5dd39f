"""What a soak comes to: cycles, faults by kind, how they were healed and how long it took, what the business did."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from insightmart.console_tables import print_table

if TYPE_CHECKING:
    from tests.faults.soak import Soak

# What the business does by itself, by the words of the sandbox
PLANTED = {
    "files that come late": r"\blate\b(?! commit)(?!.* commit)",
    "rows committed late": r"late commit",
    "corrections, moves and cancellations days later": r"correction of the|moved by|cancelled days later",
    "hours that the gate refuses until they are repaired": r"^price bug: ",
    "outages of the shop": r"shop is down",
    "rows that are hidden": r"policy hides|being restored",
    "days of 23 or 25 hours": r"clocks change",
}
COLUMNS = (
    "Fault",
    "Played>",
    "Healed in its own hour>",
    "Hours by a later one>",
    "Cycles more, mean>",
    "Hours until fresh, most>",
    "Seconds of its cycle, most>",
)


def rows_of(soak: Soak) -> list[dict[str, Any]]:
    """Each kind of fault with how often it was played, how often and after how many cycles it was healed.

    An hour without a fault of its own that waits, because the one before does, is counted to what that waits for.
    """
    names = sorted({*soak.played, *soak.healed_after}, key=lambda name: (-soak.played.get(name, 0), name))
    found = []
    for name in names:
        healed = soak.healed_after.get(name, [])
        later = [cycles for cycles in healed if cycles]
        found.append(
            {
                "fault": name,
                "played": soak.played.get(name, 0),
                "healed_in_its_own_cycle": healed.count(0),
                "hours_healed_later": len(later),
                "cycles_more": round(sum(later) / len(later), 1) if later else 0,
                "hours_until_fresh": max(later, default=0),
                "seconds_of_its_cycle": soak.slowest.get(name, 0.0),
            }
        )
    return found


def planted(soak: Soak) -> Counter[str]:
    """What the business did by itself, by kind; whatever has no kind here is another fault of it."""
    found: Counter[str] = Counter()
    for what in soak.planted:
        kinds = (kind for kind, words in PLANTED.items() if re.search(words, what))
        found[next(kinds, "other faults of rows and files")] += 1
    return found


def totals(soak: Soak) -> dict[str, Any]:
    """The play in numbers."""
    cycles = max(1, soak.done)
    return {
        "seed": soak.seed,
        "cycles": soak.done,
        "with_trouble": sum(number for name, number in soak.played.items() if name != "nothing"),
        "certified_hours": soak.certified,
        "hours_by_a_later_cycle": len(soak.second),
        "retries_within_a_cycle": soak.retries,
        "repeated_within_their_hour": soak.repeated,
        "held_back_and_the_rest_exact": soak.held_back,
        "promoted": soak.promoted,
        "closed_in_hour": soak.closed,
        "processor_seconds_a_cycle": {name: round(spent / cycles, 2) for name, spent in soak.processor.items()},
        "moments_that_a_reader_looked_at": soak.moments,
        "changes_that_it_saw": soak.changes,
        "wrong": len(soak.wrong),
    }


def as_json(soak: Soak) -> dict[str, Any]:
    """Everything, for a program."""
    return {
        **totals(soak),
        "faults": rows_of(soak),
        "planted": dict(planted(soak)),
        "second": soak.second,
        "failures": soak.wrong,
    }


def print_report(soak: Soak) -> None:
    """Print the table of faults, what the business did, and the numbers of the play."""
    print_table(
        f"{soak.done} cycles, {soak.certified} hours certified as the truth has them, seed {soak.seed}",
        COLUMNS,
        [list(row.values()) for row in rows_of(soak)],
        "",
    )
    print_table("", ("The business itself", "Times>"), [list(one) for one in planted(soak).most_common()], "")
    print_table("", ("The play", "Value>"), [[name, str(value)] for name, value in totals(soak).items()], "")


def as_markdown(plays: Sequence[dict[str, Any]]) -> str:
    """The plays of several seeds as two tables for a page: the plays side by side, and the faults of all of them."""
    names = [name for name in plays[0] if name not in ("faults", "planted", "second", "failures")]
    lines = [
        "| The play" + "".join(f" | seed {play['seed']}" for play in plays) + " |",
        "|---" * (1 + len(plays)) + "|",
    ]
    for name in names[1:]:
        values = (play.get(name, 0) for play in plays)
        lines.append(f"| {name.replace('_', ' ')} | " + " | ".join(_in_words(value) for value in values) + " |")
    lines += ["", "| " + " | ".join(column.rstrip(">") for column in COLUMNS) + " |", "|---" * len(COLUMNS) + "|"]
    faults: dict[str, list[dict[str, Any]]] = {}
    for row in (row for play in plays for row in play["faults"]):
        faults.setdefault(row["fault"], []).append(row)
    for name, rows in sorted(faults.items(), key=lambda one: -sum(row["played"] for row in one[1])):
        later = sum(row["hours_healed_later"] for row in rows)
        more = sum(row["hours_healed_later"] * row["cycles_more"] for row in rows) / later if later else 0
        most = (max(row[column] for row in rows) for column in ("hours_until_fresh", "seconds_of_its_cycle"))
        counted = (sum(row[column] for row in rows) for column in ("played", "healed_in_its_own_cycle"))
        lines.append("| " + " | ".join(map(_in_words, [name, *counted, later, round(more, 1), *most])) + " |")
    return "\n".join(lines)


def _in_words(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {number:,}" for name, number in value.items()) or "none"
    return f"{value:,}" if isinstance(value, int | float) else str(value)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
def main(files: tuple[Path, ...]) -> None:
    """Print what plays came to, by the files of `--json`, as tables for docs/reliability.md."""
    click.echo(as_markdown([json.loads(file.read_text(encoding="utf-8")) for file in files]))


if __name__ == "__main__":
    main()
