"""What was received of the shop, in numbers."""

from __future__ import annotations

import hashlib

import httpx

from ingestion.loading.context import SourceError

SOURCE = "shopify"
LONGEST_ANSWER = 128 << 20  # bytes; a page of 250 orders has some megabytes


class Received:
    """What was received: how many bytes, and the SHA-256 of them all."""

    def __init__(self) -> None:
        self.bytes = 0
        self._hash = hashlib.sha256()

    def add(self, content: bytes) -> None:
        """Take in what was received next."""
        self.bytes += len(content)
        self._hash.update(content)

    def add_file(self, file: Received) -> None:
        """Take in a file that was received apart: the hash goes on with the file's hash."""
        self.bytes += file.bytes
        self._hash.update(file.sha256.encode())

    @property
    def sha256(self) -> str:
        """The hash so far, as hexadecimal text."""
        return self._hash.hexdigest()


def whole_body(answer: httpx.Response) -> bytes:
    """The body of an answer, unpacked.

    Raises:
        SourceError: it is longer than any page; memory is not filled with it.
    """
    content = bytearray()
    for block in answer.iter_bytes():
        content += block
        if len(content) > LONGEST_ANSWER:
            cure = "Nothing of this window was kept; the next run reads it again. Report it to Shopify if it stays"
            raise SourceError(SOURCE, f"the shop answered with more than {LONGEST_ANSWER:,} bytes", cure)
    return bytes(content)
