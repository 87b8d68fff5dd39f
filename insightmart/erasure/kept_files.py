"""Files below INSIGHTMART_HOME that say who a customer is: kept originals of distrusted files, leftovers of loads."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, cast

ORIGINALS = "quarantine"
_ELSEWHERE = ("sandbox",)  # the sources of a demo: they are erased at the source
_DATABASES = (".duckdb", ".wal")
_ENCODINGS = ("utf-8", "utf-16-le", "utf-16-be")
_CHUNK = 8 * 2**20


def originals_that_say(home: Path, values: Sequence[str]) -> list[Path]:
    """Kept originals in which one of the values is written, packed ones unpacked."""
    folder = home / ORIGINALS
    return [path for path in _files(folder) if _says(path, values)] if values and folder.is_dir() else []


def others_that_say(home: Path, values: Sequence[str]) -> list[Path]:
    """Other files in which one of the values is written; the warehouse, whose rows are looked at, is not among them."""
    own = {ORIGINALS, "dlt", *_ELSEWHERE}
    if not values or not home.is_dir():
        return []
    top = [entry for entry in sorted(home.iterdir()) if entry.name not in own]
    found = [path for entry in top for path in (_files(entry) if entry.is_dir() else [entry])]
    return [path for path in found if path.suffix not in _DATABASES and path.is_file() and _says(path, values)]


def forget_loads(home: Path) -> None:
    """Delete what killed loads have left of their packages; the next load of the source takes their rows back."""
    for folder in (home / "dlt").glob("*"):
        shutil.rmtree(folder, ignore_errors=True)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink())


def _says(path: Path, values: Sequence[str]) -> bool:
    wanted = [value.lower().encode(encoding) for value in values for encoding in _ENCODINGS]
    overlap = max(map(len, wanted))
    kept = b""
    try:
        with _opened(path) as file:
            while chunk := file.read(_CHUNK):
                text = (kept + chunk).lower()
                if any(value in text for value in wanted):
                    return True
                kept = chunk[-overlap:]
    except (OSError, EOFError):  # a damaged archive: what could be read does not say it
        return False
    return False


def _opened(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        is_packed = file.read(2) == b"\x1f\x8b"
    return cast(IO[bytes], gzip.open(path)) if is_packed else path.open("rb")
