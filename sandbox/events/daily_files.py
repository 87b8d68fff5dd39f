"""The daily files of the stores: reference data at UTC midnight of its day, tills after the local midnight ending it.

A till knows its own sales as they ought to be, so it is right even while the order table is not. When a correction
changes a day that was already sent, the store sends its till again within the hour.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import partial

from sandbox.events import csv_dialects as dialects
from sandbox.events.catalogue import Catalogue, Store
from sandbox.events.csv_dialects import habit_of
from sandbox.events.draws import Draws
from sandbox.events.instants import DAY, EPOCH_DAY, HOUR, MINUTE, SECOND, local_midnight, to_datetime, zone
from sandbox.events.online_documents import money
from sandbox.events.schedule import Planted

REFERENCE_HEADER = ("store_id", "name", "format", "region", "city", "state", "country", "timezone", "opened_on",
                    "closed_on", "square_feet", "manager")  # fmt: skip
TILL_HEADER = ("store_id", "business_date", "transactions", "gross_sales", "discounts", "returns", "net_sales")

BEYOND_LATIN1 = ("IN",)  # countries: what a store there writes in Latin-1 is trusted only where it is declared
# Day of the week (of history) on which a reference file has a fault, and how many hours later the sound one comes.
REFERENCE_FAULTS = {1: ("latin-1, semicolon", 0), 2: ("late", 3), 3: ("cut inside quotes", 2)}
# Day of the week on which one more store states what cannot be: the column, the value, what is wrong with it, and how
# many hours later the sound row comes.
ROW_FAULTS = {
    1: ("square_feet", "90000000000000000000", "more square feet than any type holds", 20),
    2: ("timezone", "EST", "a time zone of no region", 12),
}
# Business day of the week whose till one store sends late, and how many hours.
LATE_TILLS = {1: 4, 2: 14}


@dataclass(frozen=True)
class DailyFile:
    """One version of a daily file. `trusted` is False for one that is quarantined whole, `is_good` also for one whose
    only row is rejected.
    """

    key: str
    visible_at: int
    body: Callable[[], bytes]
    store_id: int
    day: int  # reference: UTC day of history
    trusted: bool = True
    row_is_good: bool = True

    @property
    def is_good(self) -> bool:
        return self.trusted and self.row_is_good


# -- reference ---------------------------------------------------------------------------------------------------------


def reference_row(catalogue: Catalogue, store: Store, day: int) -> tuple[str, ...]:
    """What a store says about itself on a UTC day of history; a closure is announced the day before."""
    announced = store.closed_on is not None and catalogue.date(day + 1) >= store.closed_on
    return (
        str(store.store_id),
        store.name,
        store.format,
        store.region,
        store.city,
        store.state,
        store.country,
        store.timezone,
        store.opened_on.isoformat(),
        store.closed_on.isoformat() if store.closed_on and announced else "",
        str(store.square_feet),
        catalogue.manager(store, day),
    )


def _faulty_store(catalogue: Catalogue, topic: str, day: int) -> int:
    stores = catalogue.size.stores
    return int(Draws(catalogue.seed, topic, day).below(1, stores - 2 if stores > 12 else stores)[0]) + 1


def reference_files(catalogue: Catalogue, day: int) -> Iterator[DailyFile]:
    """The reference files for a UTC day, in all their versions."""
    fault, delay = REFERENCE_FAULTS.get(day % 7, ("", 0))
    faulty = _faulty_store(catalogue, "reference faults", day)
    column, stated, _, row_delay = ROW_FAULTS.get(day % 7, ("", "", "", 0))
    for store in catalogue.stores_with_reference(day):
        number = store.store_id
        sent_at = catalogue.epoch + day * DAY + (60 + number * 37 % 480) * SECOND
        rows = [REFERENCE_HEADER, reference_row(catalogue, store, day)]
        is_western = store.country not in BEYOND_LATIN1
        habit = dialects.LATIN1 if number % 4 == 1 and is_western else habit_of(number)
        key = f"reference/{catalogue.date(day):%Y/%m/%d}/store_{number:03d}.csv"
        sound = DailyFile(key, sent_at, lambda habit=habit, rows=rows: habit.encode(rows), number, day)  # type: ignore[misc]
        if column and number == _other_faulty_store(catalogue, day):
            bad = tuple(stated if name == column else value for name, value in zip(*rows, strict=True))
            yield replace(sound, body=partial(dialects.PLAIN.encode, [rows[0], bad]), row_is_good=False)
            yield replace(sound, visible_at=sent_at + row_delay * HOUR)
        elif number != faulty or not fault:
            yield sound
        elif fault == "latin-1, semicolon":
            mixed = dialects.Dialect(delimiter=";", encoding="latin-1" if is_western else "utf-8", line_end="\r\n")
            yield DailyFile(key, sent_at, lambda rows=rows, mixed=mixed: mixed.encode(rows), number, day)  # type: ignore[misc]
        else:
            if fault == "cut inside quotes":
                yield DailyFile(key, sent_at, lambda rows=rows: _cut(rows), number, day, trusted=False)  # type: ignore[misc]
            yield DailyFile(key, sent_at + delay * HOUR, sound.body, number, day)


def _other_faulty_store(catalogue: Catalogue, day: int) -> int:
    """Another store than the day's other faulty one."""
    stores = catalogue.size.stores
    return _faulty_store(catalogue, "reference faults", day) % (stores - 2 if stores > 12 else stores) + 1


