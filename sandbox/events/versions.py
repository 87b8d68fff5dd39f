"""Row versions: every table of the OLTP as a frame of whole numbers, one row for each version of a record.

Columns are int64 throughout. Texts are indexes into the lists below, money is in ten-thousandths, instants are
microseconds, and NULL stands for an SQL null. Beside the table's own columns every frame has

- `updated_at`: when the change was made, as the row says (the event instant);
- `visible_at`: when it was committed, so that others can read it (the visible instant, not before `updated_at`);
- `appended`: 1 if the version was inserted beside older ones of its key, 0 if it replaced them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sandbox.events.draws import Integers

NULL = int(np.iinfo(np.int64).min)

STATUSES = ("pending", "paid", "shipped", "completed", "cancelled", "on hold")
PENDING, PAID, SHIPPED, COMPLETED, CANCELLED, ON_HOLD = range(len(STATUSES))
CHANNELS = ("store", "phone", "online", "unknown", "kiosk", "pos")
STORE, PHONE, ONLINE, UNKNOWN, KIOSK, POS = range(len(CHANNELS))
CURRENCIES = ("USD", "EUR", "GBP")
REASONS = ("damaged", "wrong size", "changed mind", "late delivery", 'customer said "too small"', "price match")

KEYS = {
    "orders": ["order_id"],
    "order_lines": ["order_id", "line_number"],
    "refunds": ["refund_id"],
}
ORDER_COLUMNS = ["order_id", "customer_id", "store_id", "channel", "status", "is_test", "currency", "ordered_at",
                 "discount_amount", "tax_amount", "shipping_amount", "total_amount", "updated_at"]  # fmt: skip
LINE_COLUMNS = ["order_id", "line_number", "sku", "quantity", "unit_price", "discount_amount", "tax_amount",
                "updated_at"]  # fmt: skip
REFUND_COLUMNS = ["refund_id", "order_id", "line_number", "quantity", "amount", "reason", "refunded_at", "updated_at"]
COLUMNS = {"orders": ORDER_COLUMNS, "order_lines": LINE_COLUMNS, "refunds": REFUND_COLUMNS}
BOOKKEEPING = ["visible_at", "appended"]
# `intended_price` is what a line's price ought to be: it differs only while the price bug is in the table. `deleted_at`
# is a column that the table of orders gets only when the first order is marked with it.
EXTRA = {"orders": ["deleted_at"], "order_lines": ["intended_price"], "refunds": []}


@dataclass(frozen=True)
class SalesVersions:
    """Versions of orders, order lines and refunds."""

    orders: pd.DataFrame
    order_lines: pd.DataFrame
    refunds: pd.DataFrame

    def table(self, name: str) -> pd.DataFrame:
        """The frame of one table; `name` as in the database."""
        frame: pd.DataFrame = getattr(self, name)
        return frame


def frame(name: str, **columns: Integers | int) -> pd.DataFrame:
    """A frame of versions of one table; a plain number fills its column. Raises KeyError for a missing column."""
    count = max(len(values) for values in columns.values() if not isinstance(values, int))
    columns.setdefault("appended", 0)
    if name == "orders":
        columns.setdefault("deleted_at", NULL)
    if name == "order_lines":
        columns.setdefault("intended_price", columns["unit_price"])
    columns.setdefault("visible_at", columns["updated_at"])
    arrays = {
        column: np.full(count, columns[column], dtype=np.int64)
        if isinstance(columns[column], int)
        else np.asarray(columns[column], dtype=np.int64)
        for column in [*COLUMNS[name], *BOOKKEEPING, *EXTRA[name]]
    }
    return pd.DataFrame(arrays)


def empty(name: str) -> pd.DataFrame:
    """No version at all."""
    return pd.DataFrame({c: np.empty(0, dtype=np.int64) for c in [*COLUMNS[name], *BOOKKEEPING, *EXTRA[name]]})


def stacked(name: str, parts: list[pd.DataFrame]) -> pd.DataFrame:
    """Frames one below the other, in order of visibility; the given order breaks ties."""
    whole = pd.concat([empty(name), *parts], ignore_index=True)
    order = np.argsort(whole["visible_at"].to_numpy(), kind="stable")
    return whole.iloc[order].reset_index(drop=True)


def visible(versions: pd.DataFrame, clock: int) -> pd.DataFrame:
    """The versions committed before an instant (of a frame in order of visibility)."""
    return versions.iloc[: int(np.searchsorted(versions["visible_at"].to_numpy(), clock, side="left"))]


def last_of_runs(*keys: Integers) -> NDArray[np.bool_]:
    """For sorted key columns: True at the last row of each run of equal keys."""
    count = len(keys[0])
    last = np.ones(count, dtype=bool)
    if count > 1:
        differs = np.zeros(count - 1, dtype=bool)
        for key in keys:
            differs |= key[1:] != key[:-1]
        last[:-1] = differs
    return last


def without_key(name: str, rows: pd.DataFrame) -> NDArray[np.bool_]:
    """Rows with a null in their key: nothing can be the same record as one of them."""
    missing = np.zeros(len(rows), dtype=bool)
    for column in KEYS[name]:
        missing |= rows[column].to_numpy() == NULL
    return missing


def latest(name: str, rows: pd.DataFrame) -> pd.DataFrame:
    """The version that counts of every key: the one with the newest `updated_at`; rows without a key all stay."""
    keyless = without_key(name, rows)
    keyed = rows[~keyless]
    columns = [keyed[column].to_numpy() for column in KEYS[name]]
    # lexsort is stable and its last key sorts first: key, then updated_at, then order of visibility.
    order = np.lexsort((keyed["updated_at"].to_numpy(), *reversed(columns)))
    winners = keyed.iloc[order[last_of_runs(*(column[order] for column in columns))]]
    return pd.concat([winners, rows[keyless].drop_duplicates(COLUMNS[name])], ignore_index=True)


def stored(name: str, rows: pd.DataFrame) -> pd.DataFrame:
    """The rows physically in the table: for every key its last replacing version and whatever was appended after it.

    `rows` are in order of visibility.
    """
    keyless = without_key(name, rows)
    keyed = rows[~keyless]
    columns = [keyed[column].to_numpy() for column in KEYS[name]]
    order = np.lexsort((np.arange(len(keyed)), *reversed(columns)))
    ordered = [column[order] for column in columns]
    replaces = keyed["appended"].to_numpy()[order] == 0
    starts = np.r_[True, last_of_runs(*ordered)[:-1]] if len(order) else np.empty(0, dtype=bool)
    run = np.cumsum(starts)
    position = np.arange(len(order))
    last_replacing = np.zeros(run[-1] + 1 if len(run) else 1, dtype=np.int64)
    np.maximum.at(last_replacing, run, np.where(replaces, position, 0))
    kept = order[position >= last_replacing[run]] if len(order) else order
    return pd.concat([keyed.iloc[np.sort(kept)], rows[keyless]], ignore_index=True)
