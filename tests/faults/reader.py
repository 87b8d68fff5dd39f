"""A reader that never stops: questions across the tables of an area, each one statement, asked at every moment.

``python -m tests.faults.reader HOME`` asks the copy for readers of a home until its input is closed, and prints what it
saw as JSON. ``asked_between`` asks a fake Snowflake account after every statement that changes something, so that no
moment between two statements is left out.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from insightmart.read_copy import copy_path
from insightmart.settings import PROJECT

# What two tables of an area say of the same thing, by what it is.
_ADDED = "(SELECT COALESCE(SUM(gross_sales), 0) FROM certified.fct_order_lines WHERE is_added)"
QUESTIONS = {
    "gross sales of days, orders and lines": (
        "(SELECT SUM(gross_sales) FROM certified.agg_sales_daily)",
        f"(SELECT SUM(gross_sales) FROM certified.fct_orders) + {_ADDED}",
    ),
    "orders of hours and orders": (
        "(SELECT SUM(orders) FROM certified.agg_sales_hourly)",
        "(SELECT COUNT(*) FROM certified.fct_orders WHERE line_count > 0 OR returned_amount = 0)",
    ),
    "returns of days and refunds": (
        "(SELECT SUM(returns) FROM certified.agg_sales_daily)",
        "(SELECT SUM(refund_amount) FROM certified.fct_refunds)",
    ),
    "lines of orders and lines": (
        "(SELECT SUM(line_count) FROM certified.fct_orders)",
        "(SELECT COUNT(*) FROM certified.fct_order_lines WHERE NOT is_added)",
    ),
    "counts of days and counts": (
        "(SELECT SUM(counted_hours) FROM certified.agg_inventory_daily)",
        "(SELECT COUNT(*) FROM certified.fct_inventory)",
    ),
    "hours without stock of days and of counts": (
        "(SELECT SUM(stockout_hours) FROM certified.agg_inventory_daily)",
        "(SELECT COUNT(*) FROM certified.fct_inventory WHERE on_hand <= 0)",
    ),
}
PAUSE = 0.2  # seconds between two looks at a copy: what is put in its place stays there much longer
_READS = ("SELECT", "WITH", "SHOW", "EXPLAIN", "DESC")

Ask = Callable[[str], tuple[Any, ...]]


@dataclass
class Log:
    """What a reader saw.

    Attributes:
        moments: at which all questions were asked.
        changes: of these, how many had another answer than the one before.
        disagreements: answers whose two sides were not the same.
        failures: of a question.
    """

    moments: int = 0
    changes: int = 0
    disagreements: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    last: list[str] = field(default_factory=list)

    def look(self, ask: Ask, after: str = "") -> None:
        """Ask everything once; ``after`` says when, for who reads the log."""
        self.moments += 1
        moment, answers = f"moment {self.moments} {after}".strip(), []
        for what, sides in QUESTIONS.items():
            try:
                one, other = ask(f"SELECT {', '.join(sides)}")
            except duckdb.Error as error:
                self.failures.append(f"{moment}: {what}: {error}")
                continue
            answers.append(f"{one} {other}")
            if (one or 0) != (other or 0):
                self.disagreements.append(f"{moment}: {what}: {one} and {other}")
        self.changes += self.moments > 1 and answers != self.last
        self.last = answers

    @property
    def faults(self) -> list[str]:
        """What no reader may see."""
        return self.disagreements + self.failures


@contextmanager
def asked_between(session: Any) -> Iterator[Log]:
    """A reader of a fake account (tests/support/fakesnow_session.py), beside whatever is sent to it meanwhile."""
    log = Log()

    def look(connection: duckdb.DuckDBPyConnection, command: str) -> None:
        if command.lstrip("( \n").upper().startswith(_READS):
            return
        reader = connection.cursor()  # a session of its own, which sees what is committed
        reader.execute("USE INSIGHTMART")
        log.look(lambda question: reader.execute(question).fetchone() or (), " ".join(command.split())[:150])
        reader.close()

    session.watched_by = look
    try:
        yield log
    finally:
        session.watched_by = None


@contextmanager
def reading(home: Path) -> Iterator[Log]:
    """A reader of a home's copy in a process of its own, beside whatever is done inside; its log is full at the end."""
    log = Log()
    with subprocess.Popen(
        [sys.executable, "-m", "tests.faults.reader", str(home)],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as reader:
        try:
            yield log
        finally:
            said, _ = reader.communicate()
            vars(log).update(json.loads(said))


def main(home: Path) -> None:
    """Ask until the input is closed. Each time the copy is opened anew: whoever has it open sees the one of before."""
    ended, log, path = threading.Event(), Log(), copy_path(home)
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    is_last = False
    while not is_last:
        is_last = ended.wait(PAUSE)  # what was done last is looked at, too
        try:
            with duckdb.connect(str(path), read_only=True) as copy:
                log.look(lambda question: copy.execute(question).fetchone() or ())
        except duckdb.Error as error:
            log.failures.append(f"moment {log.moments}: {error}")
    json.dump(asdict(log), sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
