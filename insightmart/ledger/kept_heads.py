"""Heads of the ledger in a bucket with object lock (EVIDENCE_URL), where nobody who can write the warehouse can change
them: written at the end of every run, never over one another, and read back by a verification.

A bucket that is down fails nothing: what could not be written waits in HOME/ledger/heads.json for the next run. The
file proves nothing and may be lost: a later head stands for all entries before it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from ingestion.clock import utc_now
from insightmart.errors import InsightMartError
from insightmart.ledger.canonical import canonical_json
from insightmart.ledger.chain import Head
from insightmart.ledger.links import Damage, Tampering
from insightmart.runs import ProblemKind, RunProblem
from insightmart.s3_place import S3Place, code_of
from insightmart.settings import Settings
from insightmart.watchdog import within

KEPT_FOR = timedelta(days=7 * 365 + 2)  # seven years, as evidence is kept
SECONDS = 60.0  # for one head, however slowly the answer comes
WAITING = 1_000  # heads that wait at most; the newest stand for the others
SETTING = "EVIDENCE_URL"
FORM = f"Set {SETTING} to s3://BUCKET/PREFIX"
RIGHTS = "s3:PutObject, s3:PutObjectRetention, s3:GetObject, s3:GetObjectVersion and s3:ListBucketVersions"
UNLOCKED_CURE = (
    "Give the bucket object lock, which turns versioning on: `aws s3api put-bucket-versioning` and"
    " `put-object-lock-configuration`"
)

_KEY = re.compile(r"heads/(\d{12})\.json")


@dataclass(frozen=True)
class OutsideHead:
    """A head that is kept where nobody who can write the warehouse can change it."""

    head: Head
    place: str  # for people: the address of an object, or that somebody gave it


@dataclass
class Outside:
    """Heads that are not in the warehouse, what is wrong with how they are kept, and what else to know."""

    heads: list[OutsideHead] = field(default_factory=list)
    damage: list[Damage] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class HeadStore:
    """The bucket of ``EVIDENCE_URL``.

    Raises:
        ConfigurationError: the URL is no S3 location.
    """

    def __init__(self, url: str, endpoint_url: str | None = None, attempts: int = 2) -> None:
        place = S3Place(SETTING, url, RIGHTS, endpoint_url, attempts)
        self.url, self.bucket, self.prefix = place.url, place.bucket, place.prefix
        self._client, self._explained = place.client, place.explained

    def key(self, sequence: int) -> str:
        """Where the head of an entry is kept."""
        return f"{self.prefix}heads/{sequence:012d}.json"

    def has_object_lock(self) -> bool:
        """Whether what is written can be kept from being deleted.

        Raises:
            InsightMartError: the bucket does not answer, or refuses to say.
        """
        with self._explained("asked for its object lock") as answered:
            try:
                found = self._client.get_object_lock_configuration(Bucket=self.bucket)
            except answered as error:
                if code_of(error) == "ObjectLockConfigurationNotFoundError":
                    return False
                raise
        return bool(found["ObjectLockConfiguration"].get("ObjectLockEnabled") == "Enabled")

    def put(self, head: Head, *, is_locked: bool = True) -> bool:
        """Keep a head. One that is there already stays as it is, and has to be the same.

        Returns:
            Whether it can be neither changed nor deleted.

        Raises:
            RewrittenError: the bucket has another head of that entry.
            InsightMartError: the bucket does not answer, or refuses it.
        """
        lock: dict[str, Any] = {}
        if is_locked:
            lock = {
                "ObjectLockMode": "COMPLIANCE",
                "ObjectLockRetainUntilDate": utc_now().replace(tzinfo=UTC) + KEPT_FOR,
            }
        with self._explained("written to") as answered:
            try:
                self._client.put_object(
                    Bucket=self.bucket,
                    Key=self.key(head.sequence),
                    Body=_body(head),
                    ContentType="application/json",
                    IfNoneMatch="*",
                    **lock,
                )
            except answered as error:
                if is_locked and code_of(error) == "InvalidRequest" and "lock" in str(error).lower():
                    return self.put(head, is_locked=False)
                if code_of(error) not in ("PreconditionFailed", "412"):
                    raise
                self._compare(head)
        return is_locked

    def _compare(self, head: Head) -> None:
        kept = _parsed(self._client.get_object(Bucket=self.bucket, Key=self.key(head.sequence))["Body"].read())
        if kept != head:
            raise RewrittenError(
                f"{self.url} has another head of entry {head.sequence} than the ledger:"
                f" {kept.entry_hash if kept else 'unreadable'}, not {head.entry_hash}",
                "The ledger was rewritten, or two warehouses share the address: see `insightmart ledger verify`",
            )

    def last_sequence(self) -> int:
        """The highest number of an entry whose head was ever kept; 0: of none.

        Raises:
            InsightMartError: the bucket does not answer, or refuses to list its versions.
        """
        with self._explained("listed"):
            pages = self._client.get_paginator("list_object_versions").paginate(
                Bucket=self.bucket, Prefix=f"{self.prefix}heads/"
            )
            keys = [version["Key"] for page in pages for version in page.get("Versions", ())]
        found = (_KEY.fullmatch(key.removeprefix(self.prefix)) for key in keys)
        return max((int(match[1]) for match in found if match), default=0)

    def read(self, hash_of: Callable[[int], str | None]) -> Outside:
        """All heads that are kept, each as it was written first.

        Args:
            hash_of: the hash that the ledger has for an entry now. Of a head that is the same the listing says so, and
                it need not be read.

        Raises:
            InsightMartError: the bucket does not answer, or refuses to list its versions.
        """
        found = Outside()
        versions: dict[str, list[dict[str, Any]]] = defaultdict(list)
        with self._explained("listed"):
            pages = self._client.get_paginator("list_object_versions").paginate(
                Bucket=self.bucket, Prefix=f"{self.prefix}heads/"
            )
            for page in pages:
                for version in page.get("Versions", ()):
                    versions[version["Key"]].append(version)
                for marker in page.get("DeleteMarkers", ()):
                    found.damage += self._deleted(marker)
            for key, those in sorted(versions.items()):
                match = _KEY.fullmatch(key.removeprefix(self.prefix))
                if match is None:
                    found.notes.append(f"s3://{self.bucket}/{key} is no head")
                    continue
                those.reverse()  # they are listed from the latest on: two of one second stay in their order
                first, *later = sorted(those, key=lambda version: version["LastModified"])
                found.heads += self._first(key, int(match[1]), first, hash_of(int(match[1])), found)
                found.damage += self._overwritten(key, int(match[1]), first, later)
        return found

    def _first(
        self, key: str, sequence: int, version: dict[str, Any], expected: str | None, found: Outside
    ) -> Iterator[OutsideHead]:
        place = f"s3://{self.bucket}/{key}"
        if expected and version["ETag"].strip('"') == _md5(_body(Head(sequence, expected))):
            yield OutsideHead(Head(sequence, expected), place)
            return
        body = self._client.get_object(Bucket=self.bucket, Key=key, VersionId=version["VersionId"])["Body"].read()
        head = _parsed(body)
        if head is None or head.sequence != sequence:
            found.notes.append(f"{place} holds no head of entry {sequence}")
        else:
            yield OutsideHead(head, place)

    def _overwritten(
        self, key: str, sequence: int, first: dict[str, Any], later: Sequence[dict[str, Any]]
    ) -> Iterator[Damage]:
        for version in later:
            if version["ETag"] != first["ETag"]:
                message = f"the head of entry {sequence} was written again at {_instant(version)}; the first one counts"
                yield Damage(Tampering.REWRITTEN, f"s3://{self.bucket}/{key}", sequence, "", message)

    def _deleted(self, marker: dict[str, Any]) -> Iterator[Damage]:
        if match := _KEY.fullmatch(marker["Key"].removeprefix(self.prefix)):
            message = f"the head of entry {int(match[1])} was deleted at {_instant(marker)}; its version is compared"
            yield Damage(Tampering.REMOVED, f"s3://{self.bucket}/{marker['Key']}", int(match[1]), "", message)


class RewrittenError(InsightMartError):
    """The bucket has another head of an entry than the ledger."""


def head_store(settings: Settings, attempts: int = 2) -> HeadStore | None:
    """The bucket that the settings name; None where they name none.

    Raises:
        ConfigurationError: EVIDENCE_URL is no S3 location.
    """
    return HeadStore(settings.evidence_url, settings.aws_endpoint_url, attempts) if settings.evidence_url else None


def keep_head(settings: Settings, head: Head) -> list[RunProblem]:
    """Write a head to the bucket, and those before it that could not be written.

    Returns:
        What somebody should look at: the bucket is down, or has no object lock (said once), or another head.
    """
    if not settings.evidence_url:
        return []
    memory = _Memory.read(settings.home / "ledger" / "heads.json")
    left = [*memory.unwritten, head] if head not in memory.unwritten else memory.unwritten
    problems: list[RunProblem] = []
    try:
        store = HeadStore(settings.evidence_url, settings.aws_endpoint_url)
        while left:
            try:
                is_locked = within(SECONDS, partial(store.put, left[0]))
            except TimeoutError:
                raise InsightMartError(f"{store.url} answers too slowly", f"Check {SETTING} and the network") from None
            except RewrittenError as error:
                problems.append(RunProblem.of_error(ProblemKind.EVIDENCE, "ledger", error))
            else:
                problems += memory.told_once(store, is_locked=is_locked)
            left = left[1:]
    except InsightMartError as error:
        waiting = f"{len(left)} head{'s' if len(left) > 1 else ''} of the ledger will be written by the next run"
        problems.append(RunProblem(ProblemKind.EVIDENCE, "heads", f"{error.cause}; {waiting}", error.cure))
    memory.unwritten = left[-WAITING:]
    memory.write()
    return problems


@dataclass
class _Memory:
    """What the next run has to know: heads that could not be written, and buckets of which was said that they lack a
    lock."""

    path: Path
    unwritten: list[Head] = field(default_factory=list)
    unlocked: list[str] = field(default_factory=list)
    as_read: str = ""

    @classmethod
    def read(cls, path: Path) -> _Memory:
        try:
            text = path.read_text(encoding="utf-8")
            known = json.loads(text)
            heads = [Head(int(sequence), str(entry_hash)) for sequence, entry_hash in known["unwritten"]]
            return cls(path, heads, list(known["unlocked"]), text)
        except (OSError, ValueError, KeyError, TypeError):  # lost: nothing waits
            return cls(path)

    def told_once(self, store: HeadStore, *, is_locked: bool) -> Iterable[RunProblem]:
        if is_locked or store.url in self.unlocked:
            return []
        self.unlocked.append(store.url)
        message = f"{store.url} has no object lock: heads of the ledger in it can be changed and deleted"
        return [RunProblem(ProblemKind.EVIDENCE, "object lock", message, UNLOCKED_CURE)]

    def write(self) -> None:
        heads = [[head.sequence, head.entry_hash] for head in self.unwritten]
        text = canonical_json({"unwritten": heads, "unlocked": self.unlocked})
        if text != (self.as_read or canonical_json({"unwritten": [], "unlocked": []})):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_text(text, encoding="utf-8")


def _body(head: Head) -> bytes:
    """What is kept of a head: always the same bytes, so that a listing says whether it is the same."""
    return canonical_json({"sequence": head.sequence, "entry_hash": head.entry_hash}).encode()


def _parsed(body: bytes) -> Head | None:
    try:
        found = json.loads(body)
        return Head(int(found["sequence"]), str(found["entry_hash"]))
    except (ValueError, KeyError, TypeError):
        return None


def _md5(body: bytes) -> str:
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


def _instant(version: dict[str, Any]) -> str:
    instant: datetime = version["LastModified"]
    return f"{instant.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
