"""Transactions: all or nothing, also when the session is closed or what it began is aborted."""

from __future__ import annotations

from contextlib import suppress

from ingestion.warehouse import Warehouse
from insightmart.smoke.trial import DidNotHold, Trial, check

BEFORE = [(1,), (2,)]


@check("several statements are all or nothing", writes=True)
def all_or_nothing(trial: Trial) -> str:
    """A window replaced: deleted and inserted in a transaction that fails, and in one that does not."""
    table = _table(trial, "replaced")
    with trial.session() as opened:
        with suppress(_Stopped), opened.transaction():
            _replace(opened, table)
            raise _Stopped
        _expect(opened, table, BEFORE, "after ROLLBACK")
        with opened.transaction():
            _replace(opened, table)
            with trial.session() as reader:
                _expect(reader, table, BEFORE, "for a reader before COMMIT")
        _expect(opened, table, [(3,)], "after COMMIT")
    return "DELETE and INSERT: nothing of them after ROLLBACK, nothing for readers before COMMIT, both after"


@check("a session that is closed in a transaction leaves nothing", writes=True)
def closed_inside(trial: Trial) -> str:
    """What happens when a process ends in order, but in the middle."""
    table = _table(trial, "closed")
    with trial.session() as opened:
        opened.execute("BEGIN")
        _replace(opened, table)
    with trial.session() as next_one:
        _expect(next_one, table, BEFORE, "after the session was closed")
        _replace(next_one, table)  # no lock is left, either
        _expect(next_one, table, [(3,)], "written by the next session")
    return "rows as before, and the next session writes them at once"


@check(
    "a transaction that is aborted from outside leaves nothing",
    writes=True,
    account_only="it has no transactions that another session sees",
)
def aborted_from_outside(trial: Trial) -> str:
    """What a killed process leaves: a session that nobody closes. Its transaction keeps its lock until somebody aborts
    it, or until it has been idle for five minutes and somebody waits for it (Snowflake's page on transactions); our
    sessions wait for ten (LOCK_TIMEOUT)."""
    table = _table(trial, "aborted")
    with trial.session() as killed, trial.session() as other:
        killed.execute("BEGIN")
        _replace(killed, table)
        number = killed.value("SELECT CURRENT_TRANSACTION()")
        said = other.value(f"SELECT SYSTEM$ABORT_TRANSACTION({int(number)})")  # takes no bound value
        _expect(other, table, BEFORE, "after the transaction was aborted")
        _replace(other, table)
        _expect(other, table, [(3,)], "written by another session")
    return f"{said}; rows as before, and another session writes them at once"


@check(
    "a statement that creates something ends a transaction", writes=True, account_only="DuckDB rolls it back as well"
)
def ddl_commits(trial: Trial) -> str:
    """Why nothing here creates a table within a transaction, and why nothing is committed after DDL."""
    table = _table(trial, "committed")
    with trial.session() as opened:
        opened.execute("BEGIN")
        _replace(opened, table)
        opened.execute(f"CREATE TABLE {trial.table('created')} (id BIGINT)")
        opened.execute("ROLLBACK")
        _expect(opened, table, [(3,)], "after CREATE TABLE and ROLLBACK")
    return "CREATE TABLE commits what was begun before it"


class _Stopped(Exception):
    """Something goes wrong in the middle of a transaction."""


def _table(trial: Trial, name: str) -> str:
    table = trial.table(name)
    trial.warehouse.execute(f"CREATE TABLE {table} (id BIGINT)")
    trial.warehouse.execute(f"INSERT INTO {table} VALUES (1), (2)")
    return table


def _replace(opened: Warehouse, table: str) -> None:
    opened.execute(f"DELETE FROM {table}")
    opened.execute(f"INSERT INTO {table} VALUES (3)")


def _expect(opened: Warehouse, table: str, rows: list[tuple[int]], when: str) -> None:
    if (found := opened.rows(f"SELECT id FROM {table} ORDER BY id")) != rows:
        raise DidNotHold(f"{when} the rows are {found}, not {rows}")
