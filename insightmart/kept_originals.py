"""Originals of distrusted files: at KEPT_URL where it is set, and those of before it was set in the home."""

from __future__ import annotations

from ingestion.loading.context import SourceError
from ingestion.loading.originals import FOLDER, HomeOriginals, Originals
from insightmart.errors import InsightMartError
from insightmart.kept_place import KeptPlace, kept_place
from insightmart.settings import Settings


class KeptOriginals:
    """The folder ``quarantine`` of a bucket, and that of the home for what was put there before.

    A file that cannot be kept fails the load: it is read again by the next one, while it is still in the drops.
    """

    def __init__(self, place: KeptPlace, home: HomeOriginals) -> None:
        self._place, self._home = place, home

    def keep(self, file_hash: str, content: bytes) -> str:
        try:
            self._place.put(_name(file_hash), content)
        except InsightMartError as error:
            cause = f"the original of a file that cannot be trusted cannot be kept: {error.cause}"
            raise SourceError(
                "stores", cause, f"{error.cure}; nothing was loaded, the next run reads it again"
            ) from None
        return self._place.address(_name(file_hash))

    def read(self, file_hash: str) -> bytes | None:
        """Raises InsightMartError: the bucket cannot be read."""
        content = self._place.read(_name(file_hash))
        return self._home.read(file_hash) if content is None else content

    def sizes(self) -> dict[str, int]:
        """Raises InsightMartError: the bucket cannot be listed."""
        kept = self._place.sizes(f"{FOLDER}/")
        return self._home.sizes() | {name.removeprefix(f"{FOLDER}/"): size for name, size in kept.items()}

    def delete(self, file_hash: str) -> None:
        """Raises InsightMartError: the bucket refuses, or does not answer."""
        self._home.delete(file_hash)
        self._place.forget(_name(file_hash))


def kept_originals(settings: Settings) -> Originals:
    """Where the originals of distrusted files are kept, by the settings."""
    home, place = HomeOriginals(settings.home), kept_place(settings)
    return KeptOriginals(place, home) if place else home


def _name(file_hash: str) -> str:
    return f"{FOLDER}/{file_hash}"
