"""One file: the same records however they are written, and what cannot be trusted."""

from __future__ import annotations

import pytest

from ingestion.stores.csv.decode import MAX_BYTES
from ingestion.stores.csv.file import read_file
from tests.support.csv_files import GOOD, HEADER, INVENTORY, ROW, fault, outcome, zipped

TEXT = HEADER + ROW + "7,Ä-2,0,,2026-03-05T05:15:00-05:00\n"


@pytest.mark.parametrize(
    "content",
    [
        TEXT.encode(),
        TEXT.encode("utf-8-sig"),
        TEXT.encode("utf-16"),
        TEXT.encode("utf-16-le"),
        TEXT.encode("utf-16-be"),
        b"\xfe\xff" + TEXT.encode("utf-16-be"),
        TEXT.encode("utf-32"),
        TEXT.encode("latin-1"),
        TEXT.replace(",", ";").encode(),
        TEXT.replace(",", "\t").encode(),
        TEXT.replace(",", "|").encode(),
        TEXT.replace("\n", "\r\n").encode(),
        TEXT.replace("\n", "\r").encode(),
        TEXT.rstrip("\n").encode(),
        TEXT.encode() + b"\x1a",
        ("\n\n" + TEXT).encode(),
        ("sep=;\r\n" + TEXT.replace(",", ";").replace("\n", "\r\n")).encode("utf-8-sig"),
        zipped(TEXT.encode()),
        zipped(TEXT.encode("utf-16")),
        zipped(TEXT[:20].encode()) + zipped(TEXT[20:].encode()),
        TEXT.replace("7,", '"7",').replace("A-1", '"A-1"').encode(),
        TEXT.replace("7,", " 7 ,").replace("5,2,", " 5\t, +2 ,").encode(),
    ],
    ids=[
        "utf-8", "utf-8 with mark", "utf-16 with mark", "utf-16 le", "utf-16 be", "utf-16 be with mark", "utf-32",
        "latin-1", "semicolon", "tab", "bar", "crlf", "cr", "no last line end", "end-of-file mark", "blank lines first",
        "sep=", "gzip", "gzip of utf-16", "gzip in two members", "quoted", "padded",
    ],
)  # fmt: skip
def test_a_file_is_read_the_same_however_it_is_written(content: bytes) -> None:
    found = outcome(content)
    second = {**GOOD, "sku": "Ä-2", "on_hand": 0, "on_order": None}
    assert found.rejects == []
    assert found.rows == [GOOD, second]


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_lines_are_physical_lines(line_end: str) -> None:
    text = HEADER + '7,"A\nB",5,2,2026-03-05T10:15:00Z\n' + "\n" + ROW + "\n\n" + '7,x,y,1,"1\n2"\n' + ROW
    found = outcome(text.replace("\n", line_end))
    assert found.lines == [2, 5, 10]
    assert found.rows[0]["sku"] == f"A{line_end}B"
    assert found.rejects == [(8, "on_hand", "on_hand_not_integer")]
    assert found.texts == [f'7,x,y,1,"1{line_end}2"']


def test_line_ends_may_be_mixed() -> None:
    row = ROW.rstrip("\n")
    found = outcome(f"{HEADER}{row}\r{row}\r\n{row}\n\r{row}")
    assert found.lines == [2, 3, 4, 6]


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        ("store_id,sku,on_order,counted_at\n7,A-1,2,2026-03-05T10:15:00Z\n", "columns_missing"),
        ("sku,on_hand,on_order,counted_at\nA-1,5,2,2026-03-05T10:15:00Z\n", "columns_missing"),
        ("store_id,sku,on_hand,on_hand,counted_at\n7,A-1,5,6,2026-03-05T10:15:00Z\n", "columns_ambiguous"),
        ("store_id,sku,stock,qoh,counted_at\n7,A-1,5,6,2026-03-05T10:15:00Z\n", "columns_ambiguous"),
        (ROW + ROW, "header_unreadable"),
        ("sep=;", "header_unreadable"),
        ("<html><body>Access denied</body></html>\n", "header_unreadable"),
        (HEADER + '7,"A-1,5,2,2026-03-05T10:15:00Z\n' + ROW, "quote_unterminated"),
        (HEADER + '7,"A-1,5,2,2026-03-05T10:15:00Z\n7,"B,5,2,2026-03-05T10:15:00Z\n', "quote_misplaced"),
        (HEADER + '7,A"1"B,5,2,2026-03-05T10:15:00Z\n', "quote_misplaced"),
        ('"store_id,sku\n', "quote_unterminated"),
        ('"' + "\n" * 600_000, "quote_unterminated"),  # 618 bytes as gzip: what it costs grows with its length only
        (",".join(["column"] * 100_000) + "\n" + ROW, "header_unreadable"),
        ("\n" * 600_000 + "sep=;\n" * 100_000, "header_unreadable"),
        (HEADER.encode() + "7,Ä".encode() + b"\xe4,5,2,2026-03-05T10:15:00Z\n", "undecodable"),
        ((HEADER + "7,Ä").encode()[:-1], "undecodable"),
        ((HEADER + ROW).encode("utf-16")[:-1], "undecodable"),
        (HEADER.encode() + b"7,\x81,5,2,2026-03-05T10:15:00Z\n", "encoding_undeclared"),
        ((HEADER + ROW).encode() + b"\0" * 100, "control_characters"),
        (zipped((HEADER + ROW * 50).encode())[:-20], "gzip_truncated"),
        (zipped((HEADER + ROW).encode()) + b"more", "gzip_corrupt"),
        (b"\x1f\x8bno gzip at all", "gzip_corrupt"),
    ],
    ids=lambda value: repr(value)[:40],  # some are a megabyte
)
def test_a_file_that_cannot_be_trusted_is_distrusted_whole(content: bytes | str, rule: str) -> None:
    assert fault(content) == rule


def test_a_file_larger_than_the_limit_is_distrusted_even_when_it_is_small_packed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(MAX_BYTES, "inventory", 1000)
    bomb = zipped(HEADER.encode() + ROW.encode() * 10_000)
    assert len(bomb) < 1000
    assert fault(bomb) == "file_too_large"
    assert fault(HEADER + ROW * 100) == "file_too_large"
    assert outcome(HEADER + ROW * 10).rejects == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n\r\n  \n",
        b"\xef\xbb\xbf",
        b"\xff\xfe",
        HEADER.encode(),
        HEADER.encode()[:-1],
        HEADER.encode() + b"\n\n",
        b"store_id,sk",
        zipped(b""),
        zipped(HEADER.encode()),
    ],
)
def test_a_file_without_records_is_empty(content: bytes) -> None:
    assert read_file(INVENTORY, content).is_empty


def test_content_is_known_again_when_it_is_packed() -> None:
    plain, packed = read_file(INVENTORY, TEXT.encode()), read_file(INVENTORY, zipped(TEXT.encode()))
    assert plain.content_hash == plain.file_hash == packed.content_hash != packed.file_hash


def test_lines_that_would_all_be_rejected_are_not_read_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingestion.stores.csv.file.MAX_LINES", 1000)
    assert fault(HEADER + "x\n" * 1000) == "file_too_large"
    assert fault(HEADER + "x\r" * 1001) == "file_too_large"
