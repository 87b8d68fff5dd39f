"""Puts a copy of the warehouse and of SQLMesh's state back, both together.

Call it with the writer's lock held. The copy is fetched and looked at first; then a note keeps everybody else from
writing until what is replaced is aside, the copy is in its place and the ledger says so. Killed, it is done again.
"""

from __future__ import annotations

import fcntl
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import duckdb

from ingestion.clock import utc_now
from ingestion.warehouse import Warehouse
from insightmart.backups.lost_since import LostSince
from insightmart.backups.manifest import NAME, CopiedFile, Manifest
from insightmart.backups.shelf import Shelf, flush_folder, shelf_of, write_private
from insightmart.backups.unfinished import Begun, begun_in, note_begun
from insightmart.erasure.customer import Customer
from insightmart.erasure.erase import begin
from insightmart.errors import ConfigurationError, InsightMartError
from insightmart.ledger.recording import enter_restore
from insightmart.recorded_settings import refuse_recorded_others
from insightmart.runs import actor
from insightmart.settings import Settings

OTHER_COPY = "Name another one with --from; `insightmart restore --list` shows them"
BELONGINGS = ("dlt",)  # what loads have under way belongs to the warehouse that is replaced
CACHE = "cache"  # belongs to one state, and is made anew


def chosen(settings: Settings, place: str | None) -> tuple[Shelf, list[Manifest]]:
    """The copies to choose from, the latest first: those of a place, or the one that the end of the address names.

    Raises:
        ConfigurationError: the copies are of several warehouses.
        InsightMartError: the place cannot be read, or the manifest of the one that is named, or of all there are.
    """
    parent, _, last = (place or "").rstrip("/").rpartition("/")
    is_one = re.match(NAME, last) is not None
    shelf = shelf_of(settings, (parent or ".") if is_one else place)
    found = [manifest for manifest in shelf.manifests() if not is_one or manifest.name == last]
    if not found and (error := shelf.spoilt.get(last) if is_one else next(iter(shelf.spoilt.values()), None)):
        raise error
    if len({manifest.ledger_began for manifest in found}) > 1:
        raise ConfigurationError(
            f"{shelf.where} has copies of several warehouses", "Name one copy with --from PLACE/NAME"
        )
    return shelf, found


@contextmanager
def nobody_else(settings: Settings) -> Iterator[None]:
    """No other process has one of the files open, also none that does not ask for the writer's lock.

    DuckDB holds a file by a lock of the system, which a damaged file can have as well.

    Raises:
        InsightMartError: one is in use.
    """
    with ExitStack() as stack:
        for path in (settings.database_path, settings.state_path):
            if path.exists():
                file: IO[bytes] = stack.enter_context(path.open("r+b"))
                try:
                    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:
                    raise InsightMartError(
                        f"{path} is open in another process", "Close the program that has it open, and try again"
                    ) from None
        yield


