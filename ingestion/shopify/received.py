"""What was received of the shop, in numbers."""

from __future__ import annotations

import hashlib


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
