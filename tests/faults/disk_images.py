"""Runs a command of the pipeline and keeps the disk as a kill would leave it, wherever it is another one.

A process that is killed leaves its files as they are at that moment. So a home that is copied while its process stands
still between two statements is exactly what a kill there leaves, and one run of a command gives every kill of it: many
statements change nothing on the disk, and those need no copy of their own. Run as
``python -m tests.faults.disk_images FOLDER PENDING ONLY COMMAND ...`` with the settings of the pipeline in the
environment; ONLY are the numbers of the images to be kept, separated by commas, or ``all``.
Every connection to DuckDB in the process is watched, whoever opened it: the warehouse, SQLMesh's state, dlt's, Soda's.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from tenacity import retry, retry_if_result, wait_fixed

from tests.faults.watched import watch

# What a sandbox keeps of itself, what is written for people, and what a home shares with others is not the pipeline's.
NOT_IMAGED = frozenset({"sandbox", "status", "logs"})
NOT_LOOKED_AT = NOT_IMAGED | {"cache"}  # thousands of files, each of which can be made again


class DiskImages:
    """Copies of a home, one for each state of its files that a statement left.

    Attributes:
        statements: how many were sent.
        taken: how many images there are, those that are not kept among them.
    """

    def __init__(self, home: Path, folder: Path, pending: int, only: frozenset[int] | None) -> None:
        self.home, self.folder, self.pending, self.only = home, folder, pending, only
        self.statements = self.taken = 0
        self._last: object = None

    def point(self, statement: str) -> None:
        """A moment between two statements: nobody else is within one."""
        self.statements += 1
        signature = tuple(_signature(self.home))
        if signature == self._last:
            return
        self._last = signature
        self.taken += 1
        if self.only is not None and self.taken not in self.only:
            return
        self._wait_for_room()
        image = self.folder / f"{self.taken:05d}"
        shutil.copytree(self.home, image / "home", symlinks=True, ignore=_left_out(self.home))
        what = {"before": " ".join(statement.split())[:300], "statement": self.statements, "thread": _thread()}
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
    kept = None if only == "all" else frozenset(map(int, only.split(",")))
    images = DiskImages(Path(os.environ["INSIGHTMART_HOME"]), Path(folder), int(pending), kept)
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
            json.dumps({"statements": images.statements, "images": images.taken, "code": code}), encoding="utf-8"
        )


if __name__ == "__main__":
    main()
