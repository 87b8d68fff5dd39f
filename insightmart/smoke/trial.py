"""What a check is given, and what it says: held, did not hold, could not be tried, each with what was seen.

A new check is one function with ``@check`` in a module that ``rehearsal`` imports. It returns what it saw, raises
``DidNotHold`` with what it saw instead, or ``NotTried`` with the reason; any error of the account is one that did not
hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from ingestion.warehouse import Warehouse
from insightmart.gateway import OPTIONS
from insightmart.progress import Step
from insightmart.settings import Settings
from insightmart.snowflake_sessions import SnowflakeSession, Workload, connect

Answer = Literal["held", "did not hold", "could not be tried"]


class DidNotHold(Exception):
    """A check's verdict: what was seen in place of what had to be."""


class NotTried(Exception):
    """A check's verdict: why nothing can be said."""


@dataclass(frozen=True)
class Tried:
    """What a check came to.

    Attributes:
        check: its name.
        verdict: ``held``, ``did not hold`` or ``could not be tried``.
        seen: in words, what was seen, or why it could not be tried.
        seconds: that it took.
        statement_id: of the statement that says most about it in the account's query history: the one that failed, else
            the last one.
    """

    check: str
    verdict: Answer
    seen: str
    seconds: float
    statement_id: str | None


@dataclass(frozen=True)
class SmokeCheck:
    """A check that can be run.

    Attributes:
        name: as it is shown and asked for.
        run: does it.
        writes: whether it changes anything, which it does in the trial's own schema.
        account_only: what a stand-in for the account does differently, so that trying it there would say nothing.
    """

    name: str
    run: Callable[[Trial], str]
    writes: bool
    account_only: str


CHECKS: dict[str, SmokeCheck] = {}


def check(
    name: str, *, writes: bool = False, account_only: str = ""
) -> Callable[[Callable[[Trial], str]], Callable[[Trial], str]]:
    """Register a function as a check; see ``SmokeCheck``."""

    def register(run: Callable[[Trial], str]) -> Callable[[Trial], str]:
        CHECKS[name] = SmokeCheck(name, run, writes, account_only)
        return run

    return register


class Trial:
    """The account as a check sees it: sessions of every kind, and the schema in which it may write.

    Attributes:
        settings: of the account.
        room: the schema, upper case; None where nothing may be written.
        step: progress of the check under way.
        statement_id: of the last statement, or of the one that a check has kept.
    """

    def __init__(self, settings: Settings, room: str | None, step: Step) -> None:
        self.settings = settings
        self.room = room
        self.step = step
        self.statement_id: str | None = None
        self._warehouse: Warehouse | None = None

    @property
    def warehouse(self) -> Warehouse:
        """The trial's own session, the same for all checks."""
        if self._warehouse is None:
            self._warehouse = Warehouse(self.noted(connect(self.settings, "transform", **OPTIONS)), "snowflake")
        return self._warehouse

    @property
    def stand_in(self) -> str | None:
        """What stands in for the account, named as its package; None: this is Snowflake's own connector."""
        opened: Any = self.warehouse.connection
        package = type(opened.connection).__module__.partition(".")[0]
        return None if package == "snowflake" else package

    def table(self, name: str) -> str:
        """A table or view of the trial's own, as statements name it.

        Raises:
            RuntimeError: the check was not registered as one that writes.
        """
        if self.room is None:
            raise RuntimeError("a check that creates something is registered with writes=True")
        return f'"{self.room}"."{name.upper()}"'

    @contextmanager
    def session(self, workload: Workload = "transform", **options: Any) -> Iterator[Warehouse]:
        """Another session; closed afterwards."""
        session = self.noted(connect(self.settings, workload, **(OPTIONS | options)))
        with Warehouse(session, "snowflake") as opened:
            yield opened

    def noted(self, session: SnowflakeSession) -> Any:
        """A session whose statements' ids are noted."""
        return _Noted(session, self)

    def refused(self, sql: str, params: Sequence[Any] = ()) -> str | None:
        """What the account says against a statement, in one line; None where it takes it."""
        from snowflake.connector.errors import Error

        try:
            self.warehouse.execute(sql, params)
        except Error as error:
            return in_a_line(error)
        return None

    def close(self) -> None:
        """Close the trial's own session."""
        if self._warehouse is not None:
            self._warehouse.close()
            self._warehouse = None


class _Noted:
    """A session whose statements' ids are noted."""

    def __init__(self, connection: Any, trial: Trial) -> None:
        self.session = connection
        self._trial = trial

    @property
    def connection(self) -> Any:
        """What the connector opened."""
        return self.session._connection

    def cursor(self, *arguments: Any, **named: Any) -> Any:
        """A cursor that notes the id of what it sends."""
        cursor = self.session.cursor(*arguments, **named)
        execute = cursor.execute

        def noted(*values: Any, **options: Any) -> Any:
            try:
                return execute(*values, **options)
            finally:
                self._trial.statement_id = cursor.sfqid or self._trial.statement_id

        cursor.execute = noted
        return cursor

    def __getattr__(self, name: str) -> Any:
        return getattr(self.session, name)


def in_a_line(error: BaseException, characters: int = 300) -> str:
    """An error's own words, without their line breaks."""
    return " ".join(str(error).split())[:characters]
