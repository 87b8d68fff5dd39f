"""What of the stock counts is in at a clock: the counts of every file as it stands then, and of the online location."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pandas as pd

from sandbox.business import Business
from sandbox.events.instants import DAY, HOUR, iso
from sandbox.events.inventory_counts import Count, CountedDay, counted_day
from sandbox.events.inventory_faults import faults_of_day
from sandbox.events.inventory_files import files_of_store
from sandbox.events.online_stock import levels_of_day, shared_product
from sandbox.truth.facts import ONLINE_STORE, local_times

COUNT_COLUMNS = ["store_id", "product", "on_hand", "on_order", "counted_at"]


@dataclass
class Stock:
    """Counts that are certified at a clock, and what came with them.

    counts: store_id, product, on_hand, on_order (-1: not said), counted_at, business_date. hours: for each UTC hour the
    number of open stores and of those whose file is in (a quarantined one is, an empty one is not). quarantined: rows
    by rule. rejected: rows that cannot be typed. distrusted: keys of files that are quarantined whole as they stand.
    """

    counts: pd.DataFrame
    hours: list[dict[str, object]]
    covered_through: int
    quarantined: Counter[str]
    rejected: int
    distrusted: list[str]


def stock_at(source: Business, clock: int) -> Stock:
    """The stock counts at a clock. An hour is in when every open store's file is, or 30 minutes after its end."""
    days = [_Day(source, day, clock) for day in range(max(0, source.day_of(clock - 1)) + 1)]
    hours = [hour for day in days for hour in day.hours()]
    covered = clock if hours and hours[-1]["complete"] else max(source.epoch, clock - HOUR)
    stores = pd.concat([day.counts() for day in days], ignore_index=True)
    counts = pd.concat([stores[stores["counted_at"] < covered], _online(source, clock)], ignore_index=True)
    local = local_times(source.catalogue, counts["store_id"].to_numpy(), counts["counted_at"].to_numpy())
    quarantined: Counter[str] = Counter()
    for count in (count for day in days for count in day.faulty if count.counted_at < covered):
        if count.fate not in ("counts", "rejected", "superseded"):
            quarantined[count.fate] += 1
    rejected = sum(count.fate == "rejected" for day in days for count in day.faulty)
    distrusted = [key for day in days for key in day.distrusted]
    return Stock(counts.assign(business_date=local // DAY), hours, covered, quarantined, rejected, distrusted)


class _Day:
    """The files of one UTC day as they stand at a clock."""

    def __init__(self, source: Business, day: int, clock: int) -> None:
        self.source, self.day, self.clock = source, day, clock
        self.catalogue = source.catalogue
        self.counted: CountedDay = counted_day(self.catalogue, day)
        begins = source.epoch + day * DAY + np.arange(24) * HOUR
        self.begun = begins + HOUR <= clock  # hours that have ended
        is_open = np.array([store.is_open_on(self.catalogue.date(day)) for store in self.catalogue.stores])
        self.expected = is_open[:, None] & self.begun[None, :]
        self.sound = self.expected & (self.counted.sent_at < clock)
        self.received = self.sound.copy()
        self.faulty: list[Count] = []
        self.distrusted: list[str] = []
        for (hour, store_id), fault in faults_of_day(self.catalogue, day).items():
            place = store_id - 1, hour % 24
            if self.expected[place]:
                self.sound[place] = False
                self.received[place] = self._read_faulty(hour, store_id, fault)

    def _read_faulty(self, hour: int, store_id: int, fault: str) -> bool:
        """Take in what the last version of each key holds; an empty file is not in, a quarantined one is."""
        store = self.catalogue.stores[store_id - 1]
        files = [file for file in files_of_store(self.catalogue, hour, store, fault) if file.visible_at < self.clock]
        standing = {file.key: file for file in sorted(files, key=lambda file: file.visible_at)}
        for number, file in enumerate(standing.values()):
            if number == 0:  # a second key holds the same counts again
                self.faulty += file.counts
            if not file.trusted:
                self.distrusted.append(file.key)
        return any(file.counts or not file.trusted for file in standing.values())

    def counts(self) -> pd.DataFrame:
        """The counts that count, of sound and of faulty files."""
        store, hour = np.nonzero(self.sound)
        rows = self.counted.product.shape[2]
        sound = {"store_id": np.repeat(store + 1, rows)} | {
            name: getattr(self.counted, name)[store, hour].ravel() for name in COUNT_COLUMNS[1:]
        }
        good = [count for count in self.faulty if count.fate == "counts"]
        faulty = {
            "store_id": [count.store_id for count in good],
            "product": [count.product for count in good],
            "on_hand": [count.on_hand for count in good],
            "on_order": [-1 if count.on_order is None else count.on_order for count in good],
            "counted_at": [count.counted_at for count in good],
        }
        return pd.concat([pd.DataFrame(sound), pd.DataFrame(faulty, dtype=np.int64)], ignore_index=True)

    def hours(self) -> list[dict[str, object]]:
        """Which of the hours that have ended are complete."""
        begins = self.source.epoch + self.day * DAY
        return [
            {
                "hour": iso(begins + hour * HOUR),
                "open_stores": int(self.expected[:, hour].sum()),
                "files_in": int(self.received[:, hour].sum()),
                "complete": bool((self.received[:, hour] == self.expected[:, hour]).all()),
            }
            for hour in range(24)
            if self.begun[hour]
        ]


def _online(source: Business, clock: int) -> pd.DataFrame:
    """Every count of the online location up to when the shop could last be read."""
    seen = source.shop_seen_at(clock)
    parts = []
    for day in range(max(0, source.day_of(clock - 1)) + 1):
        levels = levels_of_day(source.catalogue, day)
        parts.append(
            pd.DataFrame(
                {
                    "store_id": ONLINE_STORE,
                    "item": levels.item,
                    "product": levels.product,
                    "on_hand": levels.on_hand,
                    "on_order": levels.incoming,
                    "counted_at": levels.counted_at,
                }
            )
        )
    counts = _added_up(pd.concat(parts, ignore_index=True), shared_product(source.catalogue))
    return counts[counts["counted_at"] < seen].drop(columns="item")


def _added_up(counts: pd.DataFrame, product: int) -> pd.DataFrame:
    """Counts of a product that is two items: what is counted of one and what was counted last of the other."""
    of_product = counts[counts["product"] == product].sort_values("counted_at")
    for measure in ("on_hand", "on_order"):
        by_item = of_product.pivot(index="counted_at", columns="item", values=measure)
        counts.loc[of_product.index, measure] = by_item.ffill().fillna(0).sum(axis=1).astype(np.int64).to_numpy()
    return counts


def daily_stock(counts: pd.DataFrame) -> pd.DataFrame:
    """By business_date, store_id and product: the last count of the day, and how many counts found nothing left."""
    ordered = counts.sort_values("counted_at", kind="stable").assign(stockout_hours=counts["on_hand"] <= 0)
    grouped = ordered.groupby(["business_date", "store_id", "product"], as_index=False)
    return grouped.agg(closing_on_hand=("on_hand", "last"), stockout_hours=("stockout_hours", "sum"))
