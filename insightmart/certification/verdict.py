"""Whether a part of the certified data can be trusted, and why, out of the evidence alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from ingestion.contracts import entity
from insightmart.certification.datasets import Dataset, Part
from insightmart.certification.observations import CheckResult, OpenCorrection, Scan

HOURLY_TOLERANCE = timedelta(minutes=90)  # behind the last whole hour
DAILY_TOLERANCE = timedelta(hours=25, minutes=30)  # since the last load of a daily source


class Verdict(StrEnum):
    """What a reader may conclude, from good to bad."""

    TRUSTED = "trusted"
    CORRECTIONS = "corrections pending"
    LATE = "late"
    MISSING = "not certified yet"
    HELD_BACK = "held back"

    @property
    def rank(self) -> int:
        """0 for the best."""
        return list(Verdict).index(self)


@dataclass(frozen=True)
class PartState:
    """What is known of a part now.

    Attributes:
        part: the part.
        verdict: what a reader may conclude.
        why: the verdict in one sentence.
        through: first instant that is not certified, UTC; None when nothing is.
        scan: the gate's last scan.
        refused: the scan that holds it back, if one does.
        attempts: in how many runs in a row it was refused.
        corrections: open correction windows of what is certified of it: that is older there than its source says.
        behind: the inputs that are late, with where they stand.
    """

    part: Part
    verdict: Verdict
    why: str
    through: datetime | None
    scan: Scan | None = None
    refused: Scan | None = None
    attempts: int = 0
    corrections: tuple[OpenCorrection, ...] = ()
    behind: Mapping[str, datetime | None] = field(default_factory=dict)

    @property
    def held_since(self) -> datetime | None:
        """First instant that is held back: what is certified ends there."""
        if self.refused is None:
            return None
        return self.through or self.refused.window_start


@dataclass(frozen=True)
class DatasetState:
    """A certified table with the states of its parts; it is as good as the worst of them."""

    dataset: Dataset
    parts: tuple[PartState, ...]
    exists: bool

    @property
    def area(self) -> str:
        """The subject area of its parts."""
        return self.parts[0].part.area

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of its parts."""
        return max((state.verdict for state in self.parts), key=lambda verdict: verdict.rank)

    @property
    def through(self) -> datetime | None:
        """The earlier of its parts: every source is certified up to here."""
        known = [state.through for state in self.parts]
        return None if None in known else min(instant for instant in known if instant is not None)


def restates(correction: OpenCorrection, part: Part) -> bool:
    """Whether an open window is one of a part: what is certified of it may change."""
    if correction.source != "manual":
        return (correction.source, correction.entity) == part.corrected_by
    return correction.entity in part.models  # queued by hand: its entity is a model


def of_certified(correction: OpenCorrection, part: Part, through: datetime | None) -> bool:
    """Whether a part has certified hours of an open window. What a gate holds back is not published, and so not old."""
    return restates(correction, part) and through is not None and correction.window_start < through


def late_inputs(part: Part, marks: Mapping[str, datetime], as_of: datetime) -> dict[str, datetime | None]:
    """The inputs of a part that are late at an instant, with where they stand (UTC); None was never loaded."""
    return {name: marks.get(name) for name in part.inputs if _is_behind(name, marks.get(name), as_of)}


def _is_behind(name: str, mark: datetime | None, as_of: datetime) -> bool:
    if mark is None:
        return True
    hourly = entity(*name.split(".")).cadence == "hourly"
    return whole_hour(as_of) - mark > HOURLY_TOLERANCE if hourly else as_of - mark > DAILY_TOLERANCE


def judge(
    part: Part,
    as_of: datetime,
    through: datetime | None,
    refused: Scan | None,
    pending: Sequence[OpenCorrection],
    behind: Mapping[str, datetime | None],
) -> tuple[Verdict, str]:
    """What a reader may conclude of a part, and why in one sentence.

    Args:
        part: the part.
        as_of: now, UTC.
        through: first instant that is not certified, UTC; None when nothing is.
        refused: the scan that holds it back, with its remarks; None when none does.
        pending: open corrections that restate it.
        behind: its inputs that are late, with where they stand.
    """
    if refused is not None:
        return Verdict.HELD_BACK, _refusal(refused)
    if through is None:
        missing = [name for name, mark in behind.items() if mark is None]
        return (
            Verdict.MISSING,
            f"never loaded: {', '.join(missing)}" if missing else "no window has passed the gate yet",
        )
    late = whole_hour(as_of) - through > HOURLY_TOLERANCE if part.is_hourly else as_of - through > DAILY_TOLERANCE
    if late or behind:
        return Verdict.LATE, standing(behind) or f"nothing was certified after {spoken(through)}"
    if pending:
        windows = "1 window waits" if len(pending) == 1 else f"{len(pending)} windows wait"
        return Verdict.CORRECTIONS, f"{windows} to be certified again"
    return Verdict.TRUSTED, "the last gate passed and nothing is pending"


def standing(behind: Mapping[str, datetime | None]) -> str:
    """Where inputs that are late stand, in a line without a full stop; empty where none is."""
    return ", ".join(
        f"the source {name} {f'was last read through {spoken(mark)}' if mark else 'was never loaded'}"
        for name, mark in behind.items()
    )


def _refusal(refused: Scan) -> str:
    names = ", ".join(f"{remark.check} (found {remark.found}{_against(remark)})" for remark in refused.blocking)
    return f"the gate refused it: {names}"


def _against(remark: CheckResult) -> str:
    return f", allowed {remark.allowed}" if remark.allowed else ""


def whole_hour(instant: datetime) -> datetime:
    """The whole hour an instant stands in."""
    return instant.replace(minute=0, second=0, microsecond=0)


def spoken_windows(corrections: Sequence[OpenCorrection]) -> str:
    """Open windows for people: the hours of one, how many there are between the first and the last of more."""
    start, end = min(item.window_start for item in corrections), max(item.window_end for item in corrections)
    between = f"{spoken(start)} {'to' if len(corrections) == 1 else 'and'} {spoken(end)}"
    return between if len(corrections) == 1 else f"{len(corrections)} windows between {between}"


def spoken(instant: Any) -> str:
    """An instant for people, to the minute: ``2026-03-06 16:00 UTC``; one that nobody knows is said to be unknown."""
    return f"{instant:%Y-%m-%d %H:%M} UTC" if instant else "an unknown instant"
