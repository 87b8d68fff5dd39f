"""Facts as certified must hold them, in columns, and what both sources do to get there."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sandbox.events.catalogue import COMPANY_ZONE, Catalogue
from sandbox.events.draws import Integers
from sandbox.events.instants import HOUR, to_local
from sandbox.events.versions import (
    NULL,
)

Mask = NDArray[np.bool_]
OLTP = 0
SHOPIFY = 1
SOURCES = ("oltp", "shopify")
ONLINE_STORE = 0
UNKNOWN_STORE = -1
GATE_SHARE = 20  # percent of an hour's lines
GATE_LEAST = 20  # fewer rejected lines or orders close no hour


@dataclass
class Facts:
    """Orders, lines and refunds that count, and what the rules split off.

    `local` is the wall clock of the store. `quarantined` lists by entity the rows split off, one row each rule they
    break, with columns row (a number that tells rows apart), rule and money. `hours` has the lines, orders and rejected
    ones of each UTC hour of the OLTP.
    """

    orders: pd.DataFrame
    lines: pd.DataFrame
    refunds: pd.DataFrame
    quarantined: dict[str, pd.DataFrame]
    hours: pd.DataFrame

    def blocked_hours(self) -> list[int]:
        """UTC hours (since 1970) in which too many OLTP lines or orders are rejected for the gate to pass them."""

        def too_many(rejected: str, of: str) -> pd.Series:
            share: pd.Series = self.hours[rejected] * 100 > self.hours[of] * GATE_SHARE
            return share & (self.hours[rejected] >= GATE_LEAST)

        blocked = too_many("rejected", "lines") | too_many("rejected_orders", "orders")
        return [int(hour) for hour in self.hours.index[blocked]]

    def without(self, source: int, hours: list[int]) -> Facts:
        """The same facts but for what happened in some UTC hours in one source."""

        def kept(frame: pd.DataFrame) -> pd.DataFrame:
            return frame[~((frame["source"] == source) & np.isin(frame["event_at"] // HOUR, hours))]

        orders, lines, refunds = kept(self.orders), kept(self.lines), kept(self.refunds)
        return replace(self, orders=orders, lines=lines, refunds=refunds)

    def with_other(self, other: Facts) -> Facts:
        """Two sources in one; what only one of them knows of is 0 in the other."""
        return Facts(
            orders=_united(self.orders, other.orders),
            lines=_united(self.lines, other.lines),
            refunds=_united(self.refunds, other.refunds),
            quarantined=self.quarantined | other.quarantined,
            hours=self.hours,
        )


def _united(one: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """Two frames in one, with the columns of both."""
    names = [*one.columns, *(name for name in other.columns if name not in one.columns)]
    frames = [frame.reindex(columns=names, fill_value=0) for frame in (one, other)]
    return pd.concat(frames, ignore_index=True)


def is_null(values: Integers) -> Mask:
    """Where there is no value."""
    null: Mask = values == NULL
    return null


def negative(values: Integers) -> Mask:
    """Where there is a value below zero."""
    negative: Mask = (values < 0) & (values != NULL)
    return negative


def or_zero(values: Integers) -> Integers:
    """The values, and zero where there is none."""
    return np.where(values == NULL, 0, values)


def split_off(rules: dict[str, Mask], money: Integers) -> tuple[Mask, pd.DataFrame]:
    """Which rows break no rule, and a row for each rule each of the others breaks."""
    bad = np.zeros(len(money), dtype=bool)
    parts = []
    for rule, broken in rules.items():
        bad |= broken
        rows = np.flatnonzero(broken)
        parts.append(pd.DataFrame({"row": rows, "rule": rule, "money": money[rows]}))
    return ~bad, pd.concat(parts, ignore_index=True)


def sums_by(position: Integers, values: Integers, count: int) -> Integers:
    """Sums of the values that have the same position, for positions below `count`; exact."""
    sums = np.zeros(count, dtype=np.int64)
    np.add.at(sums, position, values)
    return sums


def columns(frame: pd.DataFrame) -> dict[str, Integers]:
    """The columns of a frame as arrays."""
    return {str(name): frame[name].to_numpy() for name in frame.columns}


def local_times(catalogue: Catalogue, store_id: Integers, instants: Integers) -> Integers:
    """The wall clock of each store at an instant; the company's for online and unknown stores."""
    local = np.empty(len(instants), dtype=np.int64)
    zones = np.array([COMPANY_ZONE, *(store.timezone for store in catalogue.stores)])[np.maximum(store_id, 0)]
    for name in np.unique(zones):
        there = zones == name
        local[there] = to_local(instants[there], str(name))
    return local
