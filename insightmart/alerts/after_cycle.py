"""After a cycle: what changed is told, what lasts is brought to mind, once a day there is a report."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import structlog

from ingestion.clock import utc_now
from ingestion.warehouse import Warehouse
from insightmart.alerts.incident_words import incident_message
from insightmart.alerts.incidents import Told, what_to_tell
from insightmart.alerts.notifications import TellingSoFar, record_daily, record_told, told_so_far
from insightmart.alerts.outbox import Parcel
from insightmart.alerts.post import keep, send_out
from insightmart.alerts.routes import Ends, Routes, read_routes
from insightmart.alerts.sending import compose, compose_incident, page_address, place_of
from insightmart.ledger.recording import last_head
from insightmart.runs import ProblemKind, Run, RunProblem
from insightmart.settings import AlertSettings, Settings
from insightmart.status.facts import Facts
from insightmart.status.problems import needs_attention
from insightmart.status.recent_runs import RunState
from insightmart.status.report import Occasion, last_complete_day, make_report

log = structlog.get_logger()

PATIENCE = timedelta(hours=3)  # that the daily report waits for yesterday's figures


@dataclass
class Telling:
    """What was told after a cycle: titles of the messages, what kept one from somebody, who cannot be told at all."""

    titles: list[str] = field(default_factory=list)
    problems: list[RunProblem] = field(default_factory=list)
    notices: list[RunProblem] = field(default_factory=list)


def tell(warehouse: Warehouse, settings: Settings, facts: Facts, run: Run, as_of: datetime) -> Telling:
    """Tell people what they have to hear of, and send what could not be sent before.

    Args:
        warehouse: open connection.
        settings: where messages go; nothing is sent, and nothing fails, where that is not set.
        facts: the state after the cycle.
        run: the cycle that has just ended.
        as_of: "now" of the cycle, UTC without a zone.

    Returns:
        What was told, and what somebody did not get, and why.

    Raises:
        InsightMartError: the home cannot be written, so that nothing can be kept for those who are to be told.
    """
    routes, telling = read_routes(settings), Telling()
    if not routes.all_ends or (settings.smtp_url is None and not routes.all_ends.chat):
        log.info("nobody is told: SMTP_URL or REPORT_TO is not set, and no route names a chat")
        return telling
    telling.notices += flaws_of(routes)
    so_far = told_so_far(warehouse, as_of)
    telling.titles += _incidents(warehouse, settings, routes, so_far, facts, run, as_of)
    if is_daily_due(settings, so_far, facts, as_of):
        telling.titles += _daily(warehouse, settings, routes, facts, run, as_of)
    telling.problems += send_out(settings)
    return telling


def flaws_of(routes: Routes) -> list[RunProblem]:
    """What is wrong with the settings of who is told: everybody else is told all the same."""
    cure = "Correct it: `insightmart doctor` says whether it is right; the others are told"
    return [RunProblem(ProblemKind.REPORT, "routes", flaw, cure) for flaw in routes.flaws]


def _incidents(
    warehouse: Warehouse,
    settings: Settings,
    routes: Routes,
    so_far: TellingSoFar,
    facts: Facts,
    run: Run,
    as_of: datetime,
) -> list[str]:
    told = []
    for one in what_to_tell(so_far.incidents, needs_attention(facts), as_of, place_of(settings)):
        ends = ends_of(one, routes)
        if ends:
            told.append((replace(one, incident=replace(one.incident, told_to=ends.routes)), ends))
    if not told:
        return []
    parcels = [parcels_of(settings, one, ends, as_of, settings.currency, run.run_id) for one, ends in told]
    keep(settings, [parcel for several in parcels for parcel in several])
    record_told(warehouse, run.run_id, [one for one, _ in told])
    return [several[0].title for several in parcels if several]


def ends_of(told: Told, routes: Routes) -> Ends:
    """Who is told: who wants to know of the problem as it is now, and who was told before."""
    before = routes.named(told.incident.told_to)
    return routes.of(told.problem).and_also(before) if told.problem else before


def parcels_of(
    settings: AlertSettings, told: Told, ends: Ends, as_of: datetime, currency: str, run_id: str | None = None
) -> list[Parcel]:
    """A message about an incident, once for all mail addresses and once for each chat."""
    said = incident_message(told, as_of, currency, page_address(settings), run_id)
    name, now = f"{told.incident.thread}-{told.incident.messages}", utc_now()
    parcels = []
    if ends.mail and settings.smtp_url is not None:
        mail = compose_incident(settings, told.incident, said, ends.mail)
        parcels.append(
            Parcel(name=name, put_at=now, mail=mail.as_string(), recipients=list(ends.mail), title=said.title)
        )
    parcels += [
        Parcel(
            name=f"{name}-{channel}", put_at=now, channel=channel, title=said.title, text=said.text, level=said.level
        )
        for channel in ends.chat
    ]
    return parcels


def is_daily_due(settings: AlertSettings, so_far: TellingSoFar, facts: Facts, as_of: datetime) -> bool:
    """Whether the daily report goes out now: after DAILY_REPORT_AT of the company's clock, once a day.

    It waits up to three hours for the figures of the business day that ended last.
    """
    due_on = due_date(settings, as_of)
    due_at = _instant(settings, due_on)
    if so_far.daily_at is not None and so_far.daily_at >= due_at:
        return False
    day = last_complete_day(facts)
    is_complete = day is not None and day.business_date >= due_on - timedelta(days=1)
    return is_complete or as_of - due_at >= PATIENCE


def due_date(settings: AlertSettings, as_of: datetime) -> date:
    """The last date, of the company's clock, on which a daily report was or is due by an instant, UTC."""
    local = as_of.replace(tzinfo=UTC).astimezone(ZoneInfo(settings.timezone))
    return local.date() if local.time() >= settings.daily_report_at else local.date() - timedelta(days=1)


def _instant(settings: AlertSettings, day: date) -> datetime:
    local = datetime.combine(day, settings.daily_report_at, ZoneInfo(settings.timezone))
    return local.astimezone(UTC).replace(tzinfo=None)


def _daily(
    warehouse: Warehouse, settings: Settings, routes: Routes, facts: Facts, run: Run, as_of: datetime
) -> list[str]:
    ends = routes.of_daily()
    if not ends.mail or settings.smtp_url is None:
        return []
    state = RunState(run.run_id, run.command, run.as_of, run.status, problems=tuple(run.problems))
    report = make_report(
        replace(facts, ledger_head=last_head(warehouse)), Occasion.DAILY, state, page_address(settings)
    )
    message = compose(settings, report, ends.mail)
    name = f"daily-{as_of:%Y%m%d%H%M}-{place_of(settings)}"
    parcel = Parcel(
        name=name, put_at=utc_now(), mail=message.as_string(), recipients=list(ends.mail), title=report.subject
    )
    keep(settings, [parcel])
    day = last_complete_day(facts)
    record_daily(warehouse, run.run_id, as_of, report.subject, day.business_date if day else None)
    return [report.subject]
