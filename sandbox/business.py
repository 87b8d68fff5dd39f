"""The simulated business: a pure function of seed, size and start that says what happens when.

**The model of time.** Everything that happens has an *event instant*, which its record states (`updated_at` of a row
or a document, the counted hour of a file), and a *visible instant* at which others can see it. Mostly the two are the
same. A row committed late and a file sent late become visible after their event instant; nothing becomes visible
before it. At a clock, the sources hold exactly what became visible before the clock; the truth at a clock is computed
from the same set. Instants are microseconds since 1970 in UTC, `day` and `hour` count from the start of history.

Each UTC day of orders is made on its own, with everything that ever happens to them (at most LONGEST_LIFE_DAYS later),
from streams of draws that belong to that day: so any window of time can be published without replaying what was before.

    events/catalogue         stores, products and prices, customers
    events/baskets           what is bought in a day; store_sales: those orders' lives; junk: bad and repeated rows
    events/slips             orders whose changes the application notes down wrongly
    events/online_sales      a day of online orders; online_documents, online_stock: as the shop shows them
    events/inventory_counts  the stores' hourly counts; inventory_faults, inventory_files: the files, good and bad
    events/daily_files       reference and tills
    truth/facts              which of the sales count, by the rules the pipeline has to apply; oltp_facts, online_facts
    publish, truth/certified put it into the sources; say what the pipeline must make of it
"""

from __future__ import annotations

from datetime import date
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from sandbox.events import daily_files, inventory_faults
from sandbox.events.catalogue import COMPANY_ZONE, FIRST_CUSTOMER, TIERS, Catalogue, home_of
from sandbox.events.instants import DAY, HOUR, iso, to_local
from sandbox.events.junk import with_junk
from sandbox.events.online_sales import OnlineDay, online_day
from sandbox.events.schedule import HIDING_HOUR, WEEK_HOURS, Planted, shop_outage
from sandbox.events.sizes import size_of
from sandbox.events.slips import with_slips
from sandbox.events.store_sales import LONGEST_LIFE_DAYS, StoreDay, store_day
from sandbox.events.versions import KEYS, SalesVersions, stacked
from sandbox.truth.facts import Facts
from sandbox.truth.oltp_facts import store_facts
from sandbox.truth.online_facts import online_facts
from sandbox.truth.totals import till_totals


