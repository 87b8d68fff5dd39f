"""How a store's inventory file can be late, odd or broken, and what the pipeline has to make of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

from sandbox.events import csv_dialects as dialects
from sandbox.events.catalogue import Catalogue, Store
from sandbox.events.csv_dialects import Dialect, habit_of
from sandbox.events.draws import Draws
from sandbox.events.instants import HOUR, MINUTE
from sandbox.events.inventory_counts import HEADER, InventoryFile, key_of, row_of, table_of
from sandbox.events.schedule import WEEK_HOURS, Planted

# Hour of the week at which a fault shows. The first day is left to the preload; all is repaired by hour 90.
FAULT_HOURS = {
    26: "late",
    28: "rewritten",
    30: "semicolon",
    31: "tab",
    32: "gzip, key .csv",
    33: "gzip, key .csv.gz",
    34: "byte order mark",
    35: "utf-16",
    36: "utf-16 without mark",
    38: "crlf",
    39: "cr",
    43: "sent twice, second key",
    45: "sent twice, unchanged",
    47: "reordered and extra columns",
    49: "latin-1",
    50: "quoted line ends",
    52: "empty",
    53: "no on_order column",
    55: "renamed columns",
    56: "cut inside quotes",
    58: "bad number, repaired",
    60: "bad number, stays",
    62: "another store's rows",
    64: "two stores' rows",
    66: "junk rows",
    67: "thousands separators",
    68: "counted twice",
    70: "late",
    73: "rewritten",
    75: "gzip cut short",
    76: "cut in a row",
    78: "late",
    # drawn after all others, so that those keep their stores
    51: "shift_jis",
    54: "key in capitals",
    57: "sku rewritten by a spreadsheet",
}


# -- which file has which fault ----------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def _faults_of_week(seed: int, stores: int, week: int) -> dict[tuple[int, int], str]:
    draws = Draws(seed, "file faults", week)
    # The stores that open or close during the run are left alone.
    chosen = draws.below(len(FAULT_HOURS), stores - 2 if stores > 12 else stores) + 1
    faults = {
        (week * WEEK_HOURS + hour, int(store)): fault
        for (hour, fault), store in zip(FAULT_HOURS.items(), chosen, strict=True)
    }
    for day in range(7):
        often = max(1, stores // 40) if stores > 12 or day % 2 else 0
        hours = draws.below(often, 18) + week * WEEK_HOURS + day * 24
        late = draws.below(often, stores - 2 if stores > 12 else stores) + 1
        for hour, store in zip(hours.tolist(), late.tolist(), strict=True):
            faults.setdefault((hour, store), "late")
    return faults


def faults_of_day(catalogue: Catalogue, day: int) -> dict[tuple[int, int], str]:
    """The faults among the files of a UTC day, by hour since the start of history and store."""
    week = _faults_of_week(catalogue.seed, catalogue.size.stores, day // 7)
    return {place: fault for place, fault in week.items() if place[0] // 24 == day}


def versions(catalogue: Catalogue, hour: int, store: Store, sound: InventoryFile, fault: str) -> list[InventoryFile]:
    """What a faulty store sends instead of the sound file."""
    draws = Draws(catalogue.seed, "file fault", hour, store.store_id)
    ends = catalogue.epoch + (hour + 1) * HOUR
    late = replace(sound, visible_at=ends + int(draws.between(1, 35, 165)[0]) * MINUTE)
    again = replace(sound, visible_at=ends + HOUR + int(draws.between(1, 5, 50)[0]) * MINUTE)
    if fault in WRITTEN_OTHERWISE:
        dialect = WRITTEN_OTHERWISE[fault]
        return [replace(sound, body=lambda: dialect.encode(table_of(catalogue, sound.counts)))]
    if fault in LAID_OUT_OTHERWISE:
        return [LAID_OUT_OTHERWISE[fault](catalogue, sound)]
    if fault in DAMAGED:
        return [DAMAGED[fault](catalogue, sound), again]
    if fault in KEPT:
        return [KEPT[fault](catalogue, sound)]
    match fault:
        case "late":
            return [late]
        case "rewritten":
            return [sound, _rewritten(catalogue, again)]
        case "key in capitals":
            folder, _, name = sound.key.rpartition("/")
            return [replace(sound, key=f"{folder}/{name.upper()}")]
        case "gzip, key .csv.gz":
            body = replace(habit_of(store.store_id), gzipped=True)
            return [replace(sound, key=f"{sound.key}.gz", body=lambda: body.encode(table_of(catalogue, sound.counts)))]
        case "sent twice, second key":
            return [sound, replace(again, key=sound.key.replace(".csv", "_resent.csv"))]
        case "sent twice, unchanged":
            return [sound, again]
    raise ValueError(f"no such fault of an inventory file: {fault}")


# -- faults that lose nothing: the file is only written differently ----------------------------------------------------

WRITTEN_OTHERWISE: dict[str, Dialect] = {
    "semicolon": dialects.SEMICOLON,
    "tab": dialects.TAB,
    "gzip, key .csv": dialects.GZIP,
    "byte order mark": dialects.UTF8_MARK,
    "utf-16": dialects.UTF16,
    "utf-16 without mark": dialects.UTF16_BARE,
    "crlf": dialects.CRLF,
    "cr": dialects.CR,
}


def _laid_out(
    sound: InventoryFile, catalogue: Catalogue, change: Callable[[tuple[str, ...]], tuple[str, ...]],
    header: tuple[str, ...], dialect: Dialect = dialects.PLAIN,
) -> InventoryFile:  # fmt: skip
    rows = [change(row) for row in table_of(catalogue, sound.counts)[1:]]
    return replace(sound, body=lambda: dialect.encode([header, *rows]))


def _reordered(catalogue: Catalogue, sound: InventoryFile) -> InventoryFile:
    header = ("counted_at", "shelf", "sku", "on_order", "on_hand", "store_id", "checked_by")
    return _laid_out(sound, catalogue, lambda r: (r[4], "A-7", r[1], r[3], r[2], r[0], "night shift, B"), header)


def _latin1(catalogue: Catalogue, sound: InventoryFile) -> InventoryFile:
    return _laid_out(sound, catalogue, lambda r: (*r, "Zoë Müller"), (*HEADER, "counted_by"), dialects.LATIN1)


def _quoted_line_ends(catalogue: Catalogue, sound: InventoryFile) -> InventoryFile:
    return _laid_out(
        sound, catalogue, lambda r: (*r[:4], "shelf 3,\nsecond row", r[4]), (*HEADER[:4], "note", HEADER[4])
    )


def _renamed(catalogue: Catalogue, sound: InventoryFile) -> InventoryFile:
    return _laid_out(
        sound, catalogue, lambda r: r, ("Store No", "Item Number", "Qty On Hand", "Qty On Order", "Counted At")
    )


def _thousands(catalogue: Catalogue, sound: InventoryFile) -> InventoryFile:
    counts = tuple(replace(count, on_hand=count.on_hand + 1200) for count in sound.counts)
    grouped = replace(sound, counts=counts)
    return _laid_out(grouped, catalogue, lambda r: (*r[:2], f"{int(r[2]):,}", *r[3:]), HEADER)


LAID_OUT_OTHERWISE: dict[str, Callable[[Catalogue, InventoryFile], InventoryFile]] = {
    "reordered and extra columns": _reordered,
    "latin-1": _latin1,
    "quoted line ends": _quoted_line_ends,
    "renamed columns": _renamed,
    "thousands separators": _thousands,
}


# -- faults that are repaired: the sound file follows under the same key -----------------------------------------------


def _empty(catalogue: Catalogue, sound: InventoryFile) -> InventoryFile:
    return replace(sound, body=lambda: b"", counts=())


def _cut_inside_quotes(catalogue: Catalogue, sound: InventoryFile) -> InventoryFile:
    """The last row ends inside a quoted note: where rows begin and end cannot be told any more."""
    whole = _quoted_line_ends(catalogue, sound).body
    return replace(sound, body=lambda: whole()[: whole().rindex(b"second row") + 3], counts=(), trusted=False)


def _without_on_order(catalogue: Catalogue, sound: InventoryFile) -> InventoryFile:
    """Nobody said that the store does not know what is on order: it is no zero, and no NULL either."""
    file = _laid_out(sound, catalogue, lambda r: (*r[:3], r[4]), (*HEADER[:3], HEADER[4]))
    return replace(file, counts=(), trusted=False)


def _shift_jis(catalogue: Catalogue, sound: InventoryFile) -> InventoryFile:
    """All its bytes are letters and symbols of Latin-1, too."""
    file = _laid_out(sound, catalogue, lambda r: (*r, "点検 田中"), (*HEADER, "counted_by"), dialects.SHIFT_JIS)
    return replace(file, counts=(), trusted=False)


def _cut_gzip(catalogue: Catalogue, sound: InventoryFile) -> InventoryFile:
    def body() -> bytes:
        packed = dialects.GZIP.encode(table_of(catalogue, sound.counts))
        return packed[: len(packed) * 3 // 5]

    return replace(sound, body=body, counts=(), trusted=False)


def _cut_in_a_row(catalogue: Catalogue, sound: InventoryFile) -> InventoryFile:
    """Plainly cut in the last row: that row is rejected, the others are whole."""
    table = table_of(catalogue, sound.counts)
    counts = (*sound.counts[:-1], replace(sound.counts[-1], fate="rejected"))
    return replace(sound, body=lambda: dialects.PLAIN.encode(table)[: -len(table[-1][-1]) - 3], counts=counts)


def _bad_number(catalogue: Catalogue, sound: InventoryFile) -> InventoryFile:
    table = table_of(catalogue, sound.counts)
    table[1] = (*table[1][:2], "twelve", *table[1][3:])
    counts = (replace(sound.counts[0], fate="rejected"), *sound.counts[1:])
    return replace(sound, body=lambda: dialects.PLAIN.encode(table), counts=counts)


def _another_stores_rows(catalogue: Catalogue, sound: InventoryFile) -> InventoryFile:
    other = sound.counts[0].store_id % len(catalogue.stores) + 1
    counts = tuple(replace(count, store_id=other, fate="rejected") for count in sound.counts)
    return replace(sound, body=lambda: dialects.PLAIN.encode(table_of(catalogue, counts)), counts=counts)


DAMAGED: dict[str, Callable[[Catalogue, InventoryFile], InventoryFile]] = {
    "empty": _empty,
    "cut inside quotes": _cut_inside_quotes,
    "gzip cut short": _cut_gzip,
    "no on_order column": _without_on_order,
    "shift_jis": _shift_jis,
    "cut in a row": _cut_in_a_row,
    "bad number, repaired": _bad_number,
    "another store's rows": _another_stores_rows,
}


# -- faults that stay --------------------------------------------------------------------------------------------------


def _two_stores_rows(catalogue: Catalogue, sound: InventoryFile) -> InventoryFile:
    """Two rows of another store after the file's own."""
    other = sound.counts[0].store_id % len(catalogue.stores) + 1
    foreign = tuple(replace(count, store_id=other, fate="rejected") for count in sound.counts[:2])
    counts = sound.counts + foreign
    return replace(sound, body=lambda: dialects.PLAIN.encode(table_of(catalogue, counts)), counts=counts)


