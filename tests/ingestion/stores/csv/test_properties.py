"""Whatever table is written in whatever way: it comes back equal or is rejected, never changed, and lines are right."""

from __future__ import annotations

import gzip
import os
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingestion.stores.csv.decode import UntrustedFileError
from ingestion.stores.csv.file import Drop, parts, read_file
from ingestion.stores.csv.typed import COUNT_SLACK, parse

HOUR, NOW = datetime(2026, 3, 5, 10), datetime(2026, 3, 5, 12)
DROP = Drop("inventory", "inventory/store_007.csv", 7, date(2026, 3, 5), HOUR, NOW)
COLUMNS = ("store_id", "sku", "on_hand", "on_order", "counted_at")
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "100"))  # `make fuzz` tries many times as many
QUICK = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@dataclass(frozen=True)
class Dialect:
    """A way to write a table."""

    separator: str
    line_end: str
    encoding: str
    order: list[str]
    is_all_quoted: bool
    is_ended: bool
    is_packed: bool
    blank_lines: int

    def written(self, rows: list[list[str]]) -> bytes:
        """The rows as a file; a field is quoted where it has to be."""
        end = self.line_end
        lines = [self.separator.join(self.field(cell) for cell in row) for row in [self.order, *rows]]
        text = end * self.blank_lines + (end * (1 + self.blank_lines)).join(lines) + (end if self.is_ended else "")
        content = text.encode(self.encoding, "surrogatepass")
        return gzip.compress(content, 1) if self.is_packed else content

    def field(self, cell: str) -> str:
        """One field."""
        if self.is_all_quoted or any(mark in cell for mark in (self.separator, '"', "\n", "\r")):
            return '"' + cell.replace('"', '""') + '"'
        return cell


dialects = st.builds(
    Dialect,
    separator=st.sampled_from(",;\t|"),
    line_end=st.sampled_from(["\n", "\r\n", "\r"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]),
    order=st.permutations(COLUMNS),
    is_all_quoted=st.booleans(),
    is_ended=st.booleans(),
    is_packed=st.booleans(),
    blank_lines=st.integers(0, 1),
)
# without characters that nobody sees, and letters that begin garbled text: test_texts.py has those
skus = st.text(
    st.characters(codec="utf-8", exclude_categories=["C", "Z"], exclude_characters="ÂÃÄÅÐÑÎÏâï\ufffd")
    | st.sampled_from(' \n\r,;|"'),
    max_size=12,
)
instants = st.builds(
    lambda micros, minutes: (HOUR + timedelta(microseconds=micros), timezone(timedelta(minutes=minutes))),
    st.integers(0, 3_599_999_999),
    st.integers(-14 * 60, 14 * 60),
)
good_rows = st.lists(
    st.tuples(skus, st.none() | st.integers(-(10**18) + 1, 10**18 - 1), st.none() | st.integers(0, 99), instants),
    min_size=1,
    max_size=6,
)


def text_of(row: tuple[Any, ...], order: list[str]) -> list[str]:
    sku, on_hand, on_order, (instant, zone) = row
    cells = {"store_id": "7", "sku": sku, "counted_at": instant.replace(tzinfo=UTC).astimezone(zone).isoformat()}
    cells |= {"on_hand": "" if on_hand is None else str(on_hand), "on_order": "" if on_order is None else str(on_order)}
    return [cells[name] for name in order]


def value_of(row: tuple[Any, ...]) -> tuple[Any, ...]:
    sku, on_hand, on_order, (instant, _) = row
    return (7, sku if sku.strip() else None, on_hand, on_order, instant)


