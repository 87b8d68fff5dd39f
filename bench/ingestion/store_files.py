"""Store files for measurements: what an hour of 120 stores may look like, with a few faults, the same for a seed.

Pure functions of their arguments: they write nothing and know nothing of the pipeline.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt

HEADER = b"store_id,sku,on_hand,on_order,counted_at\n"
STORES = 120
ROW_BYTES = 45  # about; what a size in bytes is divided by
BAD_ROWS = 2_000  # one row in so many has a number that is none
GZIPPED, SEMICOLON, LATIN_1, CRLF, CUT = 17, 11, 13, 7, 97  # stores whose file is written in another way, or cut off


@dataclass(frozen=True)
class StoreFile:
    """A file: its key below the prefix, its bytes, and how many good and bad rows they hold (none when cut off)."""

    key: str
    content: bytes
    rows: int
    bad_rows: int
    is_trusted: bool = True


def hour_of_files(hour: datetime, size: int, stores: int = STORES, seed: int = 1) -> Iterator[StoreFile]:
    """The inventory files of one hour.

    Args:
        hour: start of the hour, UTC without a zone.
        size: bytes of a file before packing, about.
        stores: how many stores send one; their ids begin with 1.
        seed: another seed, other counts.
    """
    for store in range(1, stores + 1):
        yield inventory_file(hour, store, max(size // ROW_BYTES, 1), seed)


def inventory_file(hour: datetime, store: int, rows: int, seed: int = 1) -> StoreFile:
    """One store's file of an hour with so many rows."""
    draws = np.random.default_rng([seed, store, int(hour.timestamp())])
    on_hand = draws.integers(0, 5_000, rows).astype(str)
    bad = draws.integers(0, BAD_ROWS, rows) == 0
    on_hand[bad] = "n/a"
    content = HEADER + _lines(hour, store, on_hand, draws.integers(0, 40, rows) * 12, draws.integers(0, 3_000, rows))
    name = f"inventory/{hour:%Y/%m/%d/%H}/store_{store:03d}.csv"
    if store == CUT:  # in the middle of a quoted field: its lines cannot be trusted
        return StoreFile(name, content + f'{store},"SKU-'.encode(), 0, 0, is_trusted=False)
    return StoreFile(name, _written(store, content), rows - int(bad.sum()), int(bad.sum()))


def _lines(
    hour: datetime,
    store: int,
    on_hand: npt.NDArray[np.str_],
    on_order: npt.NDArray[np.int64],
    second: npt.NDArray[np.int64],
) -> bytes:
    instants = np.array([f"{hour + timedelta(seconds=n):%Y-%m-%dT%H:%M:%S}Z" for n in range(3_000)])[second]
    skus = (f"SKU-{number:07d}" for number in range(len(on_hand)))
    cells = zip(skus, on_hand.tolist(), on_order.tolist(), instants.tolist(), strict=True)
    return "".join(f"{store},{sku},{have},{due},{at}\n" for sku, have, due, at in cells).encode()


def _written(store: int, content: bytes) -> bytes:
    """The content in the way of some stores."""
    if store % GZIPPED == 0:
        return gzip.compress(content, 6, mtime=0)
    if store % SEMICOLON == 0:
        return content.replace(b",", b";")
    if store % LATIN_1 == 0:
        return content.replace(b"SKU-0000001,", "SKU-Ä,".encode("latin-1"))
    if store % CRLF == 0:
        return content.replace(b"\n", b"\r\n")
    return content
