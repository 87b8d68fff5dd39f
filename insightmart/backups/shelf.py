"""Where copies are kept: a folder, or a prefix of a bucket. One place holds the copies of one warehouse.

A copy is there when its manifest is: in a folder all of it appears by one rename, in a bucket the manifest is put last.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO

from insightmart.backups.manifest import MANIFEST, CopiedFile, Manifest, latest_first, manifest_of
from insightmart.errors import ConfigurationError, InsightMartError
from insightmart.s3_place import S3Place, code_of
from insightmart.settings import Settings

CHUNK = 8 * 2**20  # bytes at a time
RIGHTS = "s3:PutObject, s3:GetObject, s3:DeleteObject and s3:ListBucket"
UNFINISHED = ".unfinished-"


class Shelf(ABC):
    """A place of copies.

    Attributes:
        where: the place, for people.
        spoilt: name of a copy whose manifest says nothing -> why, of the last look at all of them. Nothing is taken
            from it, and nobody deletes it.
    """

    where: str
    spoilt: dict[str, InsightMartError]

    def manifests(self) -> list[Manifest]:
        """The copies that are there, the latest first. A leftover of one that was not finished is none.

        Raises:
            InsightMartError: the place cannot be read.
        """
        found, self.spoilt = [], {}
        for name, where, content in self._contents():
            try:
                found.append(manifest_of(content, where))
            except InsightMartError as error:
                self.spoilt[name] = error
        return latest_first(found)

    @abstractmethod
    def _contents(self) -> Iterator[tuple[str, str, bytes]]:
        """Manifests as they lie there: the copy, where, and what it says."""

    @abstractmethod
    def put(self, name: str, file_name: str, source: BufferedReader) -> CopiedFile:
        """Copy a file, from its beginning, into the copy of this name."""

    @abstractmethod
    def finish(self, manifest: Manifest) -> None:
        """Make the copy be there."""

    @abstractmethod
    def opened(self, manifest: Manifest, file: CopiedFile) -> Any:
        """A file of a copy, to be read, as a context."""

    @abstractmethod
    def remove(self, manifest: Manifest) -> None:
        """Delete a copy."""

    @contextmanager
    def explained(self, done: str) -> Iterator[None]:
        """Failures of the place in words.

        Raises:
            InsightMartError: it does not answer, or refuses.
        """
        try:
            yield
        except OSError as error:
            cure = "Make room there, or give the user access to it; copies that are there stay"
            raise InsightMartError(f"{self.where} cannot be {done}: {error.strerror or error}", cure) from None


class FolderShelf(Shelf):
    """A folder: each copy is a folder in it, which only its owner may read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.where = str(folder)

    def _contents(self) -> Iterator[tuple[str, str, bytes]]:
        with self.explained("read"):
            for path in sorted(self.folder.glob(f"[0-9]*/{MANIFEST}")):
                yield path.parent.name, str(path), path.read_bytes()

    def put(self, name: str, file_name: str, source: BufferedReader) -> CopiedFile:
        with self.explained("written to"):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder = self.folder / f"{UNFINISHED}{name}"
            if not folder.exists():
                self._forget_unfinished()
                folder.mkdir(mode=0o700)
            needed, free = os.fstat(source.fileno()).st_size, shutil.disk_usage(folder).free
            if free < needed:
                raise OSError(f"{file_name} has {needed:,} bytes, and {free:,} are free")
            return write_private(folder / file_name, source)

    def finish(self, manifest: Manifest) -> None:
        with self.explained("written to"):
            folder = self.folder / f"{UNFINISHED}{manifest.name}"
            with open(folder / MANIFEST, "wb", opener=_private) as file:
                file.write(_as_bytes(manifest))
                os.fsync(file.fileno())
            folder.rename(self.folder / manifest.name)
            flush_folder(self.folder)

    def opened(self, manifest: Manifest, file: CopiedFile) -> Any:
        with self.explained("read"):
            return (self.folder / manifest.name / file.name).open("rb")

    def remove(self, manifest: Manifest) -> None:
        with self.explained("cleared"):
            going = self.folder / f"{UNFINISHED}{manifest.name}"
            (self.folder / manifest.name).rename(going)  # no part of it is taken for a copy
            shutil.rmtree(going)

    def _forget_unfinished(self) -> None:
        """What killed copies have left: one at a time is made."""
        for leftover in self.folder.glob(f"{UNFINISHED}*"):
            shutil.rmtree(leftover)