def read(content: bytes) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows and rejects of a file that can be trusted."""
    file = read_file(DROP, content)
    if file.is_empty:
        return [], []
    parsed = parse("inventory", [file], NOW)
    return parsed.rows.to_pylist(), parsed.rejects.to_pylist()


def plain(content: bytes, encoding: str) -> str:
    return (gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content).decode(encoding, "surrogatepass")


def physical_lines(text: str) -> list[str]:
    """The lines as an editor numbers them; index 1 is the first."""
    ended = text.replace("\r\n", "\n").replace("\r", "\n")
    return ["", *ended.split("\n")]


@QUICK
@given(good_rows, dialects)
def test_a_written_table_comes_back_equal_or_is_rejected(rows: list[tuple[Any, ...]], dialect: Dialect) -> None:
    content = dialect.written([text_of(row, dialect.order) for row in rows])
    loaded, rejects = read(content)
    values = [tuple(row[name] for name in COLUMNS) for row in loaded]
    expected = [value_of(row) for row in rows]
    if rejects:  # only the last record of a file without a last line end may be doubtful
        assert not dialect.is_ended
        assert [reject["rule_id"] for reject in rejects] in (["line_unterminated"], ["line_truncated"])
        expected = expected[:-1]
    assert values == expected


@QUICK
@given(good_rows, dialects)
def test_line_numbers_point_at_the_record(rows: list[tuple[Any, ...]], dialect: Dialect) -> None:
    texts = [text_of(row, dialect.order) for row in rows]
    content = dialect.written(texts)
    lines = physical_lines(plain(content, "utf-8-sig" if dialect.encoding == "utf-8-sig" else dialect.encoding))
    loaded, rejects = read(content)
    found = sorted(row["file_line"] for row in [*loaded, *rejects])
    assert len(found) == len(rows)
    for line, cells in zip(found, texts, strict=True):
        record = dialect.separator.join(dialect.field(cell) for cell in cells)
        assert lines[line] == physical_lines(record)[1]


cells = st.text(st.characters(codec="utf-8"), max_size=8) | st.sampled_from(
    ["7", "5", "-1", "1,5", "1.234", '"', '"a"', "2026-03-05T10:15:00Z", "2026-03-05T10:15:00", "=1", "\0", "\x1a", "é"]
)


@QUICK
@given(st.lists(st.lists(cells, max_size=7), max_size=5), dialects, st.binary(max_size=4), st.integers(0, 400))
def test_no_file_fails_in_another_way_than_distrust(
    rows: list[list[str]], dialect: Dialect, noise: bytes, place: int
) -> None:
    written = dialect.written(rows)
    for content in (written, written[:place] + noise + written[place:], written[place:], noise):
        try:
            loaded, rejects = read(content)
        except UntrustedFileError as fault:
            assert fault.rule_id
            continue
        assert len({row["file_line"] for row in [*loaded, *rejects]}) == len(loaded) + len(rejects)
        for row in loaded:
            assert row["store_id"] == 7
            assert HOUR - COUNT_SLACK <= row["counted_at"] < HOUR + timedelta(hours=1) + COUNT_SLACK


@QUICK
@given(good_rows, dialects, st.data())
def test_a_changed_cell_changes_its_own_record_only(
    rows: list[tuple[Any, ...]], dialect: Dialect, data: st.DataObject
) -> None:
    bad = data.draw(st.integers(0, len(rows) - 1))
    texts = [text_of(row, dialect.order) for row in rows]
    texts[bad][dialect.order.index("on_hand")] = data.draw(st.sampled_from(["x", "1.5", "--1", "9" * 19, "5\u00b2"]))
    content = dialect.written(texts)
    loaded, rejects = read(content)
    sure = [value_of(row) for row in rows]
    expected = sure[:bad] + sure[bad + 1 :]
    doubtful = [reject for reject in rejects if reject["rule_id"] in ("line_unterminated", "line_truncated")]
    assert {reject["rule_id"] for reject in rejects} - {"line_unterminated", "line_truncated"} <= {
        "on_hand_not_integer", "on_hand_out_of_range",
    }  # fmt: skip
    if doubtful and bad != len(rows) - 1:
        expected = expected[:-1]
    assert [tuple(row[name] for name in COLUMNS) for row in loaded] == expected
    assert len(loaded) + len(rejects) == len(rows)


@QUICK
@given(good_rows, dialects, st.integers(1, 120))
def test_a_file_in_parts_is_the_same_as_in_one(rows: list[tuple[Any, ...]], dialect: Dialect, size: int) -> None:
    texts = [text_of(row, dialect.order) for row in rows]
    texts[0][dialect.order.index("on_hand")] = "x"
    file = read_file(DROP, dialect.written(texts))
    whole, pieces = parse("inventory", [file], NOW), list(parts(file, size))
    together = parse("inventory", pieces, NOW)
    for found in ([parse("inventory", [piece], NOW) for piece in pieces], [together]):
        assert [row for one in found for row in one.rows.to_pylist()] == whole.rows.to_pylist()
        assert [row for one in found for row in one.rejects.to_pylist()] == whole.rejects.to_pylist()


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_files_that_are_typed_together_are_typed_as_alone(line_end: bytes) -> None:
    """Every file next to every other: nothing of one reaches into the next."""
    texts = [
        b"store_id,sku,on_hand,on_order,counted_at\n7,A,5,2,2026-03-05T10:15:00Z",
        b'store_id,sku,on_hand,on_order,counted_at\n7,"A\n\nB",5,2,2026-03-05T10:15:00Z\n\n\n7,B,x,,',
        b"store_id,sku,on_hand,on_order,counted_at\n\n\n8,A,5,2,2026-03-05T10:15:00Z\n,,\n",
    ]
    files = [read_file(DROP, text.replace(b"\n", line_end)) for text in texts]
    alone = [parse("inventory", [file], NOW) for file in files]
    for first in range(3):
        for second in range(3):
            together = parse("inventory", [files[first], files[second]], NOW)
            for found, one, other in (
                (together.rows, alone[first].rows, alone[second].rows),
                (together.rejects, alone[first].rejects, alone[second].rejects),
            ):
                assert found.to_pylist() == one.to_pylist() + other.to_pylist()
