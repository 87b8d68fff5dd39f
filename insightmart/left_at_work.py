"""What a writer that died has left at work on Snowflake: it is stopped there before the next one writes anything.

A statement goes on when whoever sent it is gone, for five minutes by Snowflake's own rule (ABORT_DETACHED_QUERY), and
would end on what the next one has written. Statements say in their tag which holder of the lease sent them, so the next
holder finds them among those of its own user, cancels them, and aborts the transactions of their sessions. It takes the
rights that every user has over his own statements.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog
from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

from ingestion.warehouse import DATABASE, Warehouse
from insightmart.errors import InsightMartError
from insightmart.gateway import open_warehouse
from insightmart.settings import Settings

# Seconds from the last sign of life on after which nothing is at work any more, by Snowflake's own rule: five minutes
# from the sender's end, which is half a minute later at most. No longer is it tried to stop it before.
LIMIT = 330.0
# Seconds between two looks; two in a row have to find nothing: what was sent last arrives after its sender's end.
PAUSE = 5.0
NAMED = 3  # statements in a message

# The table function knows at once what is running. Its limit comes before the filter, and takes what is running first.
_SENT = f"""
SELECT DISTINCT
    session_id,
    CASE WHEN LOWER(execution_status) IN ('success', 'failed_with_error', 'failed_with_incident') THEN NULL
        ELSE query_id END AS running
FROM TABLE({DATABASE}.INFORMATION_SCHEMA.QUERY_HISTORY_BY_USER(
    RESULT_LIMIT => 10000, INCLUDE_CLIENT_GENERATED_STATEMENT => TRUE
))
WHERE REGEXP_SUBSTR(query_tag, '"writer":"([^"]+)"', 1, 1, 'e', 1) IN ({{names}})
    OR REGEXP_SUBSTR(query_tag, '"run":"([^"]+)"', 1, 1, 'e', 1) IN ({{names}})
"""

log = structlog.get_logger()


@dataclass(frozen=True)
class DeadWriter:
    """A holder of the lease that did not give it back, or gave it back with a statement under way.

    Attributes:
        command: what it ran, as it is typed; None: nobody knows.
        mark: what its statements have as ``writer`` in their tag; None: an earlier version of the code sent none.
        run: the run it was in when it was last heard of; a process that lives may go on in it without the lease.
        user: who it was on Snowflake.
        silent_for: seconds since it was last heard of.
    """

    command: str | None
    mark: str | None
    run: str | None
    user: str | None
    silent_for: float

    @property
    def names(self) -> list[str]:
        """What its statements can be found by, and nobody else's: the run only where they have no mark."""
        return [name for name in (self.mark or self.run,) if name]

    def is_seen_by(self, user: str | None) -> bool:
        """Whether all of its statements are found by a user; without more rights nobody sees another one's."""
        return bool(self.names and self.user) and str(self.user).upper() == str(user).upper()


def stop_what_is_left(settings: Settings, dead: Sequence[DeadWriter]) -> None:
    """Come back when nothing of dead writers is at work any more. On DuckDB nothing outlives its process.

    Those whose statements may not be found, because another user has sent them or nobody knows who, are waited for
    until Snowflake has aborted them itself.

    Raises:
        InsightMartError: something still is, after ``LIMIT`` seconds, or Snowflake cannot be asked.
    """
    if settings.gateway == "local":
        return
    who = ", ".join(dict.fromkeys(f"`{one.command or 'another writer'}`" for one in dead))
    hidden = [one.silent_for for one in dead if not one.is_seen_by(settings.snowflake_user)]
    if (left := LIMIT - min(hidden, default=LIMIT)) > 0:
        log.warning("Snowflake is waited for to abort what a dead writer has sent", writer=who, seconds=round(left))
        time.sleep(left)  # there is nothing to ask meanwhile: nobody but its sender sees a statement
    if names := [name for one in dead for name in one.names]:
        with open_warehouse(settings) as warehouse:
            _Stopping(warehouse, names, who).finish()


class _Stopping:
    """Cancels and aborts until nothing is left."""

    def __init__(self, warehouse: Warehouse, names: Sequence[str], who: str) -> None:
        self._warehouse, self._names, self._who = warehouse, names, who
        self._found: list[str] = []  # by the last look
        self._was_clear = False
        self._refused = ""

    def finish(self) -> None:
        over = stop_after_delay(LIMIT)
        again = Retrying(
            retry=retry_if_result(lambda is_over: not is_over),
            wait=wait_fixed(PAUSE),
            stop=lambda state: bool(self._found) and over(state),
        )
        try:
            again(self._look)
        except RetryError:
            some = ", ".join(self._found[:NAMED]) + (", ..." if len(self._found) > NAMED else "")
            raise InsightMartError(
                f"{len(self._found)} statements or transactions of {self._who}, which has died, are still at work on"
                f" Snowflake after {LIMIT:.0f} s ({some}){self._refused}; nothing was written",
                "Cancel them as account administrator (SYSTEM$CANCEL_QUERY, SYSTEM$ABORT_TRANSACTION), or wait until"
                " SNOWFLAKE_STATEMENT_TIMEOUT has; the next command looks again",
            ) from None

    def _look(self) -> bool:
        """Whether nothing is left, for the second time in a row; what is left is stopped."""
        sent = self._ask(_SENT.format(names=", ".join("?" * len(self._names))), [*self._names, *self._names])
        running = sorted({str(row["running"]) for row in sent if row["running"]})
        sessions = {int(row["session_id"]) for row in sent}
        for statement in running:
            self._stop(f"SELECT SYSTEM$CANCEL_QUERY('{UUID(statement)}')")  # takes no bound value, nor does the other
        open_ones = [row for row in self._ask("SHOW TRANSACTIONS") if int(row["session"]) in sessions] if sent else []
        for transaction in open_ones:
            self._stop(f"SELECT SYSTEM$ABORT_TRANSACTION({int(transaction['id'])})")
        self._found = [*running, *(f"transaction {row['id']}" for row in open_ones)]
        if self._found:
            log.warning("what a dead writer has left on Snowflake is stopped", writer=self._who, left=self._found)
        was_clear, self._was_clear = self._was_clear, not self._found
        return was_clear and self._was_clear

    def _ask(self, statement: str, values: Sequence[str] = ()) -> list[dict[str, Any]]:
        from snowflake.connector.errors import Error

        try:
            return self._warehouse.records(statement, values)
        except Error as error:
            raise InsightMartError(
                f"whether {self._who}, which has died, is still at work on Snowflake cannot be seen:"
                f" {_in_a_line(error)}; nothing was written",
                "Every user sees his own statements: check role and warehouse with `insightmart doctor` and"
                " `insightmart smoke`; the next command looks again",
            ) from None

    def _stop(self, statement: str) -> None:
        """One that has ended meanwhile is refused; the next look tells."""
        from snowflake.connector.errors import Error

        try:
            self._warehouse.rows(statement)
        except Error as error:
            self._refused = f", and Snowflake says: {_in_a_line(error)}"


def _in_a_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
