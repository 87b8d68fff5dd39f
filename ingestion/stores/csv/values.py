"""Text cells of store files into exact types, a whole column at a time; what has no exact value is named, not guessed.

An empty cell is the source's own "no value" and becomes NULL. Anything else either has exactly one reading, which is
kept to the last digit, or breaks a rule that is recorded in ``Verdicts``. Nothing is rounded, and an instant needs its
offset from UTC.
"""

from __future__ import annotations

import zoneinfo
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Mask = npt.NDArray[np.bool_]

# Groups of three digits, separated by one and the same character: space, no-break spaces, apostrophes.
_SPACED = "(?: \\d{3})+|(?:\u00a0\\d{3})+|(?:\u202f\\d{3})+|(?:'\\d{3})+|(?:\u2019\\d{3})+"
_SPACES = " \u00a0\u202f'\u2019"

_INTEGER = r"^-?\d{1,18}$"
# 1,234 and 1.234.567: a whole number has no decimals, so a comma can only group. One dot (1.234) may be a decimal
# point, and is not taken for a whole number.
_GROUPED_INTEGER = rf"^[+-]?[1-9]\d{{0,2}}(?:(?:,\d{{3}})+|(?:\.\d{{3}}){{2,}}|{_SPACED})$"
_FLOATED_INTEGER = r"^[+-]?\d+\.0{1,2}$"  # 12.0, as written by tools that hold counts as floats

_DECIMAL = r"^-?\d{1,14}(?:\.\d{1,4})?$"
_POINT_DECIMAL = r"^[+-]?(?:\d+\.?\d*|\.\d+)$"
_POINT_GROUPED = rf"^[+-]?[1-9]\d{{0,2}}(?:(?:,\d{{3}})+|{_SPACED})(?:\.\d+)?$"
_COMMA_DECIMAL = rf"^[+-]?(?:[1-9]\d{{0,2}}(?:(?:\.\d{{3}})+|{_SPACED})|\d+),\d+$"
_THREE_DECIMALS = r"^[+-]?[1-9]\d{0,2}\.\d{3}$"  # would be thousands in a file with decimal commas

_DAY = r"(?:[1-9]\d{3}|0[1-9]\d\d|00[1-9]\d|000[1-9])-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])"
_TIME = r"(?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d{1,6})?)?"
_OFFSET = r"(?:Z|[+-](?:0\d|1[0-4])(?::?[0-5]\d)?)"
_INSTANT = rf"^{_DAY}[T ]{_TIME}{_OFFSET}$"
_LOCAL_TIME = rf"^{_DAY}(?:[T ]{_TIME})?$"
_DATE = rf"^{_DAY}$"

# "localtime" is whatever the machine is set to, "Factory" is the zone of one that was never set
TIMEZONES = pa.array(sorted(zoneinfo.available_timezones() - {"localtime", "Factory"}), pa.string())
# Names of the database that are of no region: EST is five hours behind UTC all year, while New York has summer time.
# rules.yml says the same of what is in raw already. Old names of regions, as US/Eastern or Asia/Calcutta, are sound.
_REGIONLESS = {
    *("CET", "EET", "EST", "HST", "MET", "MST", "WET", "EST5EDT", "CST6CDT", "MST7MDT", "PST8PDT"),
    *("GMT", "GMT+0", "GMT-0", "GMT0", "Greenwich", "UCT", "UTC", "Universal", "Zulu"),
}
REGIONS = frozenset(
    name for name in TIMEZONES.to_pylist() if name not in _REGIONLESS and not name.startswith(("Etc/", "SystemV/"))
)
_REGIONS = pa.array(sorted(REGIONS), pa.string())


