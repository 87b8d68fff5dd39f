"""What several commands take: instants, windows, and the clock to act by."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ingestion.loading.context import Window


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
        return instant.astimezone(UTC).replace(tzinfo=None) if instant.tzinfo else instant


as_of_option = click.option(
    "--as-of",
    type=Instant(),
    envvar="INSIGHTMART_AS_OF",
    help="Act as if it were this UTC instant (default: now, or INSIGHTMART_AS_OF).",
)

as_published_option = click.option(
    "--as-published", "as_published", type=Instant(), help="What was known and shown at this UTC instant of the past."
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
