"""What is known of the store files from before: which bytes came under which key, so that each is loaded once."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from ingestion.stores.csv.file import CsvFile
from ingestion.warehouse import Warehouse


@dataclass
class KnownFiles:
    """What ``ops.files`` knows of the objects of some days.

    Attributes:
        etags: by key the etag it had last.
        hashes: by key the hash of the bytes it had last.
        of_these_days: how many files of these days are known.
        loaded: by key the hash of the content whose rows count.
        contents: by kind, store and hour or date, the key of every content ever loaded, by its hash.
    """

    etags: dict[str, str] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)
    of_these_days: int = 0
    loaded: dict[str, str] = field(default_factory=dict)
    contents: dict[tuple[Any, ...], dict[str, str]] = field(default_factory=lambda: defaultdict(dict))

    @classmethod
    def of(cls, warehouse: Warehouse, first: date, last: date) -> KnownFiles:
        """What is known of the files of these days, and of unrecognised objects."""
        known = cls()
        rows = warehouse.rows(
            'SELECT entity, file_name, etag, file_hash, content_hash, store_id, file_date, file_hour, "ROWS", status'
            " FROM ops.files WHERE source = 'stores' AND (file_date BETWEEN ? AND ? OR status = 'unrecognised')"
            " ORDER BY load_id",
            [first, last],
        )
        for kind, key, etag, file_hash, content_hash, store_id, day, hour, count, status in rows:
            known.of_these_days += key not in known.etags and status != "unrecognised"
            known.etags[key] = etag
            known.hashes[key] = file_hash
            if status == "loaded":
                known.contents[(kind, store_id, hour or day)].setdefault(content_hash, key)
                if count:
                    known.loaded[key] = content_hash
        return known

    def original(self, file: CsvFile) -> str | None:
        """The key that brought this content before, for the same store and hour or date; None when it is new."""
        key = file.drop.key
        if file.content_hash == self.loaded.get(key) or file.file_hash == self.hashes.get(key):
            return key
        found = self.contents[_place(file)].get(file.content_hash, key)
        return None if found == key else found

    def add(self, file: CsvFile) -> None:
        """This content is being loaded now."""
        self.contents[_place(file)].setdefault(file.content_hash, file.drop.key)


def _place(file: CsvFile) -> tuple[Any, ...]:
    """What a file stands for: its kind, store, and hour or date."""
    return (file.drop.entity, file.drop.store_id, file.drop.file_hour or file.drop.file_date)
