"""Makes a copy of the warehouse and of SQLMesh's state, of one moment.

Call it with the writer's lock held. Both files are opened for as long as they are copied, so that no other process has
them, plain `sqlmesh` included; nothing waits in a log beside them, and what is copied is the file, byte by byte.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from io import BufferedReader
from pathlib import Path

import duckdb

from ingestion.clock import utc_now
from ingestion.warehouse import Warehouse
from insightmart.backups.manifest import CopiedFile, Manifest
from insightmart.backups.shelf import Shelf
from insightmart.backups.unfinished import refuse_unfinished
from insightmart.certification.datasets import catalogue
from insightmart.certification.state import certified_through
from insightmart.checkout import look_at
from insightmart.errors import ConfigurationError, InsightMartError
from insightmart.gateway import open_file
from insightmart.ledger.recording import last_head
from insightmart.runs import actor
from insightmart.settings import Settings

PATIENCE = 60  # seconds to wait for whoever reads a file itself
RESTORE = "Put the last good copy back with `insightmart restore`"


def make_copy(settings: Settings, shelf: Shelf, keep: int) -> tuple[Manifest, list[Manifest]]:
    """Copy the warehouse and the state, then delete the oldest copies. One whose manifest says nothing is not counted.

    Args:
        settings: name the home.
        shelf: where the copies are.
        keep: how many there are afterwards, at most.

    Returns:
        The copy, and those that were deleted.

    Raises:
        ConfigurationError: there is nothing to copy, or the place is another warehouse's.
        InsightMartError: a file is in use, missing or damaged, or the place cannot be written. Copies that are there
            stay.
    """
    refuse_unfinished(settings.home)
    paths = (settings.database_path, settings.state_path)
    _refuse_missing(paths)
    name = f"{utc_now():%Y%m%dT%H%M%SZ}"
    with ExitStack() as stack:
        sources = [stack.enter_context(_at_rest(path)) for path in paths]
        (_, warehouse), (_, state) = sources
        with _read_whole(paths):
            described = _described(settings, name, warehouse, state)
        known = shelf.manifests()
        _refuse_other(known, described, shelf)
        files = [_copied(shelf, name, path, file) for path, (file, _) in zip(paths, sources, strict=True)]
        made = described.model_copy(update={"files": tuple(files)})
        shelf.finish(made)
    old = [made, *known][keep:]
    for manifest in old:
        shelf.remove(manifest)
    return made, old


def _refuse_missing(paths: tuple[Path, ...]) -> None:
    missing = [path for path in paths if not path.exists()]
    if len(missing) == len(paths):
        raise ConfigurationError(
            f"there is nothing to copy: {paths[0]} does not exist", "Run `insightmart cycle` first"
        )
    if missing:
        raise InsightMartError(
            f"{missing[0]} is missing, and {paths[0].parent} has the other of the two files", RESTORE
        )


@contextmanager
def _at_rest(path: Path) -> Iterator[tuple[BufferedReader, Warehouse]]:
    """A file that this process has for itself, all of it written: to be read, and the connection to it.

    The file is opened first and closed last: whoever closes one of several handles lets go of the lock of all of them.
    """
    with path.open("rb") as file:
        with _read_whole((path,)):
            opened = open_file(path, PATIENCE)
        with opened:
            with _read_whole((path,)):
                opened.execute("CHECKPOINT")
            yield file, opened


@contextmanager
def _read_whole(paths: tuple[Path, ...]) -> Iterator[None]:
    """A file that cannot be read is damaged: no copy is made of it."""
    try:
        yield
    except duckdb.Error as error:
        first = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        names = " or ".join(path.name for path in paths)
        raise InsightMartError(f"{names} is damaged, and was not copied: {first}", RESTORE) from None


def _described(settings: Settings, name: str, warehouse: Warehouse, state: Warehouse) -> Manifest:
    if not warehouse.rows("SELECT 1 FROM duckdb_tables() WHERE table_name ILIKE 'ledger' AND schema_name ILIKE 'ops'"):
        raise ConfigurationError(
            "there is nothing to copy: no command has written yet", "Run `insightmart cycle` first"
        )
    head = last_head(warehouse)
    if head is None:
        raise ConfigurationError("there is nothing to copy: the ledger is empty", "Run `insightmart cycle` first")
    through = certified_through(warehouse)
    hourly = [at for part in catalogue().parts if part.is_hourly and (at := through[part.gate])]
    layout, sqlmesh = state.rows("SELECT schema_version, sqlmesh_version FROM sqlmesh._versions")[0]
    return Manifest(
        name=name,
        made_at=utc_now().replace(microsecond=0),
        made_by=actor(settings),
        git_sha=look_at().commit,
        versions={
            "python": ".".join(map(str, sys.version_info[:3])),
            "duckdb": version("duckdb"),
            "sqlmesh": str(sqlmesh),
            "state": str(layout),
        },
        ledger_began=str(warehouse.value("SELECT entry_hash FROM ops.ledger ORDER BY sequence LIMIT 1")),
        ledger_sequence=head.sequence,
        ledger_hash=head.entry_hash,
        certified_through=min(hourly, default=None),
        files=(),
    )


def _refuse_other(known: list[Manifest], made: Manifest, shelf: Shelf) -> None:
    """What is deleted later must be our own."""
    if other := next((manifest for manifest in known if manifest.ledger_began != made.ledger_began), None):
        raise ConfigurationError(
            f"{shelf.where} has copies of another warehouse, for example {other.name}",
            "Name a place of its own: `insightmart backup PLACE`, or BACKUP_URL",
        )
    if any(manifest.name == made.name for manifest in known):
        raise ConfigurationError(f"{shelf.where} has a copy of this second already", "Try again")


def _copied(shelf: Shelf, name: str, path: Path, source: BufferedReader) -> CopiedFile:
    source.seek(0)
    return shelf.put(name, path.name, source)