@dataclass
class Verdicts:
    """The first rule that each record of a batch breaks.

    ``codes`` holds 0 for a record without fault, otherwise 1 + the position of its rule in ``rules``, whose entries
    are (column or None, rule id, reason).
    """

    codes: npt.NDArray[np.int16]
    rules: list[tuple[str | None, str, str]] = field(default_factory=list)

    @classmethod
    def of(cls, records: int) -> Verdicts:
        """No verdict yet for any of so many records."""
        return cls(np.zeros(records, np.int16))

    def fail(self, broken: Mask | pa.Array, column: str | None, rule_id: str, reason: str) -> None:
        """Records marked in ``broken`` break this rule, unless they broke one before."""
        mask = (broken if isinstance(broken, np.ndarray) else mask_of(broken)) & (self.codes == 0)
        if mask.any():
            self.rules.append((column, rule_id, reason))
            self.codes[mask] = len(self.rules)

    @property
    def good(self) -> Mask:
        """Records that broke no rule."""
        good: Mask = self.codes == 0
        return good


Reader = Callable[[pa.Array, str, Verdicts], pa.Array]


def each_distinct(read: Reader, text: pa.Array, column: str, verdicts: Verdicts) -> pa.Array:
    """What ``read`` makes of the cells, given each distinct text once.

    A column of a file repeats itself (the store, small counts, the instants of an hour), and finding that out takes a
    tenth of the time that reading a cell does.
    """
    encoded = text.dictionary_encode()
    of_distinct = Verdicts(np.zeros(len(encoded.dictionary), np.int16), verdicts.rules)
    values = read(encoded.dictionary, column, of_distinct)
    if of_distinct.codes.any():
        found = of_distinct.codes[encoded.indices.to_numpy()]
        verdicts.codes = np.where(verdicts.codes == 0, found, verdicts.codes)
    return values.take(encoded.indices)


def text_values(text: pa.Array) -> pa.Array:
    """Text as it stands; cells that are empty or hold only white space are NULL."""
    if _begin_visibly(text):
        return text
    return pc.if_else(pc.equal(pc.utf8_trim_whitespace(text), ""), pa.scalar(None, pa.string()), text)


def _begin_visibly(text: pa.Array) -> bool:
    """Whether every cell begins with a visible character of ASCII, so that none can be blank."""
    _, offsets, data = text.buffers()
    if not len(text) or data is None or text.null_count:
        return False
    ends = np.frombuffer(offsets, np.int32)[text.offset : text.offset + len(text) + 1]
    if (np.diff(ends) == 0).any():
        return False
    first = np.frombuffer(data, np.uint8)[ends[:-1]]
    return bool(((first > 32) & (first < 127)).all())


def integer_values(text: pa.Array, column: str, verdicts: Verdicts) -> pa.Array:
    """Whole numbers (int64); thousands separators and a decimal part of ``.0`` are understood."""
    if _all_match(text, _INTEGER):
        return text.cast(pa.int64())
    text = pc.utf8_trim_whitespace(text)
    grouped = pc.match_substring_regex(text, _GROUPED_INTEGER)
    text = pc.if_else(grouped, pc.replace_substring_regex(text, f"[,.{_SPACES}]", ""), text)
    floated = pc.match_substring_regex(text, _FLOATED_INTEGER)
    text = pc.if_else(floated, pc.replace_substring_regex(text, r"\.0+$", ""), text)
    text = pc.replace_substring_regex(text, r"^\+(\d)", r"\1")
    empty = pc.equal(text, "")
    whole = pc.match_substring_regex(text, r"^-?\d+$")
    fits = pc.match_substring_regex(text, r"^-?0*\d{1,18}$")
    verdicts.fail(pc.invert(pc.or_(empty, whole)), column, f"{column}_not_integer", f"{column} is not a whole number")
    verdicts.fail(pc.and_not(whole, fits), column, f"{column}_out_of_range", f"{column} has more than 18 digits")
    return _where(fits, text).cast(pa.int64())


