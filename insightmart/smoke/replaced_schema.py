"""What readers see of certified is replaced as a whole, beside readers who do not stop."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ingestion.warehouse import DATABASE
from insightmart.smoke.trial import DidNotHold, Trial, check, in_a_line
from insightmart.transform.shown_tables import replacing

ROUNDS = 10
TABLES = ("ORDERS", "DAYS")


@check("a schema is replaced by a clone all at once, and views of it go on", writes=True)
def all_tables_at_once(trial: Trial) -> str:
    """Two tables of a schema get the number of a round, one after the other; then a clone of the schema takes the place
    of the one that views read. A reader who never stops must find both at the same number, and never nothing."""
    written, copy = f"{trial.room}_WRITTEN", f"{trial.room}_COPY"
    opened = trial.warehouse
    opened.execute(f'CREATE SCHEMA "{DATABASE}"."{written}"')
    for table in TABLES:
        opened.execute(f'CREATE TABLE "{written}"."{table}" AS SELECT 0 AS round')
    opened.execute(replacing(copy, written))
    for table in TABLES:
        opened.execute(f'CREATE VIEW {trial.table(table)} AS SELECT * FROM "{DATABASE}"."{copy}"."{table}"')
    with _reader(trial) as seen:
        for number in range(1, ROUNDS + 1):
            for table in TABLES:
                opened.execute(f'UPDATE "{written}"."{table}" SET round = ?', [number])
            opened.execute(replacing(copy, written))
            trial.step.say(f"{number} of {ROUNDS}")
    kept_statement = trial.statement_id
    last = opened.rows(_question(trial))[0]
    trial.statement_id = kept_statement
    if wrong := [answer for answer in seen if not isinstance(answer, tuple) or answer[0] != answer[1]]:
        raise DidNotHold(f"{len(wrong)} of {len(seen)} answers, as {wrong[0]}")
    if last != (ROUNDS, ROUNDS):
        raise DidNotHold(f"after {ROUNDS} rounds the views say {last}")
    return f"{ROUNDS} times, beside a reader of two of its tables, who asked {len(seen)} times"


def _question(trial: Trial) -> str:
    return "SELECT " + ", ".join(f"(SELECT MAX(round) FROM {trial.table(table)})" for table in TABLES)


@contextmanager
def _reader(trial: Trial) -> Iterator[list[tuple[int, int] | str]]:
    """What a reader on a session of its own is answered, or refused, until the end."""
    from snowflake.connector.errors import Error

    seen: list[tuple[int, int] | str] = []
    ended, question = threading.Event(), _question(trial)

    def read() -> None:
        with trial.session() as opened:
            while True:
                try:
                    seen.append(opened.rows(question)[0])
                except Error as error:
                    seen.append(in_a_line(error))
                if ended.is_set():
                    return

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield seen
    finally:
        ended.set()
        reader.join()
