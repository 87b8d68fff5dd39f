"""How a store writes its CSV files: everything a spreadsheet, a till or an old back-office system may do to one."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Dialect:
    """Separator, line end, character encoding, byte order mark, gzip."""

    delimiter: str = ","
    line_end: str = "\n"
    encoding: str = "utf-8"
    mark: bytes = b""
    gzipped: bool = False

    def encode(self, rows: Sequence[Sequence[str]]) -> bytes:
        """The bytes of a file with these rows, the header first."""
        text = io.StringIO()
        csv.writer(text, delimiter=self.delimiter, lineterminator=self.line_end).writerows(rows)
        body = self.mark + text.getvalue().encode(self.encoding)
        return gzip.compress(body, mtime=0) if self.gzipped else body


PLAIN = Dialect()
SEMICOLON = Dialect(delimiter=";")
TAB = Dialect(delimiter="\t")
CRLF = Dialect(line_end="\r\n")
CR = Dialect(line_end="\r")
GZIP = Dialect(gzipped=True)
UTF8_MARK = Dialect(mark=codecs.BOM_UTF8)
UTF16 = Dialect(encoding="utf-16-le", mark=codecs.BOM_UTF16_LE)
UTF16_BARE = Dialect(encoding="utf-16-le")
LATIN1 = Dialect(encoding="latin-1")
SHIFT_JIS = Dialect(encoding="shift_jis")


def habit_of(store_id: int) -> Dialect:
    """What a store's own system writes, day by day: three in four are plain."""
    return {3: SEMICOLON, 4: TAB, 5: UTF16, 6: CRLF, 7: UTF8_MARK}.get(store_id % 20, PLAIN)