class Business:
    """One business; days are made when they are first asked for, and kept."""

    def __init__(self, seed: int, size: str, start: date) -> None:
        """Raises ValueError for an unknown size."""
        self.catalogue = Catalogue(seed, size_of(size), start)
        self.epoch = self.catalogue.epoch
        self._store_days: dict[int, StoreDay] = {}
        self._online_days: dict[int, OnlineDay] = {}
        self._sales: dict[tuple[int, int], SalesVersions] = {}
        self._tills: dict[int, dict[tuple[int, int], tuple[int, ...]]] = {}
        self._customers: tuple[int, pd.DataFrame] | None = None

    def day_of(self, instant: int) -> int:
        """The UTC day of history an instant is in."""
        return (instant - self.epoch) // DAY

    def store_day(self, day: int) -> StoreDay:
        """Store and phone orders placed on a day, junk included."""
        if day not in self._store_days:
            day_of_orders = with_junk(self.catalogue, day, store_day(self.catalogue, day))
            self._store_days[day] = with_slips(self.catalogue, day, day_of_orders)
        return self._store_days[day]

    def online_day(self, day: int) -> OnlineDay:
        """Online orders placed on a day."""
        if day not in self._online_days:
            self._online_days[day] = online_day(self.catalogue, day)
        return self._online_days[day]

    def sales(self, before: int, after: int | None = None) -> SalesVersions:
        """Row versions of all store and phone orders placed before an instant.

        With `after`, days whose orders can no longer change after that instant may be missing.
        """
        last = max(0, self.day_of(before - 1))
        first = 0 if after is None else max(0, self.day_of(after) - LONGEST_LIFE_DAYS)
        if (first, last) not in self._sales:
            days = [self.store_day(day).versions for day in range(first, last + 1)]
            tables = {name: stacked(name, [day.table(name) for day in days]) for name in KEYS}
            _keep(self._sales, (first, last), SalesVersions(**tables))
        return self._sales[first, last]

    def store_facts(self, clock: int, intended: bool = False, since: int | None = None) -> Facts:
        """The store and phone sales that count at a clock; with `since`, of orders placed from about then on."""
        return store_facts(self.catalogue, self.sales(clock, since), clock, intended)

    def tills(self, clock: int) -> dict[tuple[int, int], tuple[int, ...]]:
        """What the stores' tills show at a clock (`figures.till_totals`), but for days that no longer change."""
        if clock not in self._tills:
            since = clock - LONGEST_LIFE_DAYS * DAY  # refunds of a day that may change are of orders up to as old again
            _keep(self._tills, clock, till_totals(self._at_counters(clock, since)))
        return self._tills[clock]

    def all_tills(self, clock: int) -> dict[tuple[int, int], tuple[int, ...]]:
        """The same for every day since the start."""
        return till_totals(self._at_counters(clock))

    def _at_counters(self, clock: int, since: int | None = None) -> Facts:
        """What the stores have sold as they know it, with what they rang up at the shop's point of sale."""
        return self.store_facts(clock, intended=True, since=since).with_other(self.online_facts(clock, since))

    def online_facts(self, clock: int, since: int | None = None) -> Facts:
        """The online sales that count at a clock; with `since`, of orders placed from about then on."""
        first = 0 if since is None else max(0, self.day_of(since) - LONGEST_LIFE_DAYS)
        days = [self.online_day(day) for day in range(first, max(0, self.day_of(clock - 1)) + 1)]
        return online_facts(self.catalogue, days, clock)

    def shop_seen_at(self, clock: int) -> int:
        """Up to when the online shop could last be read at a clock: before the clock only during an outage."""
        hour = (clock - self.epoch) // HOUR
        first, end = shop_outage(self.catalogue.seed, max(0, hour - 1) // (7 * 24))
        return self.epoch + first * HOUR if first < hour <= end else clock

    # -- customers and products ----------------------------------------------------------------------------------------

    def customers(self, before: int) -> pd.DataFrame:
        """All versions of customer rows made before an instant, in order, with `updated_at` in microseconds."""
        last = max(0, self.day_of(max(before, self.epoch) - 1))
        if self._customers is None or self._customers[0] != last:
            self._customers = last, self._customer_versions(last)
        versions = self._customers[1]
        return versions[versions["updated_at"] < before]

    def _customer_versions(self, last: int) -> pd.DataFrame:
        catalogue = self.catalogue
        rows = []
        for index, row in enumerate(catalogue.customer_rows(0, catalogue.size.customers, "customers")):
            since = self.epoch - (index * 37 % 1500 + 2) * DAY + index * 7919 % 86_400 * 1_000_000
            rows.append(row | {"created_at": since, "updated_at": since})
        latest = {row["customer_id"]: row for row in rows}
        for day in range(last + 1):
            created = self.store_day(day).baskets.new_customers
            first = created[0][0] if created else 0
            news = catalogue.customer_rows(first, len(created), "new customers", day)
            for row, (_, at) in zip(news, created, strict=True):
                rows.append(row | {"created_at": at, "updated_at": at})
                latest[row["customer_id"]] = rows[-1]
            for index, at, moved, climbed in catalogue.customer_changes(day):
                old = latest[FIRST_CUSTOMER + index]
                tier = TIERS[(TIERS.index(str(old["loyalty_tier"])) + climbed) % len(TIERS)]
                home = home_of(index + day) if moved else {}
                rows.append(old | home | {"loyalty_tier": tier, "updated_at": at})
                latest[FIRST_CUSTOMER + index] = rows[-1]
        return pd.DataFrame(rows).sort_values("updated_at", kind="stable", ignore_index=True)

    def products(self, before: int) -> pd.DataFrame:
        """All versions of OLTP product rows made before an instant, in order: product, day of its price, updated_at."""
        catalogue = self.catalogue
        listed = np.arange(catalogue.size.products)
        parts = [_product_versions(listed, 0, np.array([catalogue.first_listed_at(int(p)) for p in listed]))]
        for day in range(1, self.day_of(before - 1) + 1):
            changed = catalogue.repriced(day)
            changed = changed[changed < catalogue.size.products]
            parts.append(
                _product_versions(changed, day, np.array([catalogue.repriced_at(day, int(p)) for p in changed]))
            )
        versions = pd.concat(parts)
        return versions[versions["updated_at"] < before].sort_values("updated_at", kind="stable", ignore_index=True)

    # -- faults --------------------------------------------------------------------------------------------------------

    def planted(self, before: int) -> list[Planted]:
        """Every planted fault and late correction that shows before an instant, in order."""
        faults: list[Planted] = []
        for day in range(self.day_of(before - 1) + 1):
            faults += self.store_day(day).planted + self.online_day(day).planted
            faults += inventory_faults.planted_on(self.catalogue, day) + daily_files.planted_on(self.catalogue, day)
            faults += self._planted_clock_change(day)
            if day % 7 == 0:
                faults += [self._planted_outage(day // 7), *self._planted_hiding(day // 7)]
        return sorted((fault for fault in faults if fault.at < before), key=lambda fault: (fault.at, fault.what))

    def _planted_clock_change(self, day: int) -> list[Planted]:
        starts = self.epoch + day * DAY
        before, after = to_local(np.array([starts, starts + DAY]), COMPANY_ZONE)
        hours = 24 - int(after - before - DAY) // HOUR
        what = f"clocks change in {COMPANY_ZONE}: the business date has {hours} hours"
        return [] if hours == 24 else [Planted(starts, "stores", what, "no hour is lost or counted twice")]

    def _planted_hiding(self, week: int) -> list[Planted]:
        at = self.epoch + (week * WEEK_HOURS + HIDING_HOUR) * HOUR
        return [
            Planted(
                at,
                "oltp",
                "a policy hides the orders of half of the stores from the reader",
                "orders are not read, nothing is deleted; the next cycle reads them",
            ),
            Planted(
                at,
                "oltp",
                "the table of refunds is empty while it is being restored",
                "it is asked about and not read; the question withdraws itself when the rows are back",
            ),
        ]

    def _planted_outage(self, week: int) -> Planted:
        first, end = shop_outage(self.catalogue.seed, week)
        return Planted(
            self.epoch + first * HOUR,
            "shopify",
            f"the online shop is down until {iso(self.epoch + end * HOUR)}",
            "only online sales wait; store sales go on, and the shop catches up afterwards",
        )


def _keep(cache: dict[Any, Any], key: Any, value: Any) -> None:
    """Keep the last few values: of the window that is published and of the one before."""
    while len(cache) > 2:
        cache.pop(next(iter(cache)))
    cache[key] = value


def _product_versions(products: np.ndarray, day: int, updated_at: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"product": products, "day": day, "updated_at": updated_at}, dtype=np.int64)


@lru_cache(maxsize=2)
def business(seed: int, size: str, start: date) -> Business:
    """The business of this seed, size and start; kept, because a command asks for it hour after hour."""
    return Business(seed, size, start)


def planted(seed: int, size: str, start: date, clock: int) -> list[dict[str, str]]:
    """Every planted fault and late correction that shows before an instant: at, source, what, expected."""
    return [fault.as_json() for fault in business(seed, size, start).planted(clock)]
