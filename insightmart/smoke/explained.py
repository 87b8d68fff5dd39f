"""Does every statement of the corpus compile? On the tables that are there, and on ones made for it.

EXPLAIN compiles a statement and does not run it: it needs no warehouse and costs nothing (Snowflake's page on EXPLAIN).
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ingestion.warehouse import Warehouse
from insightmart.progress import time_left
from insightmart.read_copy import CERTIFIED_COPY
from insightmart.smoke.corpus import VERSION, CorpusStatement, in_order, read_corpus, renamed, uses
from insightmart.smoke.trial import DidNotHold, NotTried, Trial, check, in_a_line
from insightmart.transform.shown_tables import WRITTEN

# Snowflake's numbers of errors.
NOT_THERE = 2003  # an object that does not exist, or that the role may not see
IS_THERE = 2002  # an object that exists already: a statement that replaces it has made it before
NULL_GIVEN = 100072  # where a column takes none: the corpus has NULL for what is bound
NAMED = 3  # of what is counted, so many are spelled out


@check("every statement compiles on the tables that are there")
def on_what_is_there(trial: Trial) -> str:
    """EXPLAIN of all that is a query, changes rows, or is the query of a view. What is none of these is counted by
    kind; statements on what is not there yet are counted apart, as nothing can be said about them."""
    corpus = read_corpus()
    found = _Compiled()
    with trial.session() as opened:
        names = physical_tables(opened)
        passing = {name for one in corpus if one.kind == "CREATE TEMPORARY VIEW" for name in one.creates}
        for statement in followed(trial, [one for one in corpus if one.explainable]):
            if uses(statement.explainable or "", passing):
                found.passing += 1  # a view of its session
                continue
            _explain(trial, opened, statement, names, found)
    seen = found.in_words([one for one in corpus if not one.explainable])
    _judge(trial, found, seen)
    return seen


@check("every statement compiles on tables made as the pipeline makes them", writes=True)
def on_tables_of_its_own(trial: Trial) -> str:
    """All tables and views of the corpus are created and altered, empty, in schemas beside the trial's own, and
    everything is compiled on them: it can be known before the first cycle."""
    # what readers see of a table is a clone of it: here, where both are empty, they are one
    corpus = [replace(one, text=one.text.replace(f'"{CERTIFIED_COPY}".', f'"{WRITTEN}".')) for one in read_corpus()]
    makers = in_order(corpus)
    names = {name: _own(trial, name) for one in makers for name in one.creates}
    altering = [one for one in corpus if one.kind in ("ALTER TABLE", "ALTER VIEW")]
    explained = [one for one in corpus if one.explainable and not one.creates]
    made, found = 0, _Compiled()
    with trial.session() as opened:
        cursor = opened.connection.cursor()
        for schema in sorted({name.partition(".")[0] for name in names.values()}):
            cursor.execute(f"CREATE TRANSIENT SCHEMA {schema}")

        def run(statement: CorpusStatement) -> None:
            cursor.execute(renamed(statement.text, names), num_statements=0)

        for statement in followed(trial, [*makers, *altering]):
            made += found.tried(trial, statement, run)
        for statement in followed(trial, explained):
            _explain(trial, opened, statement, names, found)
    rest = [one for one in corpus if not (one.explainable or one.creates) and one not in altering]
    seen = f"{made} of {len(makers) + len(altering)} tables and views created or altered; {found.in_words(rest)}"
    _judge(trial, found, seen)
    return seen


def physical_tables(opened: Warehouse) -> dict[str, str]:
    """SQLMesh's tables, and what readers see of them, as the corpus calls them, in upper case, with version 1 -> as
    this account calls them; of several the one made last."""
    rows = opened.rows(
        "SELECT table_schema, table_name FROM information_schema.tables"
        f" WHERE table_schema LIKE 'sqlmesh~_~_%' ESCAPE '~' OR table_schema = '{CERTIFIED_COPY}'"
        " ORDER BY created, table_name"
    )
    return {f"{schema}.{VERSION.sub('1', name)}".upper(): f'"{schema}"."{name}"' for schema, name in rows}


def followed(trial: Trial, statements: Sequence[CorpusStatement]) -> Iterator[CorpusStatement]:
    """The statements, while the step says how far it is."""
    started = time.monotonic()
    for number, statement in enumerate(statements):
        trial.step.say(f"{number:,} of {len(statements):,} {time_left(started, number, len(statements))}")
        yield statement


@dataclass
class _Compiled:
    """What came of statements.

    Attributes:
        explained: how many were compiled by EXPLAIN.
        passing: how many were left out, as they read a view of their session.
        absent: those that name what is not there, by its schema.
        refused: the others, with what was said, and the id of each.
    """

    explained: int = 0
    passing: int = 0
    absent: Counter[str] = field(default_factory=Counter)
    refused: list[tuple[CorpusStatement, str, str | None]] = field(default_factory=list)

    def tried(self, trial: Trial, statement: CorpusStatement, run: Callable[[CorpusStatement], Any]) -> bool:
        """Whether the account took it."""
        from snowflake.connector.errors import ProgrammingError

        try:
            run(statement)
        except ProgrammingError as error:
            if error.errno in (IS_THERE, NULL_GIVEN):
                return True
            if error.errno == NOT_THERE:
                self.absent[_absent(str(error))] += 1
            else:
                self.refused.append((statement, in_a_line(error), trial.statement_id))
            return False
        return True

    def in_words(self, others: Sequence[CorpusStatement]) -> str:
        """What was seen, and what was not tried."""
        total = self.explained + self.passing + self.absent.total() + len(self.refused)
        parts = [f"{self.explained:,} of {total:,} statements compile"]
        if self.passing:
            parts.append(f"{self.passing} read views of a gate's session, which --write makes")
        if self.absent:
            parts.append(
                f"{self.absent.total()} name what is not there yet or may not be seen: {_counted(self.absent)}"
            )
        if others:
            parts.append(f"{len(others)} can only be run: {_counted(Counter(one.kind for one in others), len(others))}")
        return "; ".join(parts)


def _explain(
    trial: Trial, opened: Warehouse, statement: CorpusStatement, names: Mapping[str, str], found: _Compiled
) -> None:
    text = renamed(statement.explainable or "", names)
    found.explained += found.tried(trial, statement, lambda _: opened.execute(f"EXPLAIN USING TEXT {text}"))


def _judge(trial: Trial, found: _Compiled, seen: str) -> None:
    if found.refused:
        trial.statement_id = found.refused[0][2]
        told = "; ".join(f"{statement.origin}: {error}" for statement, error, _ in found.refused[:NAMED])
        more = f"; and {len(found.refused) - NAMED} more" if len(found.refused) > NAMED else ""
        raise DidNotHold(f"{len(found.refused)} refused: {told}{more}; {seen}")
    if found.absent:
        raise NotTried(seen)


def _own(trial: Trial, name: str) -> str:
    """Where a table of the corpus lies: for each schema that the pipeline has, the trial has one."""
    return f"{trial.room}_{name}"


def _absent(error: str) -> str:
    """The schema of what is not there, or its name, out of an error."""
    named = re.search(r"(?:Object|Schema|Table with name|schema)\s+['\"]?([\w.\"]+)", error)
    if named is None:
        return "something"
    parts = named[1].replace('"', "").split(".")
    return parts[-2] if len(parts) > 1 else parts[0]


def _counted(counts: Mapping[str, int], most: int = NAMED) -> str:
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    rest = f" and {len(ranked) - most} others" if len(ranked) > most else ""
    return ", ".join(f"{number} {name}" for name, number in ranked[:most]) + rest
