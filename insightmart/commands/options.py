"""What several commands take: instants, windows, and the clock to act by."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from ingestion.clock import utc_now

if TYPE_CHECKING:
    from ingestion.loading.context import Window

CLOCKS_DIFFER = timedelta(minutes=5)  # of two machines
EARLIEST = 1970
SIMULATED = "INSIGHTMART_AS_OF"


class Instant(click.ParamType[datetime]):
    """A UTC instant such as 2026-03-05T10:05 or 2026-03-05; an offset is converted to UTC."""

    name = "timestamp"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            instant = datetime.fromisoformat(str(value).strip())
        except ValueError:
            self.fail(f"{value!r} is not a timestamp such as 2026-03-05T10:05", param, ctx)
        if instant.year < EARLIEST:  # a window from there on has hundreds of thousands of days to be looked at
            self.fail(f"{value!r} lies before {EARLIEST}: is the year mistyped?", param, ctx)
        return instant.astimezone(UTC).replace(tzinfo=None) if instant.tzinfo else instant


def has_been(ctx: click.Context, param: click.Parameter, instant: datetime | None) -> datetime | None:
    """Refuse an instant to come that somebody typed; a callback of options.

    A mistyped year would call hours complete that sources still write, keep every later run from acting before it,
    give up what retention keeps, and say what was known of days that nobody knows. Simulated time is said by the
    environment.

    Raises:
        click.UsageError: it lies after the time of day, and after simulated time.
    """
    typed = param.name is not None and ctx.get_parameter_source(param.name) is ParameterSource.COMMANDLINE
    if instant is None or not typed:
        return instant
    simulated = os.environ.get(SIMULATED)
    now = max(utc_now(), Instant().convert(simulated, param, ctx)) if simulated else utc_now()
    if instant > now + CLOCKS_DIFFER:
        raise click.UsageError(
            f"{param.opts[0]} {instant:%Y-%m-%d %H:%M} lies in the future: it is {now:%Y-%m-%d %H:%M} UTC. A simulation"
            f" of days to come sets {SIMULATED}",
            ctx,
        )
    return instant


as_of_option = click.option(
    "--as-of",
    type=Instant(),
    envvar=SIMULATED,
    callback=has_been,
    help=f"Act as if it were this UTC instant, which must have been (default: now, or {SIMULATED}).",
)

as_published_option = click.option(
    "--as-published",
    type=Instant(),
    callback=has_been,
    help="What was known and shown at this UTC instant of the past.",
)


def window_of(start: datetime, end: datetime, as_of: datetime) -> Window:
    """The window that --from and --to name.

    Raises:
        click.UsageError: it is empty, or nothing of it has happened yet.
    """
    from ingestion.loading.context import Window

    if end <= start:
        raise click.UsageError("--to must be later than --from")
    if start >= as_of:
        raise click.UsageError(f"--from lies in the future: it is {as_of:%Y-%m-%d %H:%M} UTC")
    return Window(start, end)
