"""What was published when, of which loads and by which code: read out of the journal."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from ingestion.warehouse import Warehouse
from insightmart.errors import InsightMartError
from insightmart.journal.figures import not_begun
from insightmart.journal.followed import Followed
from insightmart.purged import refuse_purged

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
Window = tuple[datetime, datetime]  # UTC, the end excluded


@dataclass(frozen=True)
class Publication:
    """One entry of ops.publications.

    Attributes:
        number: microseconds since 1970 of the real clock.
        published_at: the run's now.
        recorded_at: the real clock.
        git_sha: commit of the tree it ran from, with ``-dirty`` where a file differed; None where nobody could say.
        models_version: digest of the code behind the figures.
        through: part -> its hours before this instant are published.
        windows: (part, window) that were written anew.
    """

    number: int
    published_at: datetime
    recorded_at: datetime
    git_sha: str | None
    models_version: str | None
    through: Mapping[str, datetime]
    windows: Sequence[tuple[str, Window]]

    def wrote(self, part: str, window: Window) -> bool:
        """Whether all of a window of a part was written anew."""
        return any(name == part and start <= window[0] and end >= window[1] for name, (start, end) in self.windows)


@dataclass(frozen=True)
class Code:
    """The code that figures were made by.

    Attributes:
        commit: of the tree that was published from, None where nobody could say.
        was_dirty: whether a file differed from that commit.
        models_version: digest of the models, as the journal has it.
    """

    commit: str | None
    was_dirty: bool
    models_version: str | None


@dataclass(frozen=True)
class Cut:
    """Windows of parts that stood as one publication left them.

    Attributes:
        publication: the one; what was loaded by then is what it could know.
        code: what it was made by.
        windows: part -> windows.
    """

    publication: Publication
    code: Code
    windows: Mapping[str, Sequence[Window]]


def publications(warehouse: Warehouse, until: datetime) -> list[Publication]:
    """All publications up to an instant of the runs' now, in order.

    Raises:
        InsightMartError: there is none.
    """
    is_kept = warehouse.value(
        "SELECT COUNT(*) FROM information_schema.tables WHERE LOWER(table_schema) = 'ops'"
        " AND LOWER(table_name) = 'published_digests'"
    )
    if not is_kept:
        raise not_begun(warehouse)
    found = [
        Publication(
            number,
            published_at,
            recorded_at,
            git_sha,
            version,
            {part: datetime.fromisoformat(at) for part, at in json.loads(through or "{}").items()},
            [
                (part, (datetime.fromisoformat(start), datetime.fromisoformat(end)))
                for part, start, end in json.loads(windows or "[]")
            ],
        )
        for number, published_at, recorded_at, git_sha, version, through, windows in warehouse.rows(
            "SELECT publication, published_at, recorded_at, git_sha, models_version, published_through, windows"
            " FROM ops.publications WHERE published_at <= ? ORDER BY publication",
            [until],
        )
    ]
    if not found:
        raise not_begun(warehouse, until)
    return found


def cuts(
    warehouse: Warehouse, told: Sequence[Publication], followed: Followed, wanted: Mapping[str, Sequence[Window]]
) -> list[Cut]:
    """What windows of the parts of an aggregate stood on at the last of these publications.

    Most of them are what the last publication would have made of them: a load that changes a published hour has it
    built again. But for those that still waited then, in the queue or before a gate: they stood as they were written.

    Args:
        warehouse: for the queue of corrections.
        told: publications in order, the last one is meant.
        followed: the aggregate.
        wanted: part -> windows asked for, whole hours (of stock: whole UTC dates), as far as they were published.

    Raises:
        InsightMartError: the journal does not say when a window was written that still waited.
    """
    for start, _ in [window for windows in wanted.values() for window in windows]:
        refuse_purged(warehouse, start, f"the window from {start:%Y-%m-%d %H:%M}")
    last = told[-1]
    late = {part: _waiting(warehouse, followed, source, last) for part, source in followed.parts.items()}
    found: dict[int, dict[str, list[Window]]] = {}
    step = DAY if followed.by_utc_date else HOUR
    for part, windows in wanted.items():
        for whole in windows:
            for piece in _pieces(whole, late[part], step):
                end = min(piece[1], last.through[part])
                waits = any(start < end and until > piece[0] for start, until in late[part])
                # the date that goes on is written with each of its hours, and not at all where its gate refuses them
                waits = waits or end < piece[1]
                place = _written(told, part, (end - HOUR, end)) if waits else len(told) - 1
                found.setdefault(place, {}).setdefault(part, []).append((piece[0], end))
    return [
        Cut(told[place], _code(told[: place + 1]), {part: _joined(pieces) for part, pieces in of_parts.items()})
        for place, of_parts in sorted(found.items())
    ]


def windows_of_dates(
    followed: Followed, dates: Sequence[date], through: Mapping[str, datetime]
) -> dict[str, list[Window]]:
    """Part -> windows in which events of business dates can lie in any time zone, as far as they were published."""
    found: dict[str, list[Window]] = {}
    for part in followed.parts:
        if part not in through:
            continue
        whole = _joined([(_midnight(day) - DAY, _midnight(day) + 2 * DAY) for day in sorted(set(dates))])
        published = through[part]
        # of stock the date that goes on is one piece, whatever part of it is published
        edge = (
            _midnight(published.date()) + DAY
            if followed.by_utc_date and published > _midnight(published.date())
            else published
        )
        found[part] = [(start, min(end, edge)) for start, end in whole if start < edge]
    return found


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time())


def _joined(windows: Sequence[Window]) -> list[Window]:
    """Windows without overlaps; those that meet are one."""
    found: list[Window] = []
    for start, end in sorted(windows):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def _pieces(whole: Window, waiting: Sequence[Window], step: timedelta) -> list[Window]:
    """A window cut where hours (or dates) wait, those one by one, the others as long as they are."""
    pieces: list[Window] = []
    begun, at = whole[0], whole[0]
    while at < whole[1]:
        next_at = min(at + step, whole[1])
        if any(start < next_at and end > at for start, end in waiting) or (step == DAY and next_at == whole[1]):
            if begun < at:
                pieces.append((begun, at))
            pieces.append((at, next_at))
            begun = next_at
        at = next_at
    return [*pieces, (begun, at)] if begun < at else pieces


def _waiting(warehouse: Warehouse, followed: Followed, source: str, last: Publication) -> list[Window]:
    """Windows of a source that a load had touched and that were not built again when something was published."""
    return [
        (start, end)
        for start, end in warehouse.rows(
            "SELECT c.window_start, c.window_end FROM ops.correction_windows AS c"
            " INNER JOIN (SELECT load_id, MIN(ended_at) AS ended_at FROM ops.loads GROUP BY load_id) AS l"
            " ON l.load_id = c.load_id"
            " WHERE c.source = ? AND c.entity = ? AND l.ended_at <= ?"
            " AND (c.status = 'open' OR c.settled_at > ? OR (c.settled_at IS NULL AND c.closed_at > ?))",
            [source, followed.area, last.recorded_at, last.recorded_at, last.published_at],
        )
    ]


def _written(told: Sequence[Publication], part: str, window: Window) -> int:
    """Which publication was the last that wrote a window of a part."""
    for place in range(len(told) - 1, -1, -1):
        if told[place].wrote(part, window):
            return place
    raise InsightMartError(
        f"the journal does not say when certified.{part} of {window[0]:%Y-%m-%d %H:%M} UTC was written",
        "It was published before there was a journal; ask for a later date, or for other cells",
    )


def _code(told: Sequence[Publication]) -> Code:
    """What the last of these publications was made by: the tree of the first one since the models changed last, because
    every later cycle takes the models out of prod and not out of its tree."""
    version, first = told[-1].models_version, told[-1]
    for one in reversed(told):
        if one.models_version != version:
            break
        first = one
    sha = first.git_sha
    return Code(sha.removesuffix("-dirty") if sha else None, bool(sha and sha.endswith("-dirty")), version)
