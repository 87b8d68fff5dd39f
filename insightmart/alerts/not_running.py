"""A cycle that cannot run: people are told, though there may be no warehouse and no settings.

What was told stands in a file of the home, and at KEPT_URL where that is set, so that the same is not told every hour.
"""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from ingestion.clock import utc_now
from insightmart.alerts.after_cycle import ends_of, flaws_of, parcels_of
from insightmart.alerts.incidents import Incident, what_to_tell
from insightmart.alerts.post import keep, send_out
from insightmart.alerts.routes import read_routes
from insightmart.alerts.sending import place_of
from insightmart.certification.verdict import spoken
from insightmart.errors import ConfigurationError, InsightMartError, LockedError, of_this_machine
from insightmart.hidden_secrets import without_secrets
from insightmart.kept_place import kept_place
from insightmart.kept_private import make_home
from insightmart.progress import console
from insightmart.settings import AlertSettings, load_alert_settings, load_settings
from insightmart.status.problem import Problem

KEY = "cycle-cannot-run"
FILE = "cannot_run.json"
BUSY = timedelta(hours=2)  # that another command may hold the lock before it is an alarm
_KNOWN = TypeAdapter(Incident)


@contextmanager
def telling_if_it_cannot_run(as_of: datetime | None) -> Iterator[None]:
    """Whatever keeps a cycle from running to its end is told, and raised on; when one did run, that is told too.

    Another command that holds the lock is no alarm in its first two hours.

    Args:
        as_of: "now" of the cycle, UTC without a zone; None: the time of day.
    """
    try:
        yield
    except Exception as error:
        if not (isinstance(error, LockedError) and _is_young(error)):
            _tell([_problem(error)], as_of or utc_now())
        raise
    _tell([], as_of or utc_now())


def _is_young(error: LockedError) -> bool:
    return error.since is None or utc_now() - error.since <= BUSY


def _tell(problems: list[Problem], now: datetime) -> None:
    """Tell what there is to tell. What goes wrong with that is said, and hides nothing of why the cycle ended."""
    try:
        settings = load_alert_settings()
        settings.home = _home(settings)
        known = _known(settings)
        if not problems and (known is None or not known.is_open):
            return
        routes = read_routes(settings)
        told = what_to_tell({KEY: known} if known else {}, problems, now, place_of(settings))
        for one in told:
            ends = ends_of(one, routes)
            incident = replace(one.incident, told_to=ends.routes)
            keep(settings, parcels_of(settings, replace(one, incident=incident), ends, now, ""))
            _remember(settings, incident)
        for problem in [*flaws_of(routes), *send_out(settings)]:
            console.print(problem.line, markup=False, style="yellow")
    except Exception as error:  # noqa: BLE001 why the cycle cannot run says more, and is raised
        error = of_this_machine(error) or error
        said = str(error) if isinstance(error, InsightMartError) else _without_secrets(error)
        console.print(f"nobody was told by mail: {said}", markup=False, style="yellow")


def _problem(error: Exception) -> Problem:
    """Why a cycle cannot run, in words."""
    cure = "Run `insightmart doctor`, then `insightmart cycle`, on that machine; with --debug they say more."
    error = of_this_machine(error) or error
    if isinstance(error, InsightMartError):
        what, action = error.cause.rstrip("."), f"{error.cure.rstrip('.')}. {cure}" if error.cure else cure
    else:
        what, action = _without_secrets(error), cure
    if isinstance(error, LockedError):
        what += f"; that is longer than {BUSY.total_seconds() / 3600:.0f} hours"
        action = f"Look what it does: let it finish, or end it, and the next cycle does what is left. {cure}"
    kind = (
        "the lock"
        if isinstance(error, LockedError)
        else "the settings"
        if isinstance(error, ConfigurationError)
        else "the warehouse or the project"
        if isinstance(error, InsightMartError)
        else "the code"
    )
    return Problem(
        "failed",
        f"The hourly cycle cannot run: {kind}",
        f"{what}. On {socket.gethostname()}, at {spoken(utc_now())}.",
        "Nothing new is published; what was certified before stays as it is, and the page grows old.",
        action,
        "data-engineering",
        key=KEY,
        affects=(kind,),
    )


def _without_secrets(error: Exception) -> str:
    """What an unexpected error says; only its type where it is not known what must not be said."""
    name = type(error).__name__
    try:
        settings = load_settings()
    except InsightMartError:
        return f"unexpected {name}"
    return without_secrets(f"unexpected {name}: {(str(error).splitlines() or [''])[0]}", settings)  # type: ignore[no-any-return]


def _home(settings: AlertSettings) -> Path:
    """The home; where it cannot be written, a folder of this user for what would be told every hour otherwise."""
    with suppress(OSError):
        make_home(settings.home)
        with tempfile.NamedTemporaryFile(dir=settings.home):
            return settings.home
    other = Path(tempfile.gettempdir()) / f"insightmart-{os.getuid()}"
    other.mkdir(mode=0o700, exist_ok=True)
    if other.stat().st_uid != os.getuid():
        raise PermissionError(f"{other} belongs to another user")
    return other


def _known(settings: AlertSettings) -> Incident | None:
    with suppress(InsightMartError, ValidationError):
        if (place := kept_place(settings)) and (told := place.read(FILE)) is not None:
            return _KNOWN.validate_json(told)
    with suppress(OSError, ValidationError):
        return _KNOWN.validate_json((settings.home / FILE).read_bytes())
    return None


def _remember(settings: AlertSettings, incident: Incident) -> None:
    path = settings.home / FILE
    scratch = path.with_suffix(".part")
    scratch.write_bytes(_KNOWN.dump_json(incident))
    scratch.chmod(0o600)
    scratch.replace(path)
    with suppress(InsightMartError):  # it is told once more then
        if place := kept_place(settings):
            place.put(FILE, path.read_bytes())