def decimal_values(
    text: pa.Array,
    column: str,
    kind: pa.Decimal128Type,
    verdicts: Verdicts,
    files: npt.NDArray[np.int64],
    commas: Mask,
    declared: npt.NDArray[np.str_],
) -> pa.Array:
    """Exact decimals of the type ``kind``.

    Args:
        text: the cells.
        column: its name, for the verdicts.
        kind: decimal type with four decimals.
        verdicts: gets the cells without one exact reading.
        files: per record the position of its file.
        commas: per file whether its decimals may be written with a comma, so that ``1,234`` has two readings.
        declared: per file the decimal mark that was declared, and decides between two readings; empty without one.
    """
    if _all_match(text, _DECIMAL):
        plain = text.cast(kind)
        if not commas.any() and not (declared == ",").any():
            return plain
    text = pc.utf8_trim_whitespace(text)
    point = pc.match_substring_regex(text, f"{_POINT_DECIMAL}|{_POINT_GROUPED}")
    comma = pc.match_substring_regex(text, _COMMA_DECIMAL)
    either = pc.or_(pc.and_(point, comma), pc.match_substring_regex(text, _THREE_DECIMALS))
    marks = declared[files]
    ambiguous = mask_of(either) & commas[files] & (marks == "")
    point = pc.and_not(point, pa.array(mask_of(either) & (marks == ",")))
    comma = pc.or_(comma, pa.array(mask_of(either) & (marks == ",")))
    verdicts.fail(
        ambiguous,
        column,
        f"{column}_ambiguous",
        f"{column} may mean thousands or decimals in a file with decimal commas",
    )
    no_number = pc.invert(pc.or_(pc.equal(text, ""), pc.or_(point, comma)))
    verdicts.fail(no_number, column, f"{column}_not_decimal", f"{column} is not a decimal number")

    pointed = pc.replace_substring_regex(text, f"[,{_SPACES}]", "")
    dotted = pc.replace_substring(pc.replace_substring_regex(text, f"[.{_SPACES}]", ""), ",", ".")
    number = pc.if_else(point, pointed, dotted)
    number = pc.replace_substring_regex(number, rf"(\.\d{{{kind.scale}}})0+$", r"\1")
    number = pc.replace_substring_regex(number, r"^([+-]?)0+(\d)", r"\1\2")
    valid = pa.array(mask_of(pc.or_(point, comma)) & ~ambiguous)
    precise = pc.invert(pc.match_substring_regex(number, rf"\.\d{{{kind.scale + 1},}}$"))
    fits = pc.match_substring_regex(number, rf"^[+-]?\d{{0,{kind.precision - kind.scale}}}(?:\.|$)")
    verdicts.fail(
        pc.and_not(valid, precise), column, f"{column}_too_precise", f"{column} has more than {kind.scale} decimals"
    )
    verdicts.fail(
        pc.and_not(valid, fits),
        column,
        f"{column}_out_of_range",
        f"{column} has more than {kind.precision - kind.scale} digits before the decimal point",
    )
    return _where(pc.and_(valid, pc.and_(precise, fits)), number).cast(kind)


def decimal_comma(text: pa.Array) -> pa.Array:
    """Which cells can only be read with a decimal comma: ``12,50`` and ``1.234,5``, but not ``1,234``."""
    text = pc.utf8_trim_whitespace(text)
    comma = pc.match_substring_regex(text, _COMMA_DECIMAL)
    return pc.and_not(comma, pc.match_substring_regex(text, _POINT_GROUPED))


def decimal_point(text: pa.Array) -> pa.Array:
    """Which cells can only be read with a decimal point: ``12.50`` and ``1,234.5``, but not ``1.234``."""
    text = pc.utf8_trim_whitespace(text)
    point = pc.match_substring_regex(text, f"{_POINT_DECIMAL}|{_POINT_GROUPED}")
    pointed = pc.and_(point, pc.match_substring(text, "."))
    return pc.and_not(pointed, pc.match_substring_regex(text, _THREE_DECIMALS))


