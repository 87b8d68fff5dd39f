"""An entry of the ledger, and its hash: over all that it says and over the entry before."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Any

from insightmart.ledger.canonical import Digest, canonical_json, canonical_value, sha256

NOTHING_BEFORE = "0" * 64  # previous hash of the first entry
CONTINUES_AFTER = "continues_after"  # of the first entry after a restore: number of the last entry of the copy


class Kind(StrEnum):
    """What an entry is of, in the order in which those of one run are written."""

    BEGINNING = "beginning"  # the first entry: since when rows are covered, and how many there were before
    SETUP = "set-up"  # a version of raw and ops that was applied, and the command that did it
    LOAD = "load"
    GATE = "gate result"
    PUBLICATION = "publication"
    RESTATEMENT = "restatement"
    RECONCILIATION = "reconciliation"
    RUN = "run"
    PROMOTION = "promotion"
    REPLAY = "replay"
    PROBLEM = "problem"  # what went wrong after the entry of its run: a mail, a head that could not be kept outside
    MANUAL = "manual action"
    CLOSE = "close"
    RETENTION = "retention"
    ERASURE = "erasure"
    RESTORE = "restore"  # an older copy of the warehouse was put in place


@dataclass(frozen=True)
class Entry:
    """A row of ops.ledger.

    Attributes:
        sequence: 1 for the first entry; no number is left out, but by a restore, which says which.
        entry_id: of its own, whatever its number.
        recorded_at: by the real clock, UTC.
        kind: one of ``Kind``.
        subject: what it is of, for example ``scan 5f0c...`` or ``run cycle-20260306T0105-1a2b3c4d``.
        run_id: the run that wrote the rows it speaks of, else the one that entered it.
        actor: who entered it.
        git_sha: commit of the code that entered it; None where there is no checkout.
        is_dirty: whether files differed from that commit; None where nobody can say.
        lock_hash: SHA-256 of requirements.lock.
        models_hash: fingerprint of the models in prod, where the run had them open.
        details: canonical JSON for people: counts, windows, reasons.
        digests: canonical JSON: table -> rows, sha256 and, where rows have names, each.
        previous_hash: ``entry_hash`` of the entry before.
        entry_hash: SHA-256 over everything above.
    """

    sequence: int
    entry_id: str
    recorded_at: datetime
    kind: str
    subject: str
    run_id: str | None
    actor: str | None
    git_sha: str | None
    is_dirty: bool | None
    lock_hash: str | None
    models_hash: str | None
    details: str
    digests: str
    previous_hash: str
    entry_hash: str = ""

    @property
    def computed_hash(self) -> str:
        """The hash that this content has."""
        return sha256(canonical_json({name: canonical_value(value) for name, value in self.covered().items()}))

    def covered(self) -> dict[str, Any]:
        """What the hash is over."""
        return {name: getattr(self, name) for name in COLUMNS if name != "entry_hash"}

    @property
    def told(self) -> dict[str, Any]:
        """The details; of text that is no JSON (any more) nothing."""
        return _parsed(self.details)

    @property
    def kept(self) -> dict[str, Digest]:
        """The digests by table; of text that is none (any more) nothing."""
        found = {}
        for table, value in _parsed(self.digests).items():
            if isinstance(value, Mapping):
                each = value.get("each")
                each = dict(each) if isinstance(each, Mapping) else {}
                found[table] = Digest(value.get("rows", -1), str(value.get("sha256")), each)
        return found

    @property
    def follows(self) -> int:
        """Number of the entry it was written after: the one before, but for the first entry after a restore, which goes
        on from the last entry of the copy, and leaves the numbers out that were given since."""
        after = self.told.get(CONTINUES_AFTER) if self.kind == Kind.RESTORE else None
        return after if isinstance(after, int) and 0 <= after < self.sequence else self.sequence - 1

    @property
    def head(self) -> Head:
        """The entry as the end of the ledger."""
        return Head(self.sequence, self.entry_hash)

    def as_json(self) -> dict[str, Any]:
        """The entry for a program: details and digests as values."""
        return asdict(self) | {"details": self.told, "digests": _parsed(self.digests)}


COLUMNS = tuple(field.name for field in fields(Entry))


@dataclass(frozen=True)
class Head:
    """The end of the ledger at some time: it stands for all entries up to it."""

    sequence: int
    entry_hash: str

    def __str__(self) -> str:
        return f"{self.sequence}:{self.entry_hash}"


def _parsed(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (TypeError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
