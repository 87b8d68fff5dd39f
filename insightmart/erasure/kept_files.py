"""Files that say who a customer is: kept originals of distrusted files, what else is below the home or at KEPT_URL."""

from __future__ import annotations

import gzip
import io
import shutil
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import IO, cast

from ingestion.loading.originals import FOLDER, Originals
from insightmart.kept_log import FOLDER as LOGS
from insightmart.kept_place import KeptPlace

_ELSEWHERE = ("sandbox",)  # the sources of a demo: they are erased at the source
_DATABASES = (".duckdb", ".wal")
_ENCODINGS = ("utf-8", "utf-16-le", "utf-16-be")
_CHUNK = 8 * 2**20
_AT_ONCE = 8  # objects of a bucket that are read at a time


def originals_that_say(originals: Originals, values: Sequence[str]) -> list[str]:
    """Names of the kept originals in which one of the values is written, packed ones unpacked."""
    return (
        [name for name in originals.sizes() if _says(io.BytesIO(originals.read(name) or b""), values)] if values else []
    )


def others_that_say(home: Path, place: KeptPlace | None, values: Sequence[str], since: date | None) -> list[str]:
    """Where else one of the values is written; the warehouse, whose rows are looked at, is not among them.

    Args:
        home: whose files are read.
        place: KEPT_URL, of which each object is read once.
        values: what is looked for.
        since: logs of days before it are not read; None: all are.
    """
    if not values:
        return []
    found = [str(path) for path in _others(home) if _file_says(path, values)]
    if place is None:
        return found
    names = [name for name in place.sizes() if not name.startswith(f"{FOLDER}/") and not _is_log_before(name, since)]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        said = list(pool.map(lambda name: _says(io.BytesIO(place.read(name) or b""), values), names))
    return [*found, *(place.address(name) for name, says in zip(names, said, strict=True) if says)]


def _is_log_before(name: str, since: date | None) -> bool:
    return since is not None and name.startswith(f"{LOGS}/") and name < f"{LOGS}/{since:%Y/%m/%d}"


def forget_loads(home: Path) -> None:
    """Delete what killed loads have left of their packages; the next load of the source takes their rows back."""
    for folder in (home / "dlt").glob("*"):
        shutil.rmtree(folder, ignore_errors=True)


def _others(home: Path) -> Iterator[Path]:
    own = {FOLDER, "dlt", *_ELSEWHERE}
    for entry in sorted(home.glob("*")):
        if entry.name not in own:
            yield from _files(entry) if entry.is_dir() else [entry]


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink())


def _file_says(path: Path, values: Sequence[str]) -> bool:
    if path.suffix in _DATABASES or not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            return _says(file, values)
    except OSError:
        return False


def _says(file: IO[bytes], values: Sequence[str]) -> bool:
    wanted = [value.lower().encode(encoding) for value in values for encoding in _ENCODINGS]
    overlap = max(map(len, wanted))
    kept = b""
    try:
        text = _unpacked(file)
        while chunk := text.read(_CHUNK):
            now = (kept + chunk).lower()
            if any(value in now for value in wanted):
                return True
            kept = chunk[-overlap:]
    except (OSError, EOFError, zlib.error):  # a damaged archive: what could be read does not say it
        return False
    return False


def _unpacked(file: IO[bytes]) -> IO[bytes]:
    is_packed = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    return cast(IO[bytes], gzip.open(file)) if is_packed else file
