"""SQLMesh's own state: whether its tables are those of the SQLMesh that is installed, and their migration.

SQLMesh migrates nothing by itself but an empty state: after an upgrade every plan and run refuses until somebody does.
Seen on SQLMesh 0.236.4, whose context has no public way to ask for versions without refusing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from insightmart.errors import USAGE, InsightMartError
from insightmart.settings import PROJECT, Settings

if TYPE_CHECKING:
    from sqlmesh import Context

Standing = Literal["missing", "older", "current"]


@dataclass(frozen=True)
class StateVersions:
    """What the state was written by, and what is installed.

    Attributes:
        kept: schema version, SQLMesh and SQLGlot of the state; None where there is none yet.
        installed: the same of this environment.
        standing: of the one towards the other.
    """

    kept: str | None
    installed: str
    standing: Standing


@contextmanager
def open_state(settings: Settings) -> Iterator[Context]:
    """A context that knows where the state is and has read no model.

    Raises:
        InsightMartError: the state database does not answer, or the configuration cannot be read.
    """
    from insightmart.transform.time_zones import compiled_when_asked_for

    compiled_when_asked_for()
    from sqlmesh import Context
    from sqlmesh.core.console import NoopConsole, set_console

    from insightmart.transform import sqlmesh_patches  # noqa: F401  SQLMesh works on our sessions

    set_console(NoopConsole())
    context: Context | None = None
    try:
        context = Context(paths=str(PROJECT), gateway=settings.gateway, load=False)
        yield context
    except InsightMartError:
        raise
    except Exception as error:
        said = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        raise InsightMartError(
            f"SQLMesh's state cannot be read or migrated: {said}",
            "See that its database answers (STATE_HOST and the like); a migration that failed has been taken back",
        ) from error
    finally:
        if context is not None:
            context.close()


def state_versions(context: Context) -> StateVersions:
    """Where the state stands.

    Raises:
        InsightMartError: it was written by a later SQLMesh than the one that is installed.
    """
    from importlib.metadata import version

    from sqlmesh.core.state_sync.base import SCHEMA_VERSION
    from sqlmesh.utils import major_minor

    kept = context._new_state_sync().get_versions(validate=False)
    here = _in_words(SCHEMA_VERSION, version("sqlmesh"), version("sqlglot"))
    if kept.schema_version == 0:
        return StateVersions(None, here, "missing")
    own = ((SCHEMA_VERSION,), major_minor(version("sqlmesh")), major_minor(version("sqlglot")))
    other = ((kept.schema_version,), major_minor(kept.sqlmesh_version), major_minor(kept.sqlglot_version))
    there = _in_words(kept.schema_version, kept.sqlmesh_version, kept.sqlglot_version)
    if any(theirs > ours for theirs, ours in zip(other, own, strict=True)):
        raise InsightMartError(
            f"SQLMesh's state was written by a later version: {there}, and installed is {here}",
            "Install the packages of requirements.lock of the code that wrote it, or restore the state as it was",
            USAGE,
        )
    return StateVersions(there, here, "current" if own == other else "older")


def migrate(context: Context) -> None:
    """Create the tables of an empty state, or migrate those of an earlier SQLMesh, as `sqlmesh migrate` does.

    SQLMesh keeps a copy of the state beside it, which `sqlmesh rollback` brings back.
    """
    context.migrate()


def _in_words(schema: int, sqlmesh: str, sqlglot: str) -> str:
    return f"schema {schema}, SQLMesh {sqlmesh}, SQLGlot {sqlglot}"
