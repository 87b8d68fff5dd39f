"""What was computed again beside what was shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import duckdb

from insightmart.journal.digests import hours_of
from insightmart.reproducing.building import Built
from insightmart.reproducing.past_figures import SHOWN, PastFigures

AGAIN = "computed_again"


class ComputedAgain:
    """What was computed again, gathered from all computations."""

    def __init__(self, asked: PastFigures) -> None:
        self._asked = asked
        self._own = duckdb.connect()
        self._own.execute("CREATE SCHEMA certified")
        self._view: str | None = None

    def take(self, built: Built) -> Mapping[str, tuple[str, str]]:
        """Add what one computation gave."""
        for name, files in built.files.items():
            for file in files:
                rows = f"SELECT * FROM read_parquet('{str(file).replace(chr(39), chr(39) * 2)}')"
                self._own.execute(f"CREATE TABLE IF NOT EXISTS certified.{name} AS {rows} LIMIT 0")
                self._own.execute(f"INSERT INTO certified.{name} BY NAME {rows}")
        self._view = built.view
        return built.fingerprints

    def compared(self) -> tuple[list[str], list[tuple[Any, ...]]]:
        """The rows that are not the same, with the names of their columns."""
        asked = self._asked
        self._own.execute("SET enable_external_access = false")  # the condition is somebody's text
        self._own.register(SHOWN, asked.shown)
        self._own.execute(f"CREATE TABLE {AGAIN} AS {self._computed()}")
        of_keys = " AND ".join(f"s.{key} = a.{key}" for key in asked.keys)
        columns = [f"COALESCE(s.{key}, a.{key}) AS {key}" for key in asked.keys]
        for name in asked.values:
            columns += [f"s.{name} AS {name}_published", f"a.{name} AS {name}_again"]
        differs = " OR ".join(f"s.{name} IS DISTINCT FROM a.{name}" for name in asked.values)
        found = self._own.execute(
            f"SELECT {', '.join(columns)} FROM {SHOWN} AS s"
            f" FULL OUTER JOIN (SELECT * FROM {AGAIN} WHERE {asked.rows_asked_for}) AS a ON {of_keys}"
            f" WHERE {differs} ORDER BY ALL"
        )
        names = [column[0] for column in found.description]
        return names, found.fetchall()

    def _computed(self) -> str:
        asked = self._asked
        if asked.fact is None:
            for part in asked.followed.parts:
                self._stand_in(part)
            self._own.execute(f"CREATE VIEW certified.{asked.table} AS {self._view}")
            return asked.followed.cells.format(dates="TRUE")
        hours = [
            hours_of(asked.fact, part, f"certified.{part}", columns, "TRUE", "duckdb")
            for part in asked.fact.parts
            if (columns := self._columns(part))
        ]
        query = " UNION ALL ".join(hours).replace("TIMESTAMP_NTZ", "TIMESTAMP")
        emptied = f"SELECT part, event_hour, 0, NULL FROM {SHOWN} WHERE row_count = 0"
        return f"{query} UNION ALL ({emptied})" if query else emptied

    def _columns(self, part: str) -> dict[str, str]:
        return {
            name.lower(): kind
            for name, kind in self._own.execute(
                "SELECT column_name, data_type FROM information_schema.columns"
                " WHERE table_schema = 'certified' AND table_name ILIKE ?",
                [part],
            ).fetchall()
        }

    def _stand_in(self, part: str) -> None:
        """A part that had nothing yet is empty, with the columns of its sibling."""
        if not self._columns(part):
            other = next(one for one in self._asked.followed.parts if self._columns(one))
            self._own.execute(f"CREATE TABLE certified.{part} AS SELECT * FROM certified.{other} LIMIT 0")
