"""``ops.notifications``: one row each time an incident was told, or the daily report was sent. Only ever appended."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from ingestion.clock import utc_now
from ingestion.warehouse import Warehouse
from insightmart.alerts.incidents import Incident, Told

DAILY = "daily"  # in place of the key of an incident
NOTIFICATIONS = "ops.notifications"


@dataclass(frozen=True)
class TellingSoFar:
    """What was told so far: the incidents by key, and the daily reports.

    Attributes:
        incidents: each as it was told last.
        daily_at: when the last daily report was due and sent, UTC; None: there was none.
        daily_of: the business date that it showed; None where none was complete.
    """

    incidents: dict[str, Incident] = field(default_factory=dict)
    daily_at: datetime | None = None
    daily_of: date | None = None


def told_so_far(warehouse: Warehouse, before: datetime) -> TellingSoFar:
    """What was told up to an instant, UTC, in one statement."""
    rows = warehouse.records(
        f"SELECT incident_key, thread, subject, title, severity, affects, owner, opened_at, told_at, is_open, messages,"
        f" reminders, returns, told_to, business_date FROM {NOTIFICATIONS} WHERE told_at <= ?"
        " QUALIFY ROW_NUMBER() OVER (PARTITION BY incident_key ORDER BY told_at DESC, recorded_at DESC) = 1",
        [before],
    )
    incidents, daily = {}, None
    for row in rows:
        key, business_date = row.pop("incident_key"), row.pop("business_date")
        if key == DAILY:
            daily = (row["told_at"], business_date)
        else:
            row |= {"key": key, "level": row.pop("severity")}
            row |= {name: tuple(json.loads(row[name])) for name in ("affects", "told_to")}
            incidents[key] = Incident(**row)
    return TellingSoFar(incidents, *(daily or (None, None)))


def record_told(warehouse: Warehouse, run_id: str | None, told: Sequence[Told]) -> None:
    """Write down that incidents were told, in one statement."""
    warehouse.insert(
        NOTIFICATIONS,
        [
            {
                "incident_key": one.incident.key,
                "thread": one.incident.thread,
                "change": str(one.change),
                "subject": one.incident.subject,
                "title": one.incident.title,
                "severity": one.incident.level,
                "affects": json.dumps(one.incident.affects),
                "owner": one.incident.owner,
                "opened_at": one.incident.opened_at,
                "told_at": one.incident.told_at,
                "is_open": one.incident.is_open,
                "messages": one.incident.messages,
                "reminders": one.incident.reminders,
                "returns": one.incident.returns,
                "told_to": json.dumps(one.incident.told_to),
                "business_date": None,
                "run_id": run_id,
                "recorded_at": utc_now(),
            }
            for one in told
        ],
    )


def record_daily(
    warehouse: Warehouse, run_id: str | None, as_of: datetime, subject: str, business_date: date | None
) -> None:
    """Write down that the daily report was sent, and which business date it showed."""
    warehouse.insert(
        NOTIFICATIONS,
        [
            {
                "incident_key": DAILY,
                "change": DAILY,
                "subject": subject,
                "told_at": as_of,
                "business_date": business_date,
                "run_id": run_id,
                "recorded_at": utc_now(),
            }
        ],
    )
