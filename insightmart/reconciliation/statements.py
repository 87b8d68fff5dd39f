"""The SQL of the reconciliation: whole files in ``sql/``, bound to the values of a run.

The files are written in Snowflake's dialect, with parameters ``:name`` that their headers explain. DuckDB runs them as
they are once it knows the few names of Snowflake's in ``sql/duckdb.sql``. ``python -m
insightmart.reconciliation.statements NAME`` prints a file with the examples of its header in place, for an analyst.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from ingestion.warehouse import Warehouse, bind

SQL = Path(__file__).with_name("sql")
DUCKDB = "duckdb"  # the file that teaches DuckDB the names

TOTALS = ("source_total", "raw_total", "core_total", "certified_total", "excluded_total", "quarantined_total")
# what every control selects, in this order
COMPARISON = ("entity", "control", "business_date", "store_id", "measure", *TOTALS, "difference", "status")
COUNTS = ("comparisons", "matched")  # what all_stores selects besides: how many stores it adds up, how many match
_INTO = f"INSERT INTO ops.reconciliations (run_id, as_of, reconciled_at, {', '.join((*COMPARISON, *COUNTS))})"
_RECORDED = f"""{_INTO}
SELECT :run_id, :as_of, :reconciled_at, {", ".join(COMPARISON)}, 1, CASE WHEN status = 'matched' THEN 1 ELSE 0 END
FROM ("""
_ADDED_UP = f"""{_INTO}
SELECT :run_id, :as_of, :reconciled_at, {", ".join((*COMPARISON, *COUNTS))}
FROM ("""

# what every file selects that says what is to be counted, in this order
MOVEMENT = ("entity", "layer", "event_at", "business_date", "store_id", "amount")
_FORGOTTEN = """
DELETE FROM ops.control_totals
WHERE control = :control AND event_hour >= :events_from AND event_hour < :events_to"""
# By the minute before by the hour: a local date costs more than all the rest, and within a minute there is one (no zone
# has had an offset of seconds since 1972; versions of stores begin at local midnight).
_COUNTED = """
INSERT INTO ops.control_totals (control, entity, layer, event_hour, business_date, store_id, row_count, amount)
SELECT
  :control,
  m.entity,
  m.layer,
  DATE_TRUNC('HOUR', m.event_minute),
  COALESCE(
    m.business_date,
    CAST(CONVERT_TIMEZONE('UTC', COALESCE(s.timezone, :company_timezone), m.event_minute) AS DATE)
  ),
  m.store_id,
  SUM(m.row_count),
  CAST(SUM(m.amount) AS DECIMAL(38, 4))
FROM (
  SELECT
    entity,
    layer,
    DATE_TRUNC('MINUTE', event_at) AS event_minute,
    business_date,
    store_id,
    COUNT(*) AS row_count,
    SUM(amount) AS amount
  FROM (
{movements}) AS movements
  WHERE event_at >= :events_from AND event_at < :events_to
  GROUP BY 1, 2, 3, 4, 5
) AS m
LEFT JOIN core.dim_stores AS s
  ON s.store_id = m.store_id AND m.event_minute >= s.valid_from AND m.event_minute < s.valid_to
GROUP BY 2, 3, 4, 5, 6"""

_PARAMETER = re.compile(r"^--   :([a-z_]+) +('[^']*'(?:::[A-Z]+)?)", re.MULTILINE)


class Statements:
    """The files on one warehouse.

    Args:
        warehouse: open connection.
        values: a value for each parameter of the files that are run, by name; a call may say otherwise.
    """

    def __init__(self, warehouse: Warehouse, values: Mapping[str, Any]) -> None:
        self.warehouse = warehouse
        self.values = values
        if warehouse.dialect == DUCKDB:
            warehouse.execute(statement(DUCKDB))

    def count(self, name: str, values: Mapping[str, Any]) -> None:
        """Count by hour what a file selects, in the place of what ops.control_totals holds of these hours."""
        self._execute(_FORGOTTEN, {**values, "control": name})
        self._execute(_COUNTED.format(movements=statement(name)), {**values, "control": name})

    def record(self, name: str, values: Mapping[str, Any]) -> None:
        """Run a file that compares, and keep what it selects in ops.reconciliations."""
        self._execute(f"{_RECORDED}{statement(name)}) AS found", values)

    def add_up(self) -> None:
        """Record what the comparisons of the run come to over all stores."""
        self._execute(f"{_ADDED_UP}{statement('all_stores')}) AS found", {})

    def execute(self, name: str) -> None:
        """Run a file that selects nothing."""
        self._execute(statement(name), {})

    def rows(self, name: str) -> list[tuple[Any, ...]]:
        """What a file selects."""
        return self.warehouse.rows(*bind(statement(name), **self.values))

    def _execute(self, sql: str, values: Mapping[str, Any]) -> None:
        self.warehouse.execute(*bind(sql, **{**self.values, **values}))


@cache
def statement(name: str) -> str:
    """The SQL of a file without its header, which names parameters that need no value."""
    lines = (SQL / f"{name}.sql").read_text(encoding="utf-8").splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("--"))


def examples(name: str) -> dict[str, str]:
    """The parameters that a file's header explains, each with its example, a literal of SQL."""
    return dict(_PARAMETER.findall((SQL / f"{name}.sql").read_text(encoding="utf-8")))


def with_examples(name: str) -> str:
    """A file's statement with the examples of its header in place of the parameters."""
    values = examples(name)
    return re.sub(r"(?<!:):([a-z_]+)", lambda mark: values[mark[1]], statement(name))


if __name__ == "__main__":
    sys.stdout.write(with_examples(sys.argv[1]))