def _junk_rows(catalogue: Catalogue, sound: InventoryFile) -> InventoryFile:
    """Rows without sku, without a count, oversold, without an instant; after the good ones."""
    free = (sound.counts[-1].product + 1) % catalogue.size.products
    spare = replace(sound.counts[0], product=free)
    counts = (
        replace(spare, fate="sku_missing"),
        replace(spare, fate="on_hand_missing"),
        replace(spare, on_hand=-3),  # oversold: a fact
        replace(spare, fate="rejected"),
    )
    row = row_of(catalogue, spare)
    rows = [
        (row[0], " ", *row[2:]),
        (*row[:2], "", *row[3:]),
        (*row[:2], "-3", *row[3:]),
        (*row[:4], ""),
    ]
    table = [*table_of(catalogue, sound.counts), *rows]
    return replace(sound, body=lambda: dialects.PLAIN.encode(table), counts=sound.counts + counts)


def _rewritten_sku(catalogue: Catalogue, sound: InventoryFile) -> InventoryFile:
    """A barcode that a spreadsheet shortened, after the good rows."""
    row = row_of(catalogue, sound.counts[0])
    table = [*table_of(catalogue, sound.counts), (row[0], "4.00638E+12", *row[2:])]
    counts = (*sound.counts, replace(sound.counts[0], fate="rejected"))
    return replace(sound, body=lambda: dialects.PLAIN.encode(table), counts=counts)


