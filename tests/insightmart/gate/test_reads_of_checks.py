"""What checks read of the past: the weeks before a window are many times its rows, and nearly never asked for."""

from __future__ import annotations

import json
import re
from pathlib import Path

import duckdb
import pytest
import yaml

CHECKS = Path(__file__).parents[3] / "soda" / "checks"
PAST_ROWS = 500_000
WINDOW_ROWS = 1_000
AT_MOST = 2 * 2048 + 2 * WINDOW_ROWS  # a scan that is ended at once has begun with a vector or two


def query(file: str, metric: str, **variables: object) -> str:
    """The SQL of a user-defined metric, with its variables in place."""
    checks = yaml.safe_load((CHECKS / f"{file}.yml").read_text(encoding="utf-8"))
    (found,) = (
        options[f"{metric} query"]
        for listed in checks.values()
        for check in listed
        if isinstance(check, dict)
        for options in check.values()
        if isinstance(options, dict) and f"{metric} query" in options
    )
    return re.sub(r"\$\{(\w+)\}", lambda name: str(variables[name[1]]), found)


@pytest.mark.parametrize(
    ("file", "metric", "window", "past", "column"),
    [
        ("sales", "lines_of_unusual_quantity", "FCT_ORDER_LINES", "PAST_LINES", "QUANTITY"),
        ("inventory", "counts_unlike_the_past", "FCT_INVENTORY", "PAST_COUNTS", "ON_HAND"),
    ],
)
def test_the_past_is_looked_at_only_for_what_is_large_enough_to_be_unusual(
    file: str, metric: str, window: str, past: str, column: str
) -> None:
    with duckdb.connect() as connection:
        for table, rows in ((window, WINDOW_ROWS), (past, PAST_ROWS)):
            connection.execute(
                f"CREATE TABLE {table} AS SELECT 1 AS STORE_ID, 'SKU-' || i % 50 AS SKU, 1 + i % 4 AS {column}"
                f" FROM range({rows}) AS numbers(i)"
            )
        asked = query(
            file, metric, SCHEMA="main", UNUSUAL_TIMES=10, LARGE_LINE_MIN=50, LARGE_COUNT_MIN=50, **{past: past}
        )
        connection.execute("SET enable_profiling = 'no_output'")

        def found() -> tuple[int, int]:
            (value,) = connection.execute(asked).fetchall()[0]
            return value, json.loads(connection.get_profiling_information("json"))["cumulative_rows_scanned"]

        usual, looked_at = found()
        assert usual == 0
        assert looked_at <= AT_MOST
        connection.execute(f"UPDATE {window} SET {column} = 41 WHERE rowid = 7")  # more than ten times 4, yet not large
        assert found() == (0, looked_at)
        connection.execute(f"UPDATE {window} SET {column} = 60 WHERE rowid = 7")
        assert found()[0] == 1


def test_the_past_of_prices_is_looked_at_only_for_what_the_last_day_does_not_settle() -> None:
    with duckdb.connect() as connection:
        for table, rows, hours in (("FCT_ORDER_LINES", WINDOW_ROWS, 0), ("PAST_LINES", PAST_ROWS, 24 * 28)):
            connection.execute(
                f"CREATE TABLE {table} AS SELECT 'SKU-' || i % 50 AS SKU,"
                f" CAST(10 + i % 4 AS DECIMAL(12, 4)) AS UNIT_PRICE,"
                f" TIMESTAMP '2026-03-05' - to_seconds(CAST({hours} * 3600 * (1 - i / {rows}) AS BIGINT)) AS SOLD_AT"
                f" FROM range({rows}) AS numbers(i)"
            )
        window = {"WINDOW_START": "CAST('2026-03-05' AS TIMESTAMP)", "UNUSUAL_TIMES": 20}
        asked = query("sales", "lines_of_unusual_price", SCHEMA="main", PAST_LINES="PAST_LINES", **window)
        connection.execute("SET enable_profiling = 'no_output'")

        def found() -> tuple[int, bool]:
            (value,) = connection.execute(asked).fetchall()[0]
            looked_at = json.loads(connection.get_profiling_information("json"))["cumulative_rows_scanned"]
            return value, looked_at > PAST_ROWS

        def change(table: str, sku: str, price: str, which: str = "TRUE") -> None:
            connection.execute(f"UPDATE {table} SET UNIT_PRICE = {price} WHERE SKU = '{sku}' AND {which}")

        assert found() == (0, False)
        change("FCT_ORDER_LINES", "SKU-7", "0")  # free, which no price before makes unusual
        assert found() == (0, False)
        change("FCT_ORDER_LINES", "SKU-8", "261")  # more than twenty times 12
        assert found() == (20, True)
        change("PAST_LINES", "SKU-8", "14", "SOLD_AT < '2026-02-10'")  # as dear as that, weeks ago
        assert found() == (0, True)
        change("FCT_ORDER_LINES", "SKU-8", "10")
        connection.execute("DELETE FROM PAST_LINES WHERE SKU = 'SKU-9' AND SOLD_AT > '2026-03-01'")
        change("FCT_ORDER_LINES", "SKU-9", "0.4")  # not sold for days, and less than a twentieth of 11
        assert found() == (20, True)