def instant_values(text: pa.Array, column: str, verdicts: Verdicts) -> pa.Array:
    """ISO 8601 instants with an offset as UTC timestamps (microseconds, without a zone)."""
    utc, naive = pa.timestamp("us", "UTC"), pa.timestamp("us")
    if _all_match(text, _INSTANT):
        try:
            return text.cast(utc).cast(naive)
        except pa.ArrowInvalid:
            pass  # a day that its month does not have; named below
    text = pc.utf8_upper(pc.utf8_trim_whitespace(text))
    text = pc.replace_substring_regex(text, r"(:\d\d),(\d)", r"\1.\2")
    text = pc.replace_substring_regex(text, r"(\.\d{6})0+", r"\1")
    instant = pc.match_substring_regex(text, _INSTANT)
    exists = pc.invert(_impossible_day(text))
    local = pc.match_substring_regex(text, _LOCAL_TIME)
    precise = pc.invert(pc.match_substring_regex(text, r":\d\d\.\d{7,}"))
    verdicts.fail(local, column, f"{column}_without_offset", f"{column} has no offset from UTC")
    verdicts.fail(pc.invert(precise), column, f"{column}_too_precise", f"{column} is finer than a microsecond")
    wrong = pc.and_not(pc.invert(pc.and_(instant, exists)), pc.equal(text, ""))
    verdicts.fail(wrong, column, f"{column}_not_instant", f"{column} is not an ISO 8601 instant")
    return _where(pc.and_(instant, exists), text).cast(utc).cast(naive)


def date_values(text: pa.Array, column: str, verdicts: Verdicts) -> pa.Array:
    """Dates written YYYY-MM-DD."""
    text = pc.utf8_trim_whitespace(text)
    valid = pc.and_not(pc.match_substring_regex(text, _DATE), _impossible_day(text))
    wrong = pc.and_not(pc.invert(valid), pc.equal(text, ""))
    verdicts.fail(wrong, column, f"{column}_not_date", f"{column} is not a date YYYY-MM-DD")
    return _where(valid, text).cast(pa.date32())


def timezone_values(text: pa.Array, column: str, verdicts: Verdicts, declared: pa.Array) -> pa.Array:
    """Names of the IANA time zone database that stand for a region.

    Args:
        text: the cells.
        column: its name, for the verdicts.
        verdicts: gets the cells that name no region.
        declared: per record the zone that was declared for what names none, NULL without one.
    """
    text = text_values(pc.utf8_trim_whitespace(text))
    is_region = pc.is_in(text, value_set=_REGIONS)
    text = pc.if_else(is_region, text, pc.coalesce(declared, text))
    named = pc.and_(pc.is_valid(text), pc.invert(pc.is_in(text, value_set=_REGIONS)))
    known = pc.is_in(text, value_set=TIMEZONES)
    verdicts.fail(pc.and_not(named, known), column, f"{column}_unknown", f"{column} is not an IANA time zone")
    reason = f"{column} is of no region, so it may be an hour off in summer: declare which one is meant"
    verdicts.fail(named, column, f"{column}_ambiguous", reason)
    return text


def _impossible_day(text: pa.Array) -> pa.Array:
    """Which dates (YYYY-MM-DD at the start of the text) name a day that their month does not have, or a year 0."""
    short_month = pc.match_substring_regex(text, r"^(?:0000-|\d{4}-(?:02-3\d|(?:04|06|09|11)-31))")
    leap_day = pc.match_substring_regex(text, r"^\d{4}-02-29")
    years = _where(leap_day, pc.utf8_slice_codeunits(text, 0, 4)).cast(pa.int64()).fill_null(2000).to_numpy()
    leap_year = (years % 4 == 0) & ((years % 100 != 0) | (years % 400 == 0))
    return pc.or_(short_month, pa.array(mask_of(leap_day) & ~leap_year))


def _all_match(text: pa.Array, pattern: str) -> bool:
    return bool(pc.all(pc.match_substring_regex(text, pattern), min_count=0).as_py())


def _where(valid: pa.Array, text: pa.Array) -> pa.Array:
    """The text where ``valid``, NULL elsewhere."""
    return pc.if_else(valid, text, pa.scalar(None, pa.string()))


def mask_of(flags: Any) -> Mask:
    """Arrow booleans as a mask; NULL is False."""
    mask: Mask = pc.fill_null(flags, False).to_numpy(zero_copy_only=False)
    return mask
