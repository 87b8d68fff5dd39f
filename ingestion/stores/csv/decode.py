"""The bytes of a file as text: unpacked, and in UTF-8. What is damaged here cannot be trusted as a whole."""

from __future__ import annotations

import gzip
import io
import re
import zlib

from ingestion.stores.csv.western import may_be_western

# Bytes of one file, unpacked: 3 million counts, or ten thousand times a row for a day; more is an attack or a mistake.
MAX_BYTES = {"inventory": 128 << 20, "reference": 4 << 20, "tills": 4 << 20}
MAX_LINES = 4_000_000  # of one file: each may be a reject, which is kept with far more bytes than a line has
_BYTE_ORDER_MARKS = (  # UTF-32 first: its little-endian mark begins with that of UTF-16
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe\x00\x00", "utf-32-le"),
    (b"\x00\x00\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
GUESSED = "read as cp1252"  # the note on a file that is Latin-1 by its words alone
_UTF8_CHARACTER = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_CONTROLS = bytes(set(range(32)) - set(b"\t\r\n")) + b"\x7f"
_END_MARK = b"\x1a"  # of old systems
_ASCII = bytes(range(128))
_GZIP = b"\x1f\x8b"


class UntrustedFileError(Exception):
    """A file that cannot be trusted as a whole.

    Args:
        rule_id: the rule, for ``raw.rejects``.
        reason: what is wrong with the file, for people.
    """

    def __init__(self, rule_id: str, reason: str) -> None:
        self.rule_id = rule_id
        self.reason = reason
        super().__init__(reason)


def unpack(content: bytes, limit: int) -> bytes:
    """The bytes without gzip around them; the very object when it is not gzipped."""
    if content[:2] == _GZIP:
        try:
            with gzip.open(io.BytesIO(content)) as packed:
                content = packed.read(limit + 1)
        except EOFError:
            raise UntrustedFileError("gzip_truncated", "the gzip data ends too early") from None
        except (OSError, zlib.error) as error:
            raise UntrustedFileError("gzip_corrupt", f"the gzip data is damaged: {error}") from None
        if content[:2] == _GZIP:
            raise UntrustedFileError("gzip_nested", "the gzip data holds gzip data again")
    if len(content) > limit:
        raise UntrustedFileError("file_too_large", f"the file holds more than {limit:,} bytes")
    return content


def as_utf8(content: bytes, declared: str | None = None) -> tuple[bytes, list[str]]:
    """The text as UTF-8 without a byte order mark, and a note when it was written in something else.

    Args:
        content: the unpacked bytes.
        declared: the encoding of text that is neither UTF-8 nor has a byte order mark, where one was declared.

    Raises:
        UntrustedFileError: the text cannot be decoded, or only by guessing.
    """
    encoding, skip = _encoding(content)
    text, note = content[skip:], f"read as {encoding}"
    try:
        if encoding == "utf-8":
            try:
                if not text.isascii():
                    text.decode("utf-8")
            except UnicodeDecodeError as error:
                if skip:
                    raise
                encoding = declared or _guessed(text, error)
                note = f"read as {declared}, as declared" if declared else GUESSED
        if encoding != "utf-8":
            text = text.decode(encoding).encode("utf-8")
    except UnicodeError as error:
        raise UntrustedFileError("undecodable", f"the text is not {encoding}: {error}") from None
    text = text.rstrip(_END_MARK)
    _refuse_controls(text)
    return text, [] if encoding == "utf-8" else [note]


def _refuse_controls(text: bytes) -> None:
    if len(text.translate(None, _CONTROLS)) != len(text):
        raise UntrustedFileError("control_characters", "the file holds control characters: it is damaged or no text")


def _encoding(content: bytes) -> tuple[str, int]:
    """The encoding by its first bytes, UTF-8 where they tell nothing, and the length of the byte order mark."""
    for mark, encoding in _BYTE_ORDER_MARKS:
        if content.startswith(mark):
            return encoding, len(mark)
    if content[1:2] == b"\0" != content[:1]:  # the header is ASCII, so every other byte of UTF-16 is zero
        return "utf-16-le", 0
    if content[:1] == b"\0" != content[1:2]:
        return "utf-16-be", 0
    return "utf-8", 0


def _guessed(text: bytes, error: UnicodeDecodeError) -> str:
    """The encoding of text that is no UTF-8: Latin-1 where its words are those of Western Europe.

    Where it is mostly UTF-8, Western but for a character of UTF-8, or ends within one, it is damaged UTF-8: its lines
    cannot be trusted, and its names would come out as garbage.

    Raises:
        UnicodeDecodeError: it is damaged.
        UntrustedFileError: Latin-1 can decode anything, and this would be garbage.
    """
    _refuse_controls(text.rstrip(_END_MARK))
    in_utf8 = sum(map(len, _UTF8_CHARACTER.findall(text)))
    is_western = may_be_western(text)
    is_damaged = in_utf8 * 2 > len(text.translate(None, _ASCII)) or (in_utf8 and is_western)
    if is_damaged or error.reason == "unexpected end of data":
        raise error
    if not is_western:
        raise UntrustedFileError(
            "encoding_undeclared",
            f"the text is not UTF-8 (at byte {error.start + 1:,}), and its words are none of Western Europe: declare"
            " the store's encoding and replay",
        )
    return "cp1252"  # Latin-1 with printable characters where Latin-1 has unused ones
