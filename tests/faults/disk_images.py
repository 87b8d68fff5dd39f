"""Runs a command of the pipeline and keeps the disk as a kill would leave it, wherever it is another one.

A process that is killed leaves its files as they are at that moment. So a home that is copied while its process stands
still between two statements is exactly what a kill there leaves, and one run of a command gives every kill of it: many
statements change nothing on the disk, and those need no copy of their own. Run as
``python -m tests.faults.disk_images FOLDER PENDING ONLY COMMAND ...`` with the settings of the pipeline in the
environment; ONLY are the numbers of the images to be kept, separated by commas, or ``all``, or ``kinds``: the first one
that each kind of statement left.
Every connection to DuckDB in the process is watched, whoever opened it: the warehouse, SQLMesh's state, dlt's, Soda's.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from tenacity import retry, retry_if_result, wait_fixed

from tests.faults.watched import watch

# What a sandbox keeps of itself, what is written for people, and what a home shares with others is not the pipeline's.
NOT_IMAGED = frozenset({"sandbox", "status", "logs"})
NOT_LOOKED_AT = NOT_IMAGED | {"cache"}  # thousands of files, each of which can be made again
_NO_NAMES = re.compile(r"/\*.*?\*/|'(?:[^']|'')*'", re.DOTALL)
_VERB = re.compile(r"(?:[A-Za-z]+\s+){0,3}[A-Za-z]*")
_TABLE = re.compile(r'(?:"?\w+"?\.)+"?\w+"?')
_OF_TRANSACTIONS = ("begin", "commit", "rollback")
_OF_ONE_RUN = re.compile(r"_[0-9A-Fa-f]{6,}\b|\d+")


def kind_of(statement: str) -> str:
    """What a statement does, and to what: with its table, but of SQLMesh's many and of a scan with the schema only."""
    text = _NO_NAMES.sub("", statement).strip()
    verb = " ".join(_VERB.match(text)[0].lower().split())  # type: ignore[index] it matches nothing, too
    found = _TABLE.search(text)
    parts = [_OF_ONE_RUN.sub("", part).lower() for part in found[0].replace('"', "").split(".")] if found else []
    many = next((part for part in parts if part.startswith(("sqlmesh__", "gate_scan"))), None)
    return f"{verb}: {many or '.'.join(parts[-2:])}"


class DiskImages:
    """Copies of a home, one for each state of its files that a statement left.

    Attributes:
        statements: how many were sent.
        taken: how many images there are, those that are not kept among them.
        kept: how many were kept; their folders are numbered by it.
        kinds: kinds of statements that left another disk, with their numbers.
    """

    def __init__(
        self, home: Path, folder: Path, pending: int, only: frozenset[int] | None, *, one_a_kind: bool = False
    ) -> None:
        self.home, self.folder, self.pending, self.only, self.one_a_kind = home, folder, pending, only, one_a_kind
        self.statements = self.taken = self.kept = 0
        self.kinds: Counter[str] = Counter()
        self._last: object = None
        self._sent = self._kind = "the start"

    def point(self, statement: str) -> None:
        """A moment between two statements: nobody else is within one."""
        self.statements += 1
        signature, sent, self._sent = tuple(_signature(self.home)), self._sent, statement
        if not kind_of(sent).startswith(_OF_TRANSACTIONS):  # what is committed is what was sent before
            self._kind = kind_of(sent)
        if signature == self._last:
            return
        self._last = signature
        self.taken += 1
        self.kinds[self._kind] += 1
        if self.only is not None and self.taken not in self.only:
            return
        if self.one_a_kind and self.kinds[self._kind] > 1:
            return
        self._wait_for_room()
        self.kept += 1
        image = self.folder / f"{self.kept:05d}"
        shutil.copytree(self.home, image / "home", symlinks=True, ignore=_left_out(self.home))
        what = {
            "number": self.taken,
            "before": " ".join(statement.split())[:300],
            "after": " ".join(sent.split())[:300],
            "statement": self.statements,
            "thread": _thread(),
        }
        (image / "point.json").write_text(json.dumps(what), encoding="utf-8")
        (image / "complete").touch()

    def _wait_for_room(self) -> None:
        waiting = retry(retry=retry_if_result(lambda number: number >= self.pending), wait=wait_fixed(0.2))
        waiting(lambda: sum(1 for _ in self.folder.iterdir()))()


def _signature(home: Path) -> Iterator[tuple[str, int, int]]:
    """Every file of a home with its size and the time of its last change."""
    for folder, names, files in os.walk(home):
        if Path(folder) == home:
            names[:] = sorted(set(names) - NOT_LOOKED_AT)
        for name in files:
            path = Path(folder, name)
            try:
                found = path.stat()
            except FileNotFoundError:
                continue
            yield str(path), found.st_size, found.st_mtime_ns


def _left_out(home: Path) -> Callable[[str, list[str]], set[str]]:
    return lambda folder, names: NOT_IMAGED & set(names) if Path(folder) == home else set()


def _thread() -> str:
    return threading.current_thread().name


def main() -> None:
    folder, pending, only, command, *arguments = sys.argv[1:]
    kept = None if only in ("all", "kinds") else frozenset(map(int, only.split(",")))
    home = Path(os.environ["INSIGHTMART_HOME"])
    images = DiskImages(home, Path(folder), int(pending), kept, one_a_kind=only == "kinds")
    watch(images.point)
    sys.argv = [command, *arguments]
    code: object = 0
    try:
        if command == "sqlmesh":
            from sqlmesh.cli.main import cli

            cli()
        else:
            from insightmart.cli import main as insightmart

            insightmart()
    except SystemExit as ended:
        code = ended.code
    finally:
        images.point("the end")
        (images.folder.parent / "statements.json").write_text(
            json.dumps(
                {"statements": images.statements, "images": images.taken, "kinds": len(images.kinds), "code": code}
            ),
            encoding="utf-8",
        )


if __name__ == "__main__":
    main()
