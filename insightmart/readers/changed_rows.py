"""What a cycle changed of what readers see, as the journal has it: conditions on the rows of the large tables."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from ingestion.clock import utc_now
from ingestion.warehouse import Warehouse
from insightmart.journal.digests import Windows, within
from insightmart.journal.followed import FACTS, INVENTORY, SALES, Followed

DAY = timedelta(days=1)
A_YEAR = timedelta(weeks=52)  # of like-for-like sales
# Aggregates whose rows carry no instant but a business date, which lies within a day of it, and how much later the date
# of other rows is that are made of the same sales.
_BY_DATE = {
    "certified.agg_inventory_daily": (INVENTORY, ()),
    "certified.agg_sales_hourly": (SALES, ()),
    "certified.agg_sales_daily": (SALES, ()),
    "certified.agg_sales_like_for_like": (SALES, (A_YEAR,)),
}
# Those that are published with an aggregate, and the column of their hour.
_BY_HOUR = {
    "certified.inventory_coverage": (INVENTORY, "counted_hour"),
    "certified.row_counts": (SALES, "event_hour"),
}
# Tables of ops to which rows are only ever added, or taken away by the run that added them, and the column that says
# when.
_ADDED_TO = {
    "ops.check_results": "scanned_at",
    "ops.loads": "started_at",
    "ops.reconciled": "reconciled_at",
    "ops.reconciliations": "reconciled_at",
    "ops.run_intervals": "recorded_at",
}
_JOURNAL = ("certified.published_changes", "ops.published_changes", "ops.published_digests")
_CUSTOMERS, _CHANGED_AT = "certified.dim_customers", "changed_at"
# Views of raw alone, over all that was ever loaded, and raw itself -> the loads that change them.
_BY_LOAD = {
    "quarantine.oltp_customers": ("oltp", "customers"),
    "quarantine.oltp_products": ("oltp", "products"),
    "quarantine.shopify_products": ("shopify", "products"),
    "quarantine.stores_reference": ("stores", "reference"),
    "raw.stores_reference": ("stores", "reference"),
}
# Written whole in this order, so that what changes later is found without reading the rest.
ORDER = (
    dict.fromkeys(_BY_DATE, "business_date")
    | {name: hour for name, (_, hour) in _BY_HOUR.items()}
    | _ADDED_TO
    | dict.fromkeys(_JOURNAL, "publication")
    | {_CUSTOMERS: _CHANGED_AT}
)
NOTHING = "FALSE"


@dataclass(frozen=True)
class Basis:
    """What a copy was made of.

    Attributes:
        publication: the last of the journal that is in it; 0 before any.
        digest: of the code behind certified, the columns of all tables, and what was erased or deleted: with another
            one everything may be another.
        published_at: when it was made, UTC; None of one to be made.
        is_settled: whether it was made when all that had passed its gate was in certified. Of another one, what is
            written later may belong to a window that the journal, or the gate, has had before.
    """

    publication: int
    digest: str
    published_at: datetime | None = None
    is_settled: bool = False

    @classmethod
    def of(cls, warehouse: Warehouse) -> Basis:
        """What a copy made now is made of."""
        columns = warehouse.rows(
            "SELECT table_schema, table_name, column_name, data_type FROM information_schema.columns"
            " WHERE table_catalog = CURRENT_DATABASE() ORDER BY ALL"
        )
        views = warehouse.rows(
            "SELECT view_name, sql FROM duckdb_views() WHERE LOWER(schema_name) = 'certified' ORDER BY ALL"
        )
        told = [columns, views, [_count(warehouse, columns, table) for table in ("erasures", "purges")]]
        digest = hashlib.sha256(json.dumps(told, default=str).encode()).hexdigest()
        return cls(_last_publication(warehouse, columns), digest)

    @classmethod
    def kept(cls, warehouse: Warehouse, place: str) -> Basis | None:
        """What a copy says it was made of; None: it does not say."""
        found = warehouse.rows(f"SELECT publication, digest, published_at, is_settled FROM {place}")
        return cls(*found[0]) if found else None

    def keep(self, warehouse: Warehouse, place: str, now: datetime) -> None:
        """Write it into the copy."""
        warehouse.execute(
            f"CREATE OR REPLACE TABLE {place} AS SELECT CAST(? AS TIMESTAMP) AS published_at,"
            " CAST(? AS BIGINT) AS publication, CAST(? AS VARCHAR) AS digest, CAST(? AS BOOLEAN) AS is_settled",
            [now, self.publication, self.digest, self.is_settled],
        )


def changed_rows(warehouse: Warehouse, last: Basis, now: Basis) -> Mapping[str, str] | None:
    """``schema.table`` -> a condition on its rows that are other ones than in a copy, or were added.

    A table that is not named is small enough to be written whole. None: so has to be everything, because the copy was
    not settled, the day is another one, the code, the columns or what was deleted are, or something was written that
    the journal has not.
    """
    assert last.published_at is not None
    if not last.is_settled or last.digest != now.digest or utc_now().date() != last.published_at.date():
        return None
    if warehouse.value("SELECT COUNT(*) FROM ops.unpublished_windows"):
        return None
    windows: dict[str, list[tuple[datetime, datetime]]] = {}
    for (text,) in warehouse.rows("SELECT windows FROM ops.publications WHERE publication > ?", [last.publication]):
        for part, start, end in json.loads(text or "[]"):
            windows.setdefault(part, []).append((datetime.fromisoformat(start), datetime.fromisoformat(end)))
    found = {f"certified.{fact.table}": _of_instants(fact.instant, _of(fact.aggregate, windows)) for fact in FACTS}
    found |= {name: _of_dates(_of(aggregate, windows), later) for name, (aggregate, later) in _BY_DATE.items()}
    found |= {name: _of_instants(hour, _of(aggregate, windows)) for name, (aggregate, hour) in _BY_HOUR.items()}
    found |= {name: f"publication > {int(last.publication)}" for name in _JOURNAL}
    since = last.published_at - DAY
    found |= {name: _since(column, since) for name, column in _ADDED_TO.items()}
    first_open = _first_open_load(warehouse) or last.published_at
    found["ops.loads"] = _since("started_at", min(since, first_open))
    loaded = set(
        warehouse.rows(
            "SELECT source, entity FROM ops.loads"
            " WHERE started_at >= CAST(? AS TIMESTAMP) AND status = 'loaded' AND \"ROWS\" > 0 GROUP BY 1, 2",
            [min(last.published_at, first_open)],
        )
    )
    found |= {name: NOTHING for name, load in _BY_LOAD.items() if load not in loaded}
    if (customers := _of_customers(warehouse, last.published_at)) is not None:
        found[_CUSTOMERS] = customers
    return found


def _since(column: str, instant: datetime) -> str:
    return f"{column} >= CAST('{instant}' AS TIMESTAMP)"


def _first_open_load(warehouse: Warehouse) -> datetime | None:
    """When the first load began that the old copy has as not ended: how it ended is written into its row."""
    found: datetime | None = warehouse.value("SELECT MIN(started_at) FROM readers.ops.loads WHERE status = 'started'")
    return found


def _of_customers(warehouse: Warehouse, published_at: datetime) -> str | None:
    """Which customers passed their gate since; None: versions that are in the copy have become other ones.

    One that only an order names is new; whom a load brought may have been there.
    """
    start = warehouse.value(
        "SELECT MIN(window_start) FROM gate.customers WHERE scanned_at >= CAST(? AS TIMESTAMP)", [published_at]
    )
    if start is None:
        return NOTHING
    changed = _since(_CHANGED_AT, start)
    loaded = warehouse.value(f"SELECT COUNT(*) FROM {_CUSTOMERS} WHERE {changed} AND NOT is_inferred")
    return None if loaded else changed


def _of(aggregate: Followed, windows: Mapping[str, Windows]) -> Windows:
    return [window for part in aggregate.parts for window in windows.get(part, ())]


def _of_instants(instant: str, windows: Windows) -> str:
    if not windows:
        return NOTHING
    around = within(instant, [(min(windows)[0], max(end for _, end in windows))])
    chosen = within(instant, windows)
    # the range leaves blocks out, a choice of hours would not
    both = chosen if chosen == around else f"{around} AND {chosen}"
    return both.replace("TIMESTAMP_NTZ", "TIMESTAMP")


def _of_dates(windows: Windows, later: Sequence[timedelta]) -> str:
    ranges = [
        ((start - DAY + by).date(), (end + DAY + by).date()) for start, end in windows for by in (timedelta(), *later)
    ]
    if not ranges:
        return NOTHING
    around = _dates(min(ranges)[0], max(last for _, last in ranges))
    chosen = sorted({_dates(*dates) for dates in ranges})
    return around if chosen == [around] else f"{around} AND ({' OR '.join(chosen)})"


def _dates(first: date, last: date) -> str:
    return f"business_date BETWEEN DATE '{first}' AND DATE '{last}'"


def _count(warehouse: Warehouse, columns: Sequence[tuple[str, ...]], table: str) -> int:
    is_there = any((schema.lower(), name.lower()) == ("ops", table) for schema, name, *_ in columns)
    return int(warehouse.value(f"SELECT COUNT(*) FROM ops.{table}")) if is_there else 0


def _last_publication(warehouse: Warehouse, columns: Sequence[tuple[str, ...]]) -> int:
    is_there = any((schema.lower(), name.lower()) == ("ops", "publications") for schema, name, *_ in columns)
    return int(warehouse.value("SELECT MAX(publication) FROM ops.publications") or 0) if is_there else 0
