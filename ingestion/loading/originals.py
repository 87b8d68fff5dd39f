"""Where originals of distrusted files are kept: below the home, unless a run is given another place."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ingestion.loading.context import IngestContext

FOLDER = "quarantine"


class Originals(Protocol):
    """Files by the SHA-256 of their bytes: a name is never anything that a sender chose."""

    def keep(self, file_hash: str, content: bytes) -> str:
        """Keep a file; returns where, for people. Raises SourceError: it cannot be kept."""

    def read(self, file_hash: str) -> bytes | None:
        """The bytes that are kept under a name, None where nothing is."""

    def sizes(self) -> dict[str, int]:
        """Everything that is kept: bytes by name."""

    def delete(self, file_hash: str) -> None:
        """Delete a file for good; one that is not there is gone already."""


class HomeOriginals:
    """The folder ``quarantine`` of a home."""

    def __init__(self, home: Path) -> None:
        self.folder = home.resolve() / FOLDER

    def keep(self, file_hash: str, content: bytes) -> str:
        path = self.folder / file_hash
        if not path.exists() or hashlib.sha256(path.read_bytes()).hexdigest() != file_hash:  # not there, or damaged
            self.folder.mkdir(parents=True, exist_ok=True)
            half = path.with_suffix(".part")
            half.write_bytes(content)
            half.replace(path)
        return str(path)

    def read(self, file_hash: str) -> bytes | None:
        path = self.folder / file_hash
        return path.read_bytes() if path.is_file() else None

    def sizes(self) -> dict[str, int]:
        return {
            path.name: path.stat().st_size
            for path in sorted(self.folder.glob("*"))
            if path.is_file() and not path.is_symlink()
        }

    def delete(self, file_hash: str) -> None:
        (self.folder / file_hash).unlink(missing_ok=True)


def originals_of(context: IngestContext) -> Originals:
    """Where this run keeps the originals of what it distrusts."""
    return context.originals or HomeOriginals(context.home)