def fetch(settings: Settings, shelf: Shelf, manifest: Manifest) -> Path:
    """Bring a copy into the home, beside what is there, and look at it.

    Raises:
        ConfigurationError: its warehouse was set up with other settings.
        InsightMartError: a file is not the one that was copied, cannot be read, or there is no room for it.
    """
    folder = settings.home / "incoming"
    shutil.rmtree(folder, ignore_errors=True)  # of a restore that was killed
    folder.mkdir(mode=0o700, parents=True)
    try:
        free = shutil.disk_usage(folder).free
        if free < manifest.size:
            raise InsightMartError(
                f"the copy has {manifest.size:,} bytes, and {free:,} are free in {settings.home}", "Make room"
            )
        for file in manifest.files:
            _fetched(shelf, manifest, file, folder)
        _look_at(settings, manifest, folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


def _fetched(shelf: Shelf, manifest: Manifest, file: CopiedFile, folder: Path) -> None:
    try:
        with shelf.explained("read"), shelf.opened(manifest, file) as source:
            written = write_private(folder / file.name, source)
    except InsightMartError as error:
        raise InsightMartError(
            f"{file.name} of the copy {manifest.name} is missing: {error.cause}", OTHER_COPY
        ) from None
    if written != file:
        raise InsightMartError(
            f"{file.name} of the copy {manifest.name} is not what was copied: {written.bytes:,} bytes with digest"
            f" {written.sha256[:12]}..., not {file.bytes:,} with {file.sha256[:12]}...",
            OTHER_COPY,
        )


def needs_migration(manifest: Manifest) -> bool:
    """Whether SQLMesh has to bring the state of a copy to the layout of the version that is installed."""
    return int(manifest.versions["state"]) < _layout()


def _layout() -> int:
    from sqlmesh.core.state_sync.base import SCHEMA_VERSION

    return SCHEMA_VERSION


def _look_at(settings: Settings, manifest: Manifest, folder: Path) -> None:
    if int(manifest.versions["state"]) > _layout():
        raise InsightMartError(
            f"the copy {manifest.name} was made with a later SQLMesh, {manifest.versions['sqlmesh']}",
            f"Check out its commit, {manifest.git_sha}, and install what its lock names; or name another with --from",
        )
    for file in manifest.files:
        try:
            connection = duckdb.connect(str(folder / file.name), read_only=True)
        except duckdb.Error as error:
            first = str(error).splitlines()[0]
            made = f"it was made with DuckDB {manifest.versions.get('duckdb')}"
            raise InsightMartError(f"{file.name} of the copy {manifest.name} cannot be opened: {first}", made) from None
        with Warehouse(connection, "duckdb") as opened:
            if file.name == settings.database_path.name:
                refuse_recorded_others(opened, settings)


def put_in_place(settings: Settings, manifest: Manifest, incoming: Path, lost: LostSince) -> tuple[Path, Begun]:
    """Put what is there aside, and the copy in its place. Nobody else may write from here on, until the note is gone.

    Returns:
        The folder with what was replaced, and what the one who enters it in the ledger has to know.

    Raises:
        InsightMartError: a file cannot be moved.
    """
    home = settings.home
    begun = Begun(manifest.name, lost.highest, lost.erasures, lost.done)
    if before := begun_in(home):  # the first one saw the warehouse that was replaced
        begun = replace(
            begun,
            highest=max(begun.highest, before.highest),
            erasures=[*before.erasures, *(one for one in begun.erasures if one not in before.erasures)],
            done=[*before.done, *(line for line in begun.done if line not in before.done)],
        )
    note_begun(home, begun)
    aside = home / "replaced" / f"{utc_now():%Y%m%dT%H%M%S%fZ}"
    try:
        aside.parent.mkdir(mode=0o700, exist_ok=True)
        aside.mkdir(mode=0o700)
        paths = (settings.state_path, settings.database_path)
        logs = [path.with_name(f"{path.name}.wal") for path in paths]
        for path in (*logs, *paths, *(home / name for name in BELONGINGS)):
            if path.exists():
                path.rename(aside / path.name)
        shutil.rmtree(home / CACHE, ignore_errors=True)
        for file in manifest.files:
            (incoming / file.name).rename(home / file.name)
        incoming.rmdir()
        flush_folder(home)
    except OSError as error:
        raise InsightMartError(
            f"the copy could not be put in place: {error}", "What was there is in the home or aside; run it again"
        ) from None
    return aside, begun


def enter_in(
    warehouse: Warehouse,
    settings: Settings,
    manifest: Manifest,
    begun: Begun,
    aside: Path,
    run_id: str,
    as_of: datetime,
) -> dict[str, Any]:
    """Say in the ledger of the copy that it was put in place, and take over what must not be forgotten.

    Args:
        warehouse: the copy, open to be written.
        settings: who acts.
        manifest: which copy it is.
        begun: what was known before.
        aside: the folder with what was replaced.
        run_id: the run of the restore.
        as_of: its "now".

    Returns:
        What there is to say of it.
    """
    told: dict[str, Any] = {
        "copy": manifest.name,
        "copied_at": manifest.copied_at,
        "copied_by": manifest.made_by,
        "acted": actor(settings),
        "replaced": str(aside.relative_to(settings.home)),
        "lost_through": begun.highest if begun.highest > manifest.ledger_sequence else None,
        "lost": begun.done,
    }
    told = {name: value for name, value in told.items() if value}
    enter_restore(warehouse, settings, told, begun.highest)
    for one in begun.erasures:
        customer = Customer(str(one["source"]), int(one["customer_id"]))
        begin(warehouse, customer, str(one["reason"]), actor(settings), run_id, as_of)
    return told
