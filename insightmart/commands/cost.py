"""`insightmart cost`: what a month costs, estimated or as it was metered, against the budget."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from ingestion.clock import as_of_or_now
from insightmart.account.account_parameters import PARAMETERS, read_parameters
from insightmart.commands.options import as_of_option
from insightmart.console_tables import print_table
from insightmart.costs.budget_watch import MonthForecast, credit_price, forecast_of_month
from insightmart.costs.estimate import CostEstimate, Sensitivity, estimate, sensitivities
from insightmart.costs.measurements import Measurement, read_measurements
from insightmart.costs.price_table import STORAGE, PriceTable, read_prices
from insightmart.costs.usage_history import UsageHistory, usage_history
from insightmart.errors import InsightMartError
from insightmart.gateway import open_to_read
from insightmart.settings import PROJECT, Settings, load_settings

HEAVIEST = 8  # assumptions that are told
MODELS = 25  # parts of the bill that are told
DOUBTS = (
    "Measured on DuckDB, computed for Snowflake: the first account replaces what is assumed (docs/capacity.md). Prices"
    " are before discounts and free tiers"
)


@click.command()
@click.option("--times", type=click.FloatRange(min=0, min_open=True), default=1.0, help="Times the design volume.")
@click.option(
    "--from-history", is_flag=True, help="Not estimated: what Snowflake metered, and a forecast of the month."
)
@click.option("--days", type=click.IntRange(1, 364), default=30, show_default=True, help="How many, of the history.")
@click.option(
    "--account",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Your copy of deploy/snowflake/account.yml: sizes, seconds until sleep.",
)
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Write all of it to a file.")
@as_of_option
def cost_command(
    times: float, from_history: bool, days: int, account: Path | None, json_file: Path | None, as_of: datetime | None
) -> None:
    """Tell what a month costs, line by line, against BUDGET_USD.

    Estimated: seconds, statements and bytes that the benches of this repository measured, for 15 GB of new raw data a
    day, 250 million orders, 40 million customers and 120 stores, an hourly cycle; warehouses as
    deploy/snowflake/account.yml has them, AWS as deploy/aws/cycle.yaml; prices of one dated table. `likely` is between
    the ends of what nobody has measured: `low` has all of it at its cheap end, `high` all at its dear end at once.

    With --from-history: credits by warehouse and day, by model and part of the work (by query tag), bytes by schema,
    and what this month will come to. The role needs SNOWFLAKE.USAGE_VIEWER and SNOWFLAKE.GOVERNANCE_VIEWER.

    \b
    Examples:
      insightmart cost
      insightmart cost --times 3 --json cost.json
      insightmart cost --from-history --days 7

    Exit codes: 0 done; 1 the account cannot be asked; 2 a file of prices or parameters cannot be used.
    """
    settings = load_settings()
    if from_history:
        with open_to_read(settings) as warehouse:
            now = as_of_or_now(as_of)
            history = usage_history(warehouse, settings, now, days)
            coming = forecast_of_month(warehouse, settings, now)
        _tell_history(history, coming, settings)
        found: Any = {"history": asdict(history), "forecast": coming and asdict(coming) | {"usd": coming.usd}}
    else:
        measured, prices = read_measurements(), read_prices()
        parameters = read_parameters(account or PROJECT / PARAMETERS, settings.snowflake_credit_usd)
        month = estimate(measured, prices, parameters, times)
        heaviest = sensitivities(measured, prices, parameters, times)
        _tell_lines(month, prices)
        _tell_budget(month, settings, measured["cycle_limit_seconds"].value)
        _tell_heaviest(heaviest, measured)
        found = _plain(month, heaviest, prices, settings)
    if json_file:
        try:
            json_file.write_text(json.dumps(found, indent=2, default=str) + "\n", encoding="utf-8")
        except OSError as error:
            raise InsightMartError(f"{json_file}: {error.strerror}", "Name a file that can be written") from None


def _tell_lines(month: CostEstimate, prices: PriceTable) -> None:
    rows = []
    for line, low, high in zip(month.likely, month.low, month.high, strict=True):
        unit = prices.units[line.price]
        doubt = "" if unit.verified else " (not verified)"
        rows.append(
            [line.part, line.what, f"{line.quantity:,.2f}", unit.unit, f"{line.each:g}{doubt}"]
            + [f"{one.usd:,.2f}" for one in (line, low, high)]
        )
    parts = list(dict.fromkeys(line.part for line in month.likely))
    for part in [*parts, ""]:
        totals = [f"{month.total(lines, part):,.0f}" for lines in (month.likely, month.low, month.high)]
        rows.append([part or "all", "together", "", "", "", *totals])
    print_table(
        f"A month at {month.times:g} times the design volume, US dollars",
        ["Part", "What", "Quantity>", "Unit", "Price>", "Likely>", "Low>", "High>"],
        rows,
        f"Prices of {prices.about.looked_up}, {prices.about.region} (insightmart/costs/prices.yml). {DOUBTS}",
    )


def _tell_budget(month: CostEstimate, settings: Settings, limit: float) -> None:
    likely, high = month.total(month.likely), month.total(month.high)
    stopped = ", but resource monitors suspend the warehouses before that" if high > settings.budget_usd else ""
    click.echo(
        f"Likely {likely:,.0f} USD a month, {likely / settings.budget_usd:.0%} of the budget of"
        f" {settings.budget_usd:,}; {high:,.0f} with every assumption at its dear end at once{stopped}"
    )
    seconds = month.cycle
    undone = ": at the dear end the hour's work is not done within the hour" if seconds["high"] > limit else ""
    click.echo(
        f"A cycle takes likely {seconds['value']:,.0f} s, {seconds['low']:,.0f} to {seconds['high']:,.0f}, and is"
        f" stopped after {limit:,.0f}{undone}"
    )


def _tell_heaviest(heaviest: list[Sensitivity], measured: Mapping[str, Measurement]) -> None:
    rows = []
    for one in heaviest[:HEAVIEST]:
        of = measured[one.name]
        ends = f"{of.low:g} to {of.high:g}" if of.kind == "assumed" else "twice as long"
        rows.append([f"{one.name}: {of.source}", f"{of.value:g}", ends, *_dollars(one), of.replaced_by])
    print_table(
        "What carries the most: the month if this alone were otherwise",
        ["Assumption", "Taken>", "Otherwise>", "From>", "To>", "What will tell"],
        rows,
    )


def _dollars(one: Sensitivity) -> list[str]:
    return [f"{usd:,.0f}" for usd in sorted((one.low, one.high))]


def _plain(month: CostEstimate, heaviest: list[Sensitivity], prices: PriceTable, settings: Settings) -> dict[str, Any]:
    ends = {"likely": month.likely, "low": month.low, "high": month.high}
    return {
        "times": month.times,
        "cycle_seconds": {"likely": month.cycle["value"], "low": month.cycle["low"], "high": month.cycle["high"]},
        "budget_usd": settings.budget_usd,
        "prices_of": prices.about.looked_up,
        "total_usd": {end: round(month.total(lines), 2) for end, lines in ends.items()},
        "lines": [
            {
                "part": line.part,
                "what": line.what,
                "quantity": line.quantity,
                "unit": prices.units[line.price].unit,
                "price_usd": line.each,
                "price_page": prices.units[line.price].page,
                "price_verified": prices.units[line.price].verified,
                "usd": {"likely": round(line.usd, 2), "low": round(low.usd, 2), "high": round(high.usd, 2)},
            }
            for line, low, high in zip(month.likely, month.low, month.high, strict=True)
        ],
        "sensitivity": [asdict(one) for one in heaviest],
    }


def _tell_history(history: UsageHistory, coming: MonthForecast | None, settings: Settings) -> None:
    each = credit_price(settings)
    by_warehouse: dict[str, float] = defaultdict(float)
    for _, name, credits in history.by_warehouse:
        by_warehouse[name] += credits
    print_table(
        f"Credits by warehouse and day, {history.since:%Y-%m-%d} to {history.until:%Y-%m-%d %H:%M} UTC",
        ["Day", "Warehouse", "Credits>", "USD>"],
        [
            *([day, name, f"{credits:,.2f}", f"{credits * each:,.2f}"] for day, name, credits in history.by_warehouse),
            *(["all", name, f"{credits:,.2f}", f"{credits * each:,.2f}"] for name, credits in by_warehouse.items()),
        ],
    )
    print_table(
        "Credits billed by service",
        ["Service", "Credits>", "USD>"],
        [[name, f"{credits:,.2f}", f"{credits * each:,.2f}"] for name, credits in history.by_service],
    )
    by_part: dict[str, float] = defaultdict(float)
    for part in history.parts:
        by_part[part.part] += part.credits
    print_table(
        "By part of the work, idle seconds of warehouses shared out",
        ["Part", "Credits>", "USD>"],
        [
            [name, f"{credits:,.2f}", f"{credits * each:,.2f}"]
            for name, credits in sorted(by_part.items(), key=lambda item: -item[1])
        ],
    )
    left = len(history.parts) - MODELS
    print_table(
        "By model",
        ["Model", "Command", "Warehouse", "Statements>", "Seconds>", "Credits>", "USD>"],
        [
            [
                part.model,
                part.command or "others",
                part.warehouse,
                part.statements,
                f"{part.seconds:,.0f}",
                f"{part.credits:,.2f}",
                f"{part.credits * each:,.2f}",
            ]
            for part in history.parts[:MODELS]
        ],
        f"{left} smaller ones are left out: --json has all" if left > 0 else "",
    )
    terabyte = read_prices().usd(STORAGE)
    print_table(
        "Stored now",
        ["Schema", "GB>", "Time Travel GB>", "Fail-safe and clones GB>", "USD a month>"],
        [
            [
                one.schema,
                *(f"{size / 1e9:,.1f}" for size in (one.active, one.travel, one.kept)),
                f"{(one.active + one.travel + one.kept) / 1e12 * terabyte:,.2f}",
            ]
            for one in history.stored
        ],
    )
    if coming is None:
        click.echo("No whole day has been metered yet: there is nothing to forecast by")
        return
    click.echo(
        f"{coming.month:%B %Y} will come to about {coming.usd:,.0f} USD, {coming.usd / settings.budget_usd:.0%} of the"
        f" budget of {settings.budget_usd:,}: {coming.spent:,.1f} credits in whole days so far, {coming.pace:,.1f} a"
        f" day, {coming.storing:,.0f} USD of storage. AWS is not in it"
    )
