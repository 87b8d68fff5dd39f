"""Whether a warehouse is of the version that this code is made for, in words; and how it becomes so.

The local one is brought up by whatever command writes to it first. On Snowflake `insightmart setup` does it, so that no
cycle needs to create anything; everybody else asks once and refuses to go on with another version.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext

from ingestion.migrations import Applied, Migration, applied, migrations
from ingestion.ops_tables import create_tables
from ingestion.warehouse import Warehouse
from insightmart.checkout import look_at
from insightmart.errors import USAGE, InsightMartError
from insightmart.gateway import open_beside
from insightmart.runs import actor
from insightmart.settings import Settings

SETUP = "Run `insightmart setup`; with --plan it only shows what it would do"


def due(had: Mapping[int, Applied]) -> list[Migration]:
    """The migrations that a warehouse still needs, in order.

    Args:
        had: the migrations that it has had, by version.

    Raises:
        InsightMartError: it was made by a later version of this code, or by other statements of one of these versions.
    """
    known = migrations()
    if later := sorted(version for version in had if version > len(known)):
        newest = had[later[-1]]
        raise InsightMartError(
            f"this warehouse was made by a later version: it is at {newest.version} ({newest.name}, applied"
            f" {newest.applied_at:%Y-%m-%d %H:%M} UTC{_by(newest)}), and this code knows {len(known)}",
            "Update the code, or restore the warehouse as it was before",
            USAGE,
        )
    for migration in known:
        recorded = had.get(migration.version)
        if recorded and recorded.checksum != migration.checksum:
            raise InsightMartError(
                f"version {migration.version} ({migration.name}) is another one than the one that was applied to this"
                f" warehouse {recorded.applied_at:%Y-%m-%d %H:%M} UTC{_by(recorded)}, as {recorded.name!r}",
                f"Take its file in ingestion/sql back to what it was then; a change is a file of its own, after version"
                f" {len(known)}",
                USAGE,
            )
    return [migration for migration in known if migration.version not in had]


def bring_up(warehouse: Warehouse, settings: Settings) -> list[Migration]:
    """Apply what a warehouse still needs; safe to repeat. Returns what was applied.

    Raises:
        InsightMartError: it is not one that this code can bring up, or a statement is refused.
    """
    if not (missing := due(applied(warehouse))):
        return []
    by = actor(settings), look_at().commit
    is_apart = warehouse.dialect == "snowflake" and settings.role_of("load") != settings.role_of("transform")
    try:
        with open_beside(warehouse, settings) if is_apart else nullcontext() as loading:
            return create_tables(warehouse, *by, raw_owner=loading)
    except InsightMartError:
        raise
    except Exception as error:
        to = f"{missing[-1].version} ({missing[-1].name})"
        raise InsightMartError(
            f"the tables could not be brought to version {to}: {' '.join(str(error).split())[:400]}",
            "What was applied before stays; where a right is missing, see docs/snowflake-account.md. Then run"
            " `insightmart setup` again",
        ) from error


def make_ready(warehouse: Warehouse, settings: Settings) -> None:
    """What every command that writes begins with: the local warehouse is brought up, one on Snowflake looked at.

    Raises:
        InsightMartError: the warehouse is of another version.
    """
    if warehouse.dialect == "duckdb":
        bring_up(warehouse, settings)
    else:
        refuse_others(applied(warehouse), SETUP)


def refuse_others(had: Mapping[int, Applied], cure: str) -> None:
    """Nothing to do but to say so where a warehouse is of another version.

    Args:
        had: the migrations that it has had, by version.
        cure: what to do about an earlier one.

    Raises:
        InsightMartError: it is.
    """
    if not (missing := due(had)):
        return
    first = missing[0]
    at = f"at version {max(had)}" if had else "not set up by a version that kept count, or not at all"
    raise InsightMartError(
        f"this warehouse is {at}, and this code is made for {missing[-1].version}: it lacks {first.version}"
        f" ({first.name}){' and later ones' if len(missing) > 1 else ''}",
        cure,
        USAGE,
    )


def _by(one: Applied) -> str:
    return f" by {one.actor}" if one.actor else ""
