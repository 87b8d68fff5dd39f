"""Incidents: what was told of each problem so far, and what is to be told now. Functions of both alone.

A problem is told when it begins, when it becomes worse and when it is over; while it lasts, it is brought to mind at
growing intervals. What comes and goes is told ever less often. Instants are UTC, of the cycle's "now".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from insightmart.status.problem import LOOKED_AT_DAILY, Problem

HOUR = timedelta(hours=1)
REMINDERS = (HOUR, 4 * HOUR, 12 * HOUR, 24 * HOUR)  # after what was told last; the last one again and again
# What came back within a day goes on in its thread; how long after its end that is told, by how often it came back.
COMES_BACK_WITHIN = 24 * HOUR
AGAIN = (0 * HOUR, 4 * HOUR, 12 * HOUR, 24 * HOUR)
EARLY = timedelta(minutes=10)  # a cycle that begins a little earlier than the one an hour before is still an hour later

LEVELS = ("note", "warning", "bad")


class IncidentChange(StrEnum):
    """Why an incident is told."""

    OPENED = "opened"
    AGAIN = "again"
    WORSE = "worse"
    REMINDER = "reminder"
    RECOVERED = "recovered"


@dataclass(frozen=True)
class Incident:
    """A problem over time, as it was told last.

    Attributes:
        key: of the problem.
        thread: what all its messages have in common, of ``a-z0-9-``: of this incident alone.
        subject: of its first message, and so of all.
        title: of the problem, as it was told last.
        level: the worst that was told.
        affects: all that was told to lack something by it.
        owner: who is to be asked.
        opened_at: since when it lasts, this time.
        told_at: when it was told last.
        is_open: whether it lasts.
        messages: how many it has had.
        reminders: how many of them, since it lasts, only brought it to mind.
        returns: how often it came back after it was over.
        told_to: names of the routes by which it was told.
    """

    key: str
    thread: str
    subject: str
    title: str
    level: str
    affects: tuple[str, ...]
    owner: str
    opened_at: datetime
    told_at: datetime
    is_open: bool = True
    messages: int = 1
    reminders: int = 0
    returns: int = 0
    told_to: tuple[str, ...] = ()


@dataclass(frozen=True)
class Told:
    """Something that is to be told now: why, of which incident as it is afterwards, and the problem if it lasts."""

    change: IncidentChange
    incident: Incident
    problem: Problem | None = None


def what_to_tell(known: Mapping[str, Incident], problems: Iterable[Problem], now: datetime, place: str) -> list[Told]:
    """What changed, the worst first, then what is brought to mind and what is over.

    Args:
        known: what was told so far, by key; incidents that are over included.
        problems: what needs somebody now, the worst first.
        now: the instant, UTC.
        place: of ``a-z0-9``: what is told of another warehouse is another thread.
    """
    present = {problem.key: problem for problem in problems}
    lasting = [told for key, problem in present.items() if (told := _of_problem(known.get(key), problem, now, place))]
    over = [
        Told(
            IncidentChange.RECOVERED,
            replace(incident, is_open=False, told_at=now, messages=incident.messages + 1, reminders=0),
        )
        for key, incident in known.items()
        if incident.is_open and key not in present
    ]
    return [*sorted(lasting, key=lambda told: told.change is IncidentChange.REMINDER), *over]


def _of_problem(known: Incident | None, problem: Problem, now: datetime, place: str) -> Told | None:
    if known is None or (not known.is_open and now - known.told_at > COMES_BACK_WITHIN):
        return Told(IncidentChange.OPENED, _opened(problem, now, place), problem)
    told = replace(known, title=problem.title, told_at=now, messages=known.messages + 1, owner=problem.owner)
    if not known.is_open:
        wait = AGAIN[min(known.returns, len(AGAIN) - 1)]
        if now - known.told_at + EARLY < wait:
            return None
        again = replace(told, opened_at=now, is_open=True, returns=known.returns + 1, level=problem.level)
        return Told(IncidentChange.AGAIN, replace(again, affects=problem.affects), problem)
    added = tuple(name for name in problem.affects if name not in known.affects)
    if added or LEVELS.index(problem.level) > LEVELS.index(known.level):
        worst = max(problem.level, known.level, key=LEVELS.index)
        return Told(IncidentChange.WORSE, replace(told, level=worst, affects=known.affects + added), problem)
    reminders = REMINDERS[-1:] if problem.kind in LOOKED_AT_DAILY else REMINDERS
    if now - known.told_at + EARLY >= reminders[min(known.reminders, len(reminders) - 1)]:
        return Told(IncidentChange.REMINDER, replace(told, reminders=known.reminders + 1), problem)
    return None


def _opened(problem: Problem, now: datetime, place: str) -> Incident:
    return Incident(
        problem.key,
        f"{problem.key}-{now:%Y%m%d%H%M}-{place}",
        problem.title,
        problem.title,
        problem.level,
        problem.affects,
        problem.owner,
        now,
        now,
    )
