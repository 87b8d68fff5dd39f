"""What a load is given and what it gives back: the run it belongs to, the window it reads, its result, its failure."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from time import monotonic
from typing import Any

from ingestion.clock import utc_now
from ingestion.loading.originals import Originals
from ingestion.warehouse import Warehouse

EPOCH = datetime(1970, 1, 1)  # as the start of a window: no lower bound


class SourceError(Exception):
    """A source or a load failed: one line with cause and cure, never a secret.

    Args:
        source: ``oltp``, ``shopify`` or ``stores``.
        cause: what went wrong.
        cure: what to do about it.
    """

    def __init__(self, source: str, cause: str, cure: str) -> None:
        self.source = source
        self.cause = " ".join(cause.split()).rstrip(".")
        self.cure = " ".join(cure.split())
        super().__init__(f"{source}: {self.cause}. {self.cure}")


class GivenUpError(SourceError):
    """A source that does not answer, or takes too long: nothing more is to be tried there in this run."""


class TimeLimit:
    """How long a source may take in one run.

    Args:
        source: ``oltp``, ``shopify`` or ``stores``.
        seconds: from now on; None: as long as it takes.
    """

    def __init__(self, source: str = "", seconds: float | None = None) -> None:
        self.source = source
        self.seconds = seconds
        self._ends = math.inf if seconds is None else monotonic() + seconds
        self._is_given_up = threading.Event()

    @property
    def left(self) -> float:
        """Seconds that are left: not below zero, infinite where there is no limit."""
        return max(0.0, self._ends - monotonic())

    @property
    def is_given_up(self) -> bool:
        """Whether the run has gone on without the source: whatever still works for it must change nothing any more."""
        return self._is_given_up.is_set()

    @property
    def error(self) -> GivenUpError:
        """Why the source is given up."""
        return GivenUpError(
            self.source,
            f"it was not read within {self.seconds or 0:,.0f} s and was given up; nothing half-read was kept",
            "See what slows it, or raise SOURCE_LIMIT; the next cycle reads on from where it stopped, and has as much"
            " more time as hours are missing; `insightmart backfill` has no limit",
        )

    def check(self) -> None:
        """Go on only while there is time.

        Raises:
            GivenUpError: the time is over.
        """
        if self.is_given_up or not self.left:
            raise self.error

    def give_up(self) -> None:
        """The run goes on without the source, whatever that is at."""
        self._is_given_up.set()


@dataclass(frozen=True)
class Notice:
    """Something at a source that somebody should look at, though everything was loaded: no failure.

    Attributes:
        subject: raw table it is about, for example ``oltp_orders``.
        message: what was found, complete in itself.
        cure: what to do about it.
    """

    subject: str
    message: str
    cure: str


@dataclass(frozen=True)
class DeletionLimit:
    """How many rows that a source no longer shows are taken for deleted without a question.

    Attributes:
        percent: of the rows that are known of the window compared.
        rows: so many are let go whatever their share is, but never all that are known.
    """

    percent: float = 5.0
    rows: int = 20

    def allow(self, known: int, missing: int) -> bool:
        """Whether these are few: not all, and within the number or the share."""
        return missing < known and (missing <= self.rows or missing * 100 <= known * self.percent)


@dataclass(frozen=True)
class IngestContext:
    """Where one run of the ingestion reads "now" from and writes to.

    Attributes:
        warehouse: open connection to the warehouse; its raw and ops tables exist (``create_tables``).
        home: INSIGHTMART_HOME; dlt works below ``home/dlt``, which may vanish between two runs.
        as_of: "now" of the run, UTC without a zone. Nothing later is read.
        history_start: first instant of history, UTC without a zone; models know no earlier hour.
        progress: takes one line for whoever watches.
        destination: dlt destination of the same warehouse, e.g. ``dlt.destinations.duckdb(path)``.
        released: watermarks that held before the run, by source and entity: how far the models may have been given
            each one. None: as they stand when asked. With them, sources that load at once see the same past.
        deletions: how many rows that are missing at a source are taken for deleted.
        notices: what the run found that somebody should look at; loads add to it.
        covered: watermarks as they stand, by source and entity; asked for once, and again after a load has moved some.
        erased: by source the customers whose personal data does not come in again (``ingestion.loading.erased``).
        originals: where distrusted files are kept; None: in ``home/quarantine``.
        limit: how long the source may take.
        is_now: ``as_of`` is the time of day, not a simulated one: nothing is covered that lies after the source's own.
    """

    warehouse: Warehouse
    home: Path
    as_of: datetime
    history_start: datetime
    progress: Callable[[str], None]
    destination: Any = field(repr=False)  # its text holds the credentials
    released: Mapping[tuple[str, str], datetime] | None = None
    deletions: DeletionLimit = DeletionLimit()
    notices: list[Notice] = field(default_factory=list)
    covered: dict[tuple[str, str], datetime] = field(default_factory=dict, repr=False)
    erased: dict[str, Any] = field(default_factory=dict, repr=False)
    originals: Originals | None = None
    limit: TimeLimit = field(default_factory=TimeLimit)
    is_now: bool = False

    def __post_init__(self) -> None:
        if self.as_of.tzinfo is not None or self.history_start.tzinfo is not None:
            raise ValueError("as_of and history_start are UTC instants without a zone")


@dataclass(frozen=True)
class Window:
    """A half-open range of UTC instants without a zone; a start of ``EPOCH`` means no lower bound."""

    start: datetime
    end: datetime


@dataclass
class LoadResult:
    """What one load did for one entity: a row of ``ops.loads``.

    ``status`` is ``loaded``, ``empty`` (read, and there was nothing) or ``skipped`` (not due; nothing is recorded).
    ``source_count`` and ``source_sum`` are what the source counted, ``landed_sum`` the same sum over the raw rows.
    ``covered_through`` is where the entity's watermark stands after this load; None leaves it where it is.
    ``rejected_keys`` (``reject_key``) are of all records rejected now, those that raw.rejects holds already included.
    Instants are UTC without a zone; ``started_at`` and ``ended_at`` are of the real clock.
    """

    source: str
    entity: str
    load_id: str | None
    window: Window | None
    rows: int
    rejected_rows: int = 0
    rejected_keys: frozenset[str] = frozenset()
    bytes: int = 0
    source_count: int | None = None
    source_sum: Decimal | None = None
    landed_sum: Decimal | None = None
    content_hash: str | None = None
    status: str = "loaded"
    covered_through: datetime | None = None
    started_at: datetime = field(default_factory=utc_now)
    ended_at: datetime = field(default_factory=utc_now)
