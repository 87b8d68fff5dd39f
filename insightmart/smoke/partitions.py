"""Micro-partitions: do the statements of an hour read what belongs to the hour, and does data lie in the order of time?

Both are known once tables have some partitions, and only on an account.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import sqlglot
from sqlglot import exp

from ingestion.warehouse import Warehouse
from insightmart.smoke.corpus import ANY_DAY, CorpusStatement, read_corpus, renamed
from insightmart.smoke.explained import followed, physical_tables
from insightmart.smoke.trial import DidNotHold, NotTried, Trial, check

FEW = 20  # partitions of a table: below, there is nothing to leave out
MOST = 0.5  # of a table's partitions that a statement of one hour may have to read
DEEP = 0.25  # of a table's partitions that may overlap at a point in time, on average
NO_PARTITIONS = "it has no micro-partitions"


@check("statements of an hour read the hour", account_only=NO_PARTITIONS)
def pruned(trial: Trial) -> str:
    """Of each table that is kept by hour, how much the plans of the models that keep it would read: an hour's work must
    not grow with history."""
    corpus = read_corpus()
    columns, models = kept_by_hour(corpus)
    day = trial.warehouse.value("SELECT CAST(MAX(covered_through) AS DATE) FROM ops.source_watermarks")
    if day is None:
        raise NotTried("nothing has been loaded yet: run the first cycle")
    largest, scans = 0, 0
    most: dict[str, tuple[float, str]] = {}
    with trial.session() as opened:
        names = physical_tables(opened)
        kept = {_plain(names[name]) for name in columns if name in names}
        for statement in followed(trial, [one for one in corpus if one.origin in models and one.explainable]):
            text = renamed(statement.explainable or "", names).replace(ANY_DAY, f"{day:%Y-%m-%d}")
            for table, total, assigned in _scans(opened, text):
                if table not in kept:
                    continue
                scans, largest = scans + 1, max(largest, total)
                if total >= FEW and assigned / total > max(MOST, most.get(table, (0.0, ""))[0]):
                    most[table] = (assigned / total, statement.origin)
    if most:
        raise DidNotHold(
            "; ".join(f"{origin} reads {share:.0%} of {table}" for table, (share, origin) in sorted(most.items()))
        )
    _enough(largest)
    return f"{scans} scans, none of more than {MOST:.0%} of a table with {FEW} partitions or more"


@check("tables that are kept by hour lie in the order of time", account_only=NO_PARTITIONS)
def clustered(trial: Trial) -> str:
    """They have no clustering key, which would be paid for: rows arrive by time, and a first load is written in its
    order (insightmart/transform/time_order.py). How many partitions overlap at a point in time shows whether that is
    enough."""
    columns, _ = kept_by_hour(read_corpus())
    names = physical_tables(trial.warehouse)
    deep, largest = [], 0
    for name, column in columns.items():
        if (table := names.get(name)) is None:
            continue  # it is not built yet
        trial.step.say(table)
        asked = "SELECT SYSTEM$CLUSTERING_INFORMATION(?, ?)"
        told = json.loads(trial.warehouse.value(asked, [table, f'("{column}")']))
        total, depth = int(told["total_partition_count"]), float(told["average_depth"])
        largest = max(largest, total)
        if total >= FEW and depth > DEEP * total:
            deep.append(f"at a point of {column} {depth:.0f} of {total} partitions of {table} overlap")
    if deep:
        raise DidNotHold("; ".join(deep))
    _enough(largest)
    return f"{len(columns)} tables, the largest of {largest} partitions"


def kept_by_hour(corpus: Sequence[CorpusStatement]) -> tuple[dict[str, str], set[str]]:
    """Tables of which a window is deleted, ``SCHEMA.TABLE`` in upper case, with their time columns; the models that do
    it."""
    columns: dict[str, str] = {}
    models = set()
    for statement in corpus:
        if statement.kind != "DELETE" or " BETWEEN " not in statement.text:
            continue
        deletion = sqlglot.parse_one(statement.text, dialect="snowflake")
        table, window = deletion.find(exp.Table), deletion.find(exp.Between)
        if table is not None and window is not None and isinstance(window.this, exp.Column):
            columns[f"{table.db}.{table.name}".upper()] = window.this.name
            models.add(statement.origin)
    return columns, models


def _scans(opened: Warehouse, text: str) -> Iterator[tuple[str, int, int]]:
    """Tables that a plan scans: name, partitions in all, partitions that are left after pruning."""
    from snowflake.connector.errors import ProgrammingError

    try:
        plan: dict[str, Any] = json.loads(opened.value(f"EXPLAIN USING JSON {text}"))
    except ProgrammingError:  # it does not compile: another check says so
        return
    for operation in (one for step in plan["Operations"] for one in step):
        if operation.get("partitionsTotal") and operation.get("objects"):
            table = _plain(operation["objects"][0])
            yield table, int(operation["partitionsTotal"]), int(operation["partitionsAssigned"])


def _plain(table: str) -> str:
    """A table without database and quotes, as plans and statements may have them."""
    return ".".join(table.replace('"', "").split(".")[-2:])


def _enough(largest: int) -> None:
    if largest < FEW:
        raise NotTried(f"too little is loaded: the largest table has {largest} partitions, it takes {FEW}")
