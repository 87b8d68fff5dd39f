# ruff: noqa: RUF001 - characters that look like others are what this is about
"""Text cells that cannot be right: too long, garbled before they were written, a SKU that a spreadsheet rewrote."""

from __future__ import annotations

import functools
import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ingestion.contracts import text_limit
from ingestion.stores.csv.values import Mask, Verdicts, mask_of, text_values

# Characters that nobody sees: tabs, no-break and zero-width spaces, marks of byte order and of direction. A line end in
# a quoted cell is seen, and lands in raw.
_UNSEEN = (
    r"\t\x0b\x0c\x{ad}\x{a0}\x{1680}\x{2000}-\x{200f}\x{2028}-\x{202f}"
    r"\x{205f}-\x{2064}\x{2066}-\x{206f}\x{3000}\x{feff}"
)
_UNSEEN_AT_ENDS = rf"^[\s{_UNSEEN}]+|[\s{_UNSEEN}]+$"
_UNSEEN_WITHIN = rf"[\x00-\x08\x0e-\x1f\x7f-\x{{9f}}{_UNSEEN}]"
# What spreadsheets and programs make of a SKU that looks like a number: 4.00638E+12, 4006381333931.0, an error; and the
# zeros of one with more digits than a spreadsheet holds.
_REWRITTEN = r"^(?:\d+(?:[.,]\d+)?[Ee][+-]\d+|\d{6,}\.0+|#(?:N/A|REF!|NAME\?|VALUE!|NUM!|NULL!|DIV/0!|#+)|\d{15}0{3,})$"
_GARBLED = re.compile(
    "[\ufffd\x80-\x9f]"  # the mark of a character that was lost, and controls, which no text holds
    "|[ÂÃÄÅÐÑÎÏ][\xa0-¿€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]"  # a character of UTF-8 that was read as windows-1252: é as Ã©
    "|â€|ï»¿|ï¿½"
)
_ASCII_OR_NOT = re.compile(r"[^\x00-\x7f]+")


def judge_texts(column: str, text: pa.Array, verdicts: Verdicts) -> None:
    """Texts beyond the bound of their column, and those that were garbled before the file was written."""
    limit = text_limit(column)
    if not _is_plain(text, limit):
        too_long = pc.greater(pc.utf8_length(text), limit)
        verdicts.fail(too_long, column, "text_too_long", f"{column} has more than {limit} characters")
        reason = f"{column} was garbled before it was written: letters stand there as Ã© or \ufffd"
        verdicts.fail(_garbled(text), column, "text_garbled", reason)


def key_values(text: pa.Array, column: str, verdicts: Verdicts) -> pa.Array:
    """Keys as they stand, without characters at their ends that nobody sees; plain spaces are left to staging."""
    values = text_values(text)
    if not _is_plain(text, text_limit(column)):
        unseen = pc.match_substring_regex(pc.utf8_trim(values, " "), f"^[{_UNSEEN}]|[{_UNSEEN}]$")
        values = pc.if_else(unseen, pc.replace_substring_regex(values, _UNSEEN_AT_ENDS, ""), values)
        values = pc.if_else(pc.equal(values, ""), pa.scalar(None, pa.string()), values)
        reason = f"{column} holds characters that nobody sees: a tab, line end, no-break or zero-width space"
        verdicts.fail(pc.match_substring_regex(values, _UNSEEN_WITHIN), column, "key_unprintable", reason)
    if pc.any(pc.match_substring_regex(values, "^ *[0-9#]")).as_py():
        rewritten = pc.match_substring_regex(pc.utf8_trim(values, " "), _REWRITTEN)
        verdicts.fail(
            rewritten, column, f"{column}_rewritten", f"a spreadsheet or program rewrote {column} as a number"
        )
    return values


def _is_plain(text: pa.Array, limit: int) -> bool:
    """Whether every cell is printable ASCII and short enough: most files are, and it is quickly seen."""
    _, offsets, data = text.buffers()
    if not len(text) or data is None:
        return True
    ends = np.frombuffer(offsets, np.int32)[text.offset : text.offset + len(text) + 1]
    held = np.frombuffer(data, np.uint8)[ends[0] : ends[-1]]
    return bool(not held.size or (held.min() >= 32 and held.max() < 127 and np.diff(ends).max() <= limit))


def _garbled(text: pa.Array) -> Mask:
    """Which texts hold characters that were read in the wrong encoding."""
    beyond_ascii = mask_of(pc.match_substring_regex(text, r"[^\x00-\x7f]"))
    found: Mask = np.zeros(len(text), bool)
    for place in np.flatnonzero(beyond_ascii):
        found[place] = _is_garbled(text[int(place)].as_py())
    return found


@functools.lru_cache(maxsize=65_536)
def _is_garbled(text: str) -> bool:
    """Whether a text shows UTF-8 that was read as windows-1252, once or more often, or characters that were lost."""
    if _GARBLED.search(text):
        return True
    # of any other script: a whole run of such letters is UTF-8 again, once written in windows-1252
    for run in _ASCII_OR_NOT.findall(text):
        if len(run) > 5:
            try:
                run.encode("cp1252").decode("utf-8")
            except UnicodeError:
                continue
            return True
    return False