class BucketShelf(Shelf):
    """A prefix of a bucket."""

    def __init__(self, url: str, endpoint_url: str | None) -> None:
        self._place = S3Place("the place of the copies", url, RIGHTS, endpoint_url, attempts=5)
        self.where = self._place.url

    def _contents(self) -> Iterator[tuple[str, str, bytes]]:
        with self._place.explained("read") as answered:
            pages = self._place.client.get_paginator("list_objects_v2").paginate(
                Bucket=self._place.bucket, Prefix=self._place.prefix, Delimiter="/"
            )
            folders = [common["Prefix"] for page in pages for common in page.get("CommonPrefixes", ())]
            for folder in folders:
                key = f"{folder}{MANIFEST}"
                try:
                    body = self._place.client.get_object(Bucket=self._place.bucket, Key=key)["Body"].read()
                except answered as error:
                    if code_of(error) not in ("NoSuchKey", "404"):
                        raise
                    continue
                yield folder.rstrip("/").rpartition("/")[2], f"s3://{self._place.bucket}/{key}", body

    def put(self, name: str, file_name: str, source: BufferedReader) -> CopiedFile:
        digest = hashlib.file_digest(source, "sha256").hexdigest()
        size = source.tell()
        source.seek(0)
        with self._place.explained("written to"):
            self._place.client.upload_fileobj(source, self._place.bucket, self._key(name, file_name))
        return CopiedFile(name=file_name, bytes=size, sha256=digest)

    def finish(self, manifest: Manifest) -> None:
        with self._place.explained("written to"):
            key = self._key(manifest.name, MANIFEST)
            self._place.client.put_object(Bucket=self._place.bucket, Key=key, Body=_as_bytes(manifest))

    def opened(self, manifest: Manifest, file: CopiedFile) -> Any:
        with self._place.explained("read"):
            key = self._key(manifest.name, file.name)
            return self._place.client.get_object(Bucket=self._place.bucket, Key=key)["Body"]

    def remove(self, manifest: Manifest) -> None:
        with self._place.explained("cleared"):
            for name in (MANIFEST, *(file.name for file in manifest.files)):  # the manifest first
                self._place.client.delete_object(Bucket=self._place.bucket, Key=self._key(manifest.name, name))

    @contextmanager
    def explained(self, done: str) -> Iterator[None]:
        with self._place.explained(done):
            yield

    def _key(self, name: str, file_name: str) -> str:
        return f"{self._place.prefix}{name}/{file_name}"


def shelf_of(settings: Settings, place: str | None = None) -> Shelf:
    """The place that is named, else that of BACKUP_URL, else ``backups`` in the home.

    Raises:
        ConfigurationError: it is an address of something else than S3.
    """
    named = place or settings.backup_url or str(settings.home / "backups")
    if named.startswith("s3://"):
        return BucketShelf(named, settings.aws_endpoint_url)
    if "://" in named:
        raise ConfigurationError(f"{named} is no place for copies", "Name a folder, or s3://BUCKET/PREFIX")
    return FolderShelf(Path(named).expanduser().resolve())


def write_private(path: Path, source: BinaryIO) -> CopiedFile:
    """Write what there is to read into a new file that only its owner may read, down to the disk.

    Raises:
        OSError: the disk is full, or refuses.
    """
    digest, size = hashlib.sha256(), 0
    with open(path, "xb", opener=_private) as target:
        while chunk := source.read(CHUNK):
            digest.update(chunk)
            size += target.write(chunk)
        target.flush()
        os.fsync(target.fileno())
    return CopiedFile(name=path.name, bytes=size, sha256=digest.hexdigest())


def flush_folder(folder: Path) -> None:
    """What was renamed in a folder is on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _as_bytes(manifest: Manifest) -> bytes:
    return (json.dumps(manifest.model_dump(mode="json"), indent=2) + "\n").encode()
