"""What a copy is: its two files with their digests, and what the warehouse said of itself when it was made."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from insightmart.errors import InsightMartError

MANIFEST = "manifest.json"
NAME = r"^\d{8}T\d{6}Z$"  # of a copy: the instant, UTC, at which it was begun


class CopiedFile(BaseModel):
    """A file of a copy.

    Attributes:
        name: as in the home.
        bytes: how many.
        sha256: of all of them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^\w[\w.]*$")
    bytes: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Manifest(BaseModel):
    """A copy of one warehouse at one moment, written last: without it there is no copy.

    Attributes:
        layout: of this description.
        name: of the copy, and of its folder.
        made_at: by the real clock, UTC.
        made_by: who.
        git_sha: commit of the code that made it; None where there is no checkout.
        versions: of DuckDB, SQLMesh and the layout of its state, as they wrote the files.
        ledger_began: hash of the first entry: which warehouse it is.
        ledger_sequence: number of the last entry.
        ledger_hash: and its hash.
        certified_through: first instant that is not certified of what is published hourly, UTC; None: nothing is.
        files: the warehouse and the state.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    layout: Literal[1] = 1
    name: str = Field(pattern=NAME)
    made_at: datetime
    made_by: str
    git_sha: str | None
    versions: dict[str, str]
    ledger_began: str
    ledger_sequence: int
    ledger_hash: str
    certified_through: datetime | None
    files: tuple[CopiedFile, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.bytes for file in self.files)

    @property
    def copied_at(self) -> str:
        """When it was made, for people."""
        return f"{self.made_at:%Y-%m-%d %H:%M} UTC"


def manifest_of(content: bytes | str, where: str) -> Manifest:
    """Read a manifest.

    Raises:
        InsightMartError: it is none, or of a later version of this program.
    """
    try:
        return Manifest.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InsightMartError(
            f"{where} is no manifest of a copy: {place or 'it'}: {first['msg']}", "Name another copy with --from"
        ) from None


def latest_first(found: Iterable[Manifest]) -> list[Manifest]:
    """Copies by when they were made, the latest first."""
    return sorted(found, key=lambda manifest: manifest.name, reverse=True)
