"""The check of the state database: it answers, and who holds the writer's lock in it."""

from __future__ import annotations

from insightmart.doctor.findings import Check, Flaw
from insightmart.lease import QUIET, holder_of, unsettled_commands
from insightmart.settings import Settings
from insightmart.state_connection import StateDatabase


def _state(settings: Settings) -> str:
    if settings.gateway == "local":
        return f"in {settings.home}, as the writer's lock is; no server is needed"
    database = StateDatabase(settings)
    try:
        holder, unsettled = holder_of(database), unsettled_commands(database)
    finally:
        database.close()
    if holder is None and unsettled:
        raise Flaw(
            f"`{unsettled[-1]}` was killed, and what it has sent to Snowflake may still be at work",
            "The next command that writes stops it before it begins",
            "note",
        )
    if holder is None:
        return f"{database.place} answers; nobody is writing"
    said = f"{holder.words}, last heard of {holder.silent_for:.0f} s ago"
    if holder.silent_for > QUIET:
        raise Flaw(said, "It has ended, or will at once: the next command that writes takes its lock over", "note")
    return f"{database.place} answers; {said}"


STATE: dict[str, Check] = {"state": _state}
