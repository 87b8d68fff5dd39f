"""This machine's clock against those of the sources: a cycle at the time of day never acts later than they say.

A clock that is ahead would let a load cover an hour in which its source is still to write. Refusing to run would let
everything wait for an administrator, so a cycle acts at the sources' time instead, and says so.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from time import monotonic

import structlog

from ingestion.clock import utc_now
from ingestion.contracts import SOURCES
from insightmart.runs import ProblemKind, RunProblem
from insightmart.settings import Settings
from insightmart.sources import TITLES, is_configured, source_of

TOLERANCE = timedelta(minutes=5)  # loads overlap by more
FRACTIONS = timedelta(seconds=2)  # servers tell whole seconds
SECONDS = 5.0  # that the sources have for an answer, at once
CLOCK_CURE = "Synchronise the clocks (NTP, chrony): `insightmart doctor` compares them"

log = structlog.get_logger()


@dataclass(frozen=True)
class Clocks:
    """What the clocks say.

    Attributes:
        now: the instant to act by, UTC without a zone.
        by_source: the time of a source's own clock where it lies before ``now``.
        problems: clocks that are wrong, for people.
    """

    now: datetime
    by_source: Mapping[str, datetime] = field(default_factory=dict)
    problems: tuple[RunProblem, ...] = ()


def compared(now: datetime, behind: Mapping[str, timedelta]) -> Clocks:
    """What to act by: this machine's time, or the latest of the sources' where they all lie before it.

    Args:
        now: this machine's time, UTC without a zone.
        behind: by source how far its clock is behind this machine's; negative where it is ahead.
    """
    acting, problems = now, []
    least = min(behind.values(), default=timedelta())
    if least > TOLERANCE:
        acting = now - least
        said = f"this machine's clock is {_minutes(least)} ahead of all sources; acted at {acting:%Y-%m-%d %H:%M} UTC"
        problems.append(RunProblem(ProblemKind.CLOCK, "this machine", said, CLOCK_CURE))
    elif behind and max(behind.values()) < -TOLERANCE:
        said = f"this machine's clock is {_minutes(-max(behind.values()))} behind all sources: hours come so much later"
        problems.append(RunProblem(ProblemKind.CLOCK, "this machine", said, CLOCK_CURE))
    own = {source: now - skew for source, skew in behind.items() if now - skew < acting - FRACTIONS}
    for source, instant in own.items():
        if acting - instant > TOLERANCE:
            said = (
                f"the clock of {TITLES[source]} is {_minutes(acting - instant)} behind: it is read through its own time"
            )
            problems.append(RunProblem(ProblemKind.CLOCK, source, said, CLOCK_CURE))
    return Clocks(acting.replace(microsecond=0), own, tuple(problems))


def read_clocks(settings: Settings) -> dict[str, timedelta]:
    """How far the clock of each source is behind this machine's; a source that does not answer at once is missing."""
    found: dict[str, timedelta] = {}

    def ask(source: str, server_time: Callable[[], datetime]) -> None:
        with _unless_it_fails(source):
            found[source] = utc_now() - server_time()

    threads = []
    for source in SOURCES:
        if is_configured(settings, source):
            with _unless_it_fails(source):  # what takes time to import is not the source's
                threads.append(threading.Thread(target=ask, args=[source, CLOCKS[source](settings)], daemon=True))
    for thread in threads:
        thread.start()
    until = monotonic() + SECONDS
    for thread in threads:
        thread.join(max(0.0, until - monotonic()))
    return dict(found)


@contextmanager
def _unless_it_fails(source: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # noqa: BLE001 its load says what is wrong
        log.debug("the clock of a source could not be read", source=source, error=type(error).__name__)


def _oltp(settings: Settings) -> Callable[[], datetime]:
    from ingestion.postgres.snapshot import server_time

    return partial(server_time, replace(source_of(settings, "oltp"), silence_limit=SECONDS))


def _stores(settings: Settings) -> Callable[[], datetime]:
    from ingestion.stores.bucket import Bucket

    return Bucket(replace(source_of(settings, "stores"), silence_limit=SECONDS, attempts=1)).server_time


def _shopify(settings: Settings) -> Callable[[], datetime]:
    from ingestion.shopify.client import ShopifyClient

    return ShopifyClient(replace(source_of(settings, "shopify"), timeout=SECONDS)).server_time


# by source what asks its clock
CLOCKS: dict[str, Callable[[Settings], Callable[[], datetime]]] = {
    "oltp": _oltp,
    "stores": _stores,
    "shopify": _shopify,
}


def _minutes(difference: timedelta) -> str:
    return f"{difference / timedelta(minutes=1):,.0f} min"
