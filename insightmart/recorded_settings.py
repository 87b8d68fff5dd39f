"""Settings that shape figures: a warehouse keeps those it was set up with, and nothing goes on with other ones."""

from __future__ import annotations

from collections.abc import Mapping

from ingestion.clock import utc_now
from ingestion.warehouse import Warehouse
from insightmart.errors import ConfigurationError
from insightmart.settings import Settings


def figure_settings(settings: Settings) -> dict[str, str]:
    """The settings that decide what a figure is, by the name of their variable."""
    return {
        "INSIGHTMART_START": settings.start.isoformat(),
        "INSIGHTMART_CURRENCY": settings.currency,
        "INSIGHTMART_TIMEZONE": settings.timezone,
    }


def keep_or_refuse(warehouse: Warehouse, settings: Settings) -> None:
    """Record the settings of a warehouse that has none yet (its ops tables exist); refuse to go on with other ones.

    Raises:
        ConfigurationError: the warehouse was set up with other ones.
    """
    recorded = dict(warehouse.rows("SELECT name, value FROM ops.settings"))
    refuse_other(recorded, settings)
    missing = {name: value for name, value in figure_settings(settings).items() if name not in recorded}
    now = utc_now()
    warehouse.insert(
        "ops.settings", [{"name": name, "value": value, "recorded_at": now} for name, value in missing.items()]
    )


def refuse_recorded_others(warehouse: Warehouse, settings: Settings) -> None:
    """The same for a command that only reads: it records nothing, and a warehouse without a record passes.

    Raises:
        ConfigurationError: the warehouse was set up with other settings.
    """
    if warehouse.value(
        "SELECT COUNT(*) FROM information_schema.tables"
        " WHERE table_schema IN ('OPS', 'ops') AND table_name IN ('SETTINGS', 'settings')"
    ):
        refuse_other(dict(warehouse.rows("SELECT name, value FROM ops.settings")), settings)


def refuse_other(recorded: Mapping[str, str], settings: Settings) -> None:
    """Compare with what a warehouse recorded.

    The recorded value is not taken in place of a variable that is not set: plain `sqlmesh` reads the environment, and
    two commands in one shell must not see two projects.

    Raises:
        ConfigurationError: names every setting that differs, what is recorded, what is set, and the lines that mend it.
    """
    current = figure_settings(settings)
    other = {name: value for name, value in recorded.items() if current.get(name, value) != value}
    if not other:
        return
    differing = ", ".join(f"{name} is {current[name]}, not {value}" for name, value in sorted(other.items()))
    exports = " ".join(f"{name}={value}" for name, value in sorted(other.items()))
    raise ConfigurationError(
        f"{differing}, with which this warehouse was set up: its figures would be others",
        f"Run `export {exports}`, or name another warehouse with INSIGHTMART_HOME",
    )
