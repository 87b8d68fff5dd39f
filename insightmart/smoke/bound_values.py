"""Values of every type that contracts use, bound as the pipeline binds them and read back as it reads them.

Each has to come back as it went, by Python and as Arrow: money that went through a float, an instant that was shifted
by a zone or cut to seconds, a text that lost a blank would be wrong in every table, and nowhere an error.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa

from ingestion.contracts import AMOUNT, DATE, FLAG, INSTANT, INT, MONEY, REFUND_AMOUNT, TEXT, UNIT_PRICE
from ingestion.warehouse import Warehouse, sql_type
from insightmart.smoke.trial import DidNotHold, Trial, check

TOTAL = pa.decimal128(38, 4)  # of exact_sum
LONG = 70_000  # characters, beyond what 16 bits count
SHOWN = 60  # characters of a value


def _ends(kind: pa.Decimal128Type) -> list[Decimal]:
    """The largest and smallest values of a type, the smallest step, and one that no float holds."""
    step = Decimal((0, (1,), -kind.scale))
    largest = Decimal((0, (9,) * kind.precision, -kind.scale))
    return [largest, largest.copy_negate(), step, -step, Decimal(0).quantize(step), Decimal("0.1").quantize(step)]


# The zone of an account would move the ones around a change of clocks; nanoseconds since 1970 of the last one and of
# year 1 do not fit 64 bits, in which the connector counts.
AWKWARD: dict[pa.DataType, list[Any]] = {
    INT: [0, -1, 2**53 + 1, 2**63 - 1, -(2**63)],
    TEXT: [
        "",
        " blanks at both ends ",
        'O\'Neill "and" sons\\n',
        "two\nlines\r\nand\ta tab",
        "naïve 東京 🧾 \u200b",
        "? %s :name {x} --no comment; $$",
        "NULL",
        '{"lines": [1, null, "é\\n"], "amount": 0.10, "id": 12345678901234567890}',
        "x" * LONG,
    ],
    FLAG: [True, False],
    DATE: [date(1, 1, 1), date(1969, 12, 31), date(2026, 3, 29), date(9999, 12, 31)],
    INSTANT: [
        datetime(1, 1, 1),
        datetime(1969, 12, 31, 23, 59, 59, 999_999),
        datetime(1970, 1, 1),
        datetime(2026, 3, 8, 2, 30),
        datetime(2026, 3, 29, 2, 30, 0, 1),
        datetime(9999, 12, 31),
    ],
    **{kind: _ends(kind) for kind in (AMOUNT, UNIT_PRICE, REFUND_AMOUNT, MONEY, TOTAL)},
}


@check("bound values of every type come back as they went")
def bound_one_by_one(trial: Trial) -> str:
    """Values in a SELECT, each bound and cast to its type; changes nothing."""
    with trial.session() as opened:
        for kind, values in AWKWARD.items():
            trial.step.say(sql_type(kind))
            for value in [*values, None]:
                asked = f"SELECT CAST(? AS {sql_type(kind)}) AS found"
                compare(opened, asked, [value], [value], kind)
    return f"{counted()}, with qmark binding, by Python and as Arrow"


@check("decimals of a SELECT are decimals as Arrow")
def decimals_as_arrow(trial: Trial) -> str:
    """The connector makes floats of decimals unless told otherwise, and chooses the type of each part by its values."""
    cursor = trial.warehouse.connection.cursor()
    asked = ", ".join(f"CAST('{_ends(kind)[0]}' AS {sql_type(kind)})" for kind in AWKWARD if pa.types.is_decimal(kind))
    cursor.execute(f"SELECT {asked}, SUM(n) FROM (SELECT CAST(0.1 AS DECIMAL(18, 4)) AS n) GROUP BY ALL")
    floats = {
        f"column {place}: {kind}"
        for part in cursor.fetch_arrow_batches()
        for place, kind in enumerate(part.schema.types, start=1)
        if not pa.types.is_decimal(kind) and not pa.types.is_integer(kind)
    }
    if floats:
        raise DidNotHold(f"a decimal came as something else ({', '.join(sorted(floats))})")
    return "decimals of every precision, and a sum of decimals"


@check("arrays of values come back from a table as they went", writes=True)
def bound_as_arrays(trial: Trial) -> str:
    """A table with a column of each type, filled by array binding as tables of ops are, NULLs among the values."""
    names = {kind: f"c{place}" for place, kind in enumerate(AWKWARD)}
    table = trial.table("bound")
    with trial.session() as opened:
        columns = ", ".join(f"{name} {sql_type(kind)}" for kind, name in names.items())
        opened.execute(f"CREATE TABLE {table} (place BIGINT, {columns})")
        longest = max(len(values) for values in AWKWARD.values())
        padded = {kind: [*values, *[None] * (longest + 1 - len(values))] for kind, values in AWKWARD.items()}
        rows = [
            {"place": place} | {name: padded[kind][place] for kind, name in names.items()}
            for place in range(longest + 1)
        ]
        opened.insert(table, rows)
        for kind, name in names.items():
            compare(opened, f"SELECT {name} FROM {table} ORDER BY place", [], padded[kind], kind)
    return f"{counted()}, {longest + 1} rows with NULLs in one array, by Python and as Arrow"


def compare(opened: Warehouse, asked: str, bound: list[Any], expected: list[Any], kind: pa.DataType) -> None:
    """Read a column both ways.

    Args:
        opened: session that reads.
        asked: query of one column.
        bound: its values.
        expected: what has to come, in order.
        kind: type of the column.

    Raises:
        DidNotHold: something else came, or of another type.
    """
    _equal(expected, [row[0] for row in opened.rows(asked, bound)], f"{sql_type(kind)} by Python")
    schema = pa.schema([("found", kind)])
    try:
        as_arrow = opened.arrow(asked, bound, schema).column(0).to_pylist()
    except pa.ArrowInvalid as error:
        raise DidNotHold(f"{sql_type(kind)} as Arrow: {error}, for {_shown(expected)}") from None
    _equal(expected, as_arrow, f"{sql_type(kind)} as Arrow")


def _equal(expected: list[Any], found: list[Any], way: str) -> None:
    if len(expected) != len(found):
        raise DidNotHold(f"{way}: {len(expected)} rows went and {len(found)} came back")
    for went, came in zip(expected, found, strict=True):
        if came != went or not _alike(came, went):
            raise DidNotHold(f"{way}: {_shown(went)} came back as {_shown(came)}")


def _alike(came: Any, went: Any) -> bool:
    """Whether two equal values are of one type; a number without decimals may come as either kind of exact one."""
    return type(came) is type(went) or {type(came), type(went)} == {int, Decimal}


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}... ({len(text):,} characters)"


def counted() -> str:
    """How much is tried, in words."""
    return f"{sum(len(values) for values in AWKWARD.values())} values of {len(AWKWARD)} types"