def _cut(rows: list[tuple[str, ...]]) -> bytes:
    """The file ends inside a quoted name."""
    row = rows[1]
    return dialects.PLAIN.encode([rows[0], (*row[:1], f"{row[1]}, Main Street", *row[2:])]).partition(b", Main")[0]


# -- tills -------------------------------------------------------------------------------------------------------------


def till_days(catalogue: Catalogue, before: int) -> Iterator[tuple[Store, date, int]]:
    """Every store and local date whose till is sent before an instant, with when it is sent first."""
    for store in catalogue.stores:
        day = to_datetime(catalogue.epoch).astimezone(zone(store.timezone)).date()
        day = max(day, store.opened_on)
        while (sent_at := _till_sent_at(catalogue, store, day)) < before or _is_late(catalogue, store, day):
            if sent_at < before and (store.closed_on is None or day < store.closed_on):
                yield store, day, sent_at
            day += timedelta(days=1)


def _is_late(catalogue: Catalogue, store: Store, day: date) -> bool:
    number = (day - catalogue.start).days
    return number >= 0 and number % 7 in LATE_TILLS and store.store_id == _faulty_store(catalogue, "late tills", number)


def _till_sent_at(catalogue: Catalogue, store: Store, day: date) -> int:
    """Some minutes after the local midnight that ends the day; hours later if the store is late."""
    midnight = local_midnight(store.timezone, day + timedelta(days=1))
    delay = LATE_TILLS[(day - catalogue.start).days % 7] * HOUR if _is_late(catalogue, store, day) else 0
    return midnight + (8 + store.store_id * 7 % 17) * MINUTE + delay


def till_file(store: Store, day: date, figures: tuple[int, ...]) -> tuple[str, bytes]:
    """Key and bytes of a till file with transactions, gross sales, discounts, returns and net sales."""
    row = (str(store.store_id), day.isoformat(), str(figures[0]), *(money(amount) for amount in figures[1:]))
    return f"tills/{day:%Y/%m/%d}/store_{store.store_id:03d}.csv", habit_of(store.store_id).encode([TILL_HEADER, row])


def till_figures(totals: dict[tuple[int, int], tuple[int, ...]], store: Store, day: date) -> tuple[int, ...]:
    """The figures of one store and date out of `figures.till_totals`; zeros for a day without any sale."""
    return totals.get((store.store_id, (day - EPOCH_DAY).days), (0, 0, 0, 0, 0))


# -- the report --------------------------------------------------------------------------------------------------------


def planted_on(catalogue: Catalogue, day: int) -> list[Planted]:
    """The faults among the daily files of a UTC day."""
    planted = []
    if day % 7 in REFERENCE_FAULTS:
        fault, delay = REFERENCE_FAULTS[day % 7]
        number = _faulty_store(catalogue, "reference faults", day)
        expected = {
            "latin-1, semicolon": "read with its accents",
            "late": f"comes {delay} hours late; the store's last known version holds",
            "cut inside quotes": f"quarantined whole, replaced {delay} hours later",
        }[fault]
        key = f"reference/{catalogue.date(day):%Y/%m/%d}/store_{number:03d}.csv"
        planted.append(Planted(catalogue.epoch + day * DAY + MINUTE, "stores", f"{key}: {fault}", expected))
    if day % 7 in ROW_FAULTS:
        column, stated, what, delay = ROW_FAULTS[day % 7]
        key = f"reference/{catalogue.date(day):%Y/%m/%d}/store_{_other_faulty_store(catalogue, day):03d}.csv"
        expected = f"the row is rejected, the store's last version holds; replaced {delay} hours later"
        what = f"{key}: {column} {stated}, {what}"
        planted.append(Planted(catalogue.epoch + day * DAY + MINUTE, "stores", what, expected))
    if day % 7 in LATE_TILLS:
        store = catalogue.stores[_faulty_store(catalogue, "late tills", day) - 1]
        sent_at = _till_sent_at(catalogue, store, catalogue.date(day))
        what = f"till of store {store.store_id} for {catalogue.date(day)} comes {LATE_TILLS[day % 7]} hours late"
        planted.append(Planted(sent_at, "stores", what, "its reconciliation is pending until then"))
    return planted