def _counted_twice(catalogue: Catalogue, sound: InventoryFile) -> InventoryFile:
    """The first product is counted again some minutes later: the later count is the hour's."""
    first = sound.counts[0]
    again = replace(first, on_hand=first.on_hand + 3, counted_at=first.counted_at + 7 * MINUTE)
    counts = (replace(first, fate="superseded"), *sound.counts[1:], again)
    return replace(sound, body=lambda: dialects.PLAIN.encode(table_of(catalogue, counts)), counts=counts)


KEPT: dict[str, Callable[[Catalogue, InventoryFile], InventoryFile]] = {
    "bad number, stays": _bad_number,
    "two stores' rows": _two_stores_rows,
    "junk rows": _junk_rows,
    "counted twice": _counted_twice,
    "sku rewritten by a spreadsheet": _rewritten_sku,
}


def _rewritten(catalogue: Catalogue, file: InventoryFile) -> InventoryFile:
    """The same hour again: other counts at the same instants, one counted later, one product gone."""
    first, *rest = file.counts
    changed = [replace(count, on_hand=count.on_hand + 11) for count in rest[:-1]]
    counts = (replace(first, on_hand=0, counted_at=first.counted_at + 2 * MINUTE), *changed)
    habit = habit_of(first.store_id)
    return replace(file, body=lambda: habit.encode(table_of(catalogue, counts)), counts=counts)


