"""A restore that was begun and has not ended: until it has, nothing else may write."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from insightmart.errors import InsightMartError

NOTE = "restoring.json"


@dataclass(frozen=True)
class Begun:
    """What a restore knew before it replaced anything, for the one that finishes it.

    Attributes:
        copy: name of the copy.
        highest: the highest number of an entry that the ledger is known to have had.
        erasures: customers whose personal data was erased since the copy: source, customer_id, reason.
        done: what people did since the copy, in words.
    """

    copy: str
    highest: int
    erasures: list[dict[str, Any]] = field(default_factory=list)
    done: list[str] = field(default_factory=list)


def refuse_unfinished(home: Path) -> None:
    """For every command that writes, but the restore.

    Raises:
        InsightMartError: warehouse and state may be of two moments.
    """
    if begun := begun_in(home):
        raise InsightMartError(
            f"a restore of the copy {begun.copy} has not ended: warehouse and state may be of two moments",
            "Run `insightmart restore` again",
        )


def begun_in(home: Path) -> Begun | None:
    """The restore that has not ended; None: there is none."""
    try:
        return Begun(**json.loads((home / NOTE).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError):
        return Begun("that was begun", 0)


def note_begun(home: Path, begun: Begun) -> None:
    """From here on only a restore may write."""
    text = json.dumps(asdict(begun), default=str)
    unfinished = home / f"{NOTE}.new"
    unfinished.touch(mode=0o600)
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(home / NOTE)


def note_ended(home: Path) -> None:
    """Others may write again."""
    (home / NOTE).unlink(missing_ok=True)
