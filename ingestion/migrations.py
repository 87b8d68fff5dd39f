"""The versions of ``raw`` and ``ops``: statements in order, each file applied to a warehouse once.

``sql/NNNN_name.sql`` takes a warehouse from version N - 1 to N. A file that has left this repository is never
changed: whatever comes later is another file. Each statement may be repeated (``IF NOT EXISTS``), so a warehouse whose
set-up was killed is simply set up again; Snowflake commits DDL by itself. What the tables are in the end is declared in
``contracts`` and ``ops_tables``; a test holds these files to it.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path

from ingestion.clock import utc_now
from ingestion.warehouse import Warehouse

FOLDER = Path(__file__).parent / "sql"
_OF_RAW = re.compile(r"(CREATE|ALTER) TABLE (IF NOT EXISTS )?raw\.", re.I)
NO_TABLE = 2003  # Snowflake's number for an object that is not there, or that the role must not see


@dataclass(frozen=True)
class Migration:
    """One step from a version to the next one.

    Attributes:
        version: that a warehouse has afterwards: 1, 2, 3, ...
        name: of the file, in words.
        statements: SQL that both engines take, in order; each may be repeated.
    """

    version: int
    name: str
    statements: tuple[str, ...]

    @property
    def checksum(self) -> str:
        """SHA-256 of the statements; comments and spaces do not count."""
        return hashlib.sha256("\n".join(self.statements).encode()).hexdigest()


@dataclass(frozen=True)
class Applied:
    """What a warehouse says of a migration: a row of ops.schema_version; ``applied_at`` is UTC."""

    version: int
    name: str
    checksum: str
    applied_at: datetime
    actor: str | None


def migrations(folder: Path = FOLDER) -> tuple[Migration, ...]:
    """All of them, in order.

    Raises:
        ValueError: a file is not named ``NNNN_name.sql``, or a number is left out or stands twice.
    """
    return _read(folder)


@cache
def _read(folder: Path) -> tuple[Migration, ...]:
    found = []
    for number, path in enumerate(sorted(folder.glob("*.sql")), start=1):
        version, _, name = path.stem.partition("_")
        if version != f"{number:04}" or not name:
            raise ValueError(f"{path.name}: the file after version {number - 1} is named {number:04}_what_it_does.sql")
        text = re.sub(r"(?m)^\s*--.*$", "", path.read_text(encoding="utf-8"))
        statements = tuple(" ".join(one.split()) for one in text.split(";") if one.strip())
        found.append(Migration(number, name.replace("_", " "), statements))
    return tuple(found)


def applied(warehouse: Warehouse) -> dict[int, Applied]:
    """The migrations that a warehouse has had, by version, in one statement; none where nobody has set it up."""
    question = "SELECT version, name, checksum, applied_at, actor FROM ops.schema_version ORDER BY version"
    try:
        found = warehouse.rows(question)
    except Exception as error:
        if not _says_that_it_is_not_there(error):
            raise
        return {}
    return {int(version): Applied(int(version), *rest) for version, *rest in found}


def _says_that_it_is_not_there(error: Exception) -> bool:
    return type(error).__name__ == "CatalogException" or getattr(error, "errno", None) == NO_TABLE


def apply(
    warehouse: Warehouse,
    migration: Migration,
    actor: str | None = None,
    git_sha: str | None = None,
    raw_owner: Warehouse | None = None,
) -> None:
    """Run a migration and record it. Killed or failed anywhere, it may be applied again.

    Args:
        warehouse: at the version before.
        migration: what to apply.
        actor: who does it.
        git_sha: commit of the code.
        raw_owner: connection whose role is to own the tables of ``raw``; None: the same.
    """
    for statement in migration.statements:
        sender = raw_owner if raw_owner and _OF_RAW.match(statement) else warehouse
        sender.execute(statement)
    record = {"version": migration.version, "name": migration.name, "checksum": migration.checksum}
    record |= {"applied_at": utc_now(), "actor": actor, "git_sha": git_sha}
    warehouse.insert("ops.schema_version", [record])