# -- the report --------------------------------------------------------------------------------------------------------

_EXPECTED = {
    "late": "the hour is released after the grace period; its counts come in as a correction",
    "rewritten": "the new content replaces the rows of the old one, also the row that is gone",
    "sent twice, second key": "counted once",
    "sent twice, unchanged": "nothing changes",
    "empty": "not counted as in; the sound file that follows is a correction",
    "cut inside quotes": "quarantined whole, replaced by the sound file two hours later",
    "gzip cut short": "quarantined whole, replaced by the sound file two hours later",
    "cut in a row": "the cut row is rejected, replaced with the sound file two hours later",
    "bad number, repaired": "the row is rejected, replaced with the sound file two hours later",
    "bad number, stays": "the row is rejected, the others flow",
    "another store's rows": "all rows rejected, replaced by the sound file two hours later",
    "two stores' rows": "the other store's two rows are rejected",
    "junk rows": "two rows quarantined (sku_missing, on_hand_missing), one rejected; what is oversold counts",
    "counted twice": "the later count of the hour wins",
    "no on_order column": "quarantined whole, since nobody declared it; replaced by the sound file two hours later",
    "shift_jis": "quarantined whole, since nobody declared it; replaced by the sound file two hours later",
    "key in capitals": "the store's file all the same",
    "sku rewritten by a spreadsheet": "the row is rejected, the others flow",
}


def planted_on(catalogue: Catalogue, day: int) -> list[Planted]:
    """The faults among the inventory files of a UTC day."""
    return [
        Planted(
            catalogue.epoch + hour * HOUR + 50 * MINUTE,
            "stores",
            f"{key_of(catalogue.epoch + hour * HOUR, store)}: {fault}",
            _EXPECTED.get(fault, "read as if it were plain"),
        )
        for (hour, store), fault in sorted(faults_of_day(catalogue, day).items())
    ]
