"""What the pipeline can carry: how long each part takes at more orders, and at how many it breaks.

Of docs/capacity.md the tables come from here, so that the page and the model agree.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from insightmart.account.account_parameters import AccountParameters
from insightmart.costs.hourly_work import SECONDS, build_core_seconds, hour_of_work
from insightmart.costs.measurements import Measurement, figures
from insightmart.costs.price_table import Size, WarehouseCredits

PAGE = Path("docs/capacity.md")
VOLUMES = (250_000_000, 1_000_000_000, 10_000_000_000)  # orders; the first one is the design's
PATIENCE = 72  # hours that a first load may take: a weekend
UNLOADED_ON: Size = "XLARGE"  # size of LOAD while files are copied that the source has unloaded

_Figures = Mapping[str, float]


@dataclass(frozen=True)
class CapacityPart:
    """A part of the work, whose need grows with the volume: as ``at(1)`` for the design's, in a straight line.

    Attributes:
        name: what is done, and by what.
        rate: what that stands on, in words.
        unit: ``h``, ``s``, ``GB``.
        at: the need at a multiple of the design's volume.
        limit: how much there is.
    """

    name: str
    rate: str
    unit: str
    at: Callable[[float], float]
    limit: float

    @property
    def breaks_at(self) -> float | None:
        """Orders at which the limit is reached; None where the volume does not matter."""
        fixed = self.at(0)
        growth = self.at(1) - fixed
        return VOLUMES[0] * (self.limit - fixed) / growth if growth > 1e-9 else None


def hourly_parts(f: _Figures, account: AccountParameters, credits: WarehouseCredits) -> list[CapacityPart]:
    """An hour's cycle, part by part, and all of it, in seconds; memory and disk of its task."""

    def work(part: str) -> Callable[[float], float]:
        return lambda times: float(getattr(hour_of_work(f, account, credits, times), part))

    sizes = {name: warehouse.size for name, warehouse in account.warehouses.items()}
    hour, limit = f["hour_mb"], f["cycle_limit_seconds"]
    return [
        CapacityPart(
            "read and typed, one process",
            f"{hour:,.0f} MB in {f['hour_load_seconds']:.1f} s, here; {f['task_slower']:g} times that on a task",
            "s",
            work("extract"),
            limit,
        ),
        CapacityPart("uploaded by the task", f"{f['upload_mb_a_second']:g} MB/s, assumed", "s", work("upload"), limit),
        CapacityPart(
            f"COPY on LOAD, {sizes['LOAD']}",
            f"{f['copy_mb_a_second']:g} MB/s a core, assumed",
            "s",
            work("copy"),
            limit,
        ),
        CapacityPart(
            "statements",
            f"{f['load_statements'] + f['build_statements']:.0f}, counted; {f['statement_seconds']:g} s each, assumed",
            "s",
            lambda _: (f["load_statements"] + f["build_statements"]) * f["statement_seconds"],
            limit,
        ),
        CapacityPart(
            f"models on TRANSFORM, {sizes['TRANSFORM']}, with statements",
            f"{build_core_seconds(f, f['hour_orders']):,.0f} core s of DuckDB an hour; "
            f"{f['slower_than_duckdb']:g} times that, assumed",
            "s",
            work("models"),
            limit,
        ),
        CapacityPart(
            f"gates on GATE, {sizes['GATE']}, with statements",
            f"{f['gate_share']:.0%} of that work, assumed",
            "s",
            work("gate"),
            limit,
        ),
        CapacityPart("the cycle", "all of it, one after the other", "s", work("cycle"), limit),
        CapacityPart(
            "memory of the task",
            f"{f['load_peak_mb']:,.0f} MB; if it grew with the hour, which nobody has tried",
            "GB",
            lambda times: f["load_peak_mb"] * times / 1000,
            f["task_gb"],
        ),
        CapacityPart(
            "disk of the task",
            f"files of the hour, {f['stored_share']:.0%} of their source, assumed",
            "GB",
            lambda times: hour * times * f["stored_share"] / 1000,
            f["task_disk_gb"],
        ),
    ]


def first_load_parts(f: _Figures, account: AccountParameters, credits: WarehouseCredits) -> list[CapacityPart]:
    """A first load of all history, part by part, in hours. They follow one another, but for reading and uploading."""
    slower = f["task_slower"]
    oltp = f["orders"] * f["oltp_mb"] / f["hour_orders"]  # MB, lines and refunds with their orders
    files = f["files_mb"] * 24 * f["raw_days"]
    shop = f["orders"] * f["shop_orders"] / f["hour_orders"]  # orders
    all_mb = oltp + files + shop * f["shop_mb"] / f["shop_orders"]
    cores = {name: credits.sizes[one.size] * f["cores_a_credit"] for name, one in account.warehouses.items()}
    working = cores["TRANSFORM"] * f["parallel"] / f["slower_than_duckdb"]
    of_orders = build_core_seconds(f, f["orders"]) / working
    of_files = build_core_seconds(f, f["hour_orders"]) * 24 * f["raw_days"] / working

    def part(name: str, rate: str, seconds: float) -> CapacityPart:
        return CapacityPart(name, rate, "h", lambda times: seconds * times / SECONDS, PATIENCE)

    sizes = {name: warehouse.size for name, warehouse in account.warehouses.items()}
    unloaded = credits.sizes[UNLOADED_ON] * f["cores_a_credit"]
    return [
        part(
            "PostgreSQL, read and typed, one process",
            f"{f['oltp_mb_a_second']:g} MB/s here, orders alone {f['first_load_orders_a_second']:,.0f} a second; "
            f"{slower:g} times as long on a task",
            oltp / f["oltp_mb_a_second"] * slower,
        ),
        part(
            "store files of two years, one process",
            f"{f['files_backlog_mb_a_second']:g} MB/s here over a backlog; {slower:g} times as long on a task",
            files / f["files_backlog_mb_a_second"] * slower,
        ),
        part(
            "Shopify, bulk files, one process",
            f"{f['shop_orders_a_second']:,.0f} orders a second here; Shopify's own pace is not known",
            shop / f["shop_orders_a_second"] * slower,
        ),
        part(
            "all of it uploaded by one task",
            f"{f['upload_mb_a_second']:g} MB/s, assumed",
            all_mb * f["stored_share"] / f["upload_mb_a_second"],
        ),
        part(
            f"COPY on LOAD, {sizes['LOAD']}",
            f"{f['copy_mb_a_second']:g} MB/s a core, assumed",
            all_mb * f["stored_share"] / (f["copy_mb_a_second"] * cores["LOAD"]),
        ),
        part(
            f"models and gates of the orders, {sizes['TRANSFORM']}",
            f"{build_core_seconds(f, 1_000_000):,.0f} core s of DuckDB a million orders; "
            f"{f['slower_than_duckdb']:g} times that, assumed",
            of_orders,
        ),
        part(
            f"models and gates, if stock of two years comes along, {sizes['TRANSFORM']}",
            "at most the work of as many hours of the design",
            of_files,
        ),
        part(
            f"instead: COPY of files that the sources unloaded to S3, LOAD at {UNLOADED_ON}",
            f"{f['copy_mb_a_second']:g} MB/s a core, assumed; nothing through one process",
            all_mb * f["stored_share"] / (f["copy_mb_a_second"] * unloaded),
        ),
    ]


def capacity_tables(measured: Mapping[str, Measurement], account: AccountParameters, credits: WarehouseCredits) -> str:
    """Both tables of the page, as Markdown."""
    f = figures(measured)
    hourly, first = hourly_parts(f, account, credits), first_load_parts(f, account, credits)
    sections = [
        f"### Every hour\n\nSeconds, and GB of the task. A cycle is stopped after {f['cycle_limit_seconds']:,.0f} s.",
        _markdown(hourly),
        _first_to_break(hourly),
        f"### First load\n\nHours, against a weekend of {PATIENCE}.",
        _markdown(first),
        _first_to_break(first[:-1]),
        _first_load_price(first, account, credits),
    ]
    return "\n\n".join(sections) + "\n"


def _markdown(parts: Sequence[CapacityPart]) -> str:
    header = ["Part", "What it stands on", *map(_orders, VOLUMES), "Limit", "Breaks at"]
    rows = [
        [
            part.name,
            part.rate,
            *(_needed(part, volume / VOLUMES[0]) for volume in VOLUMES),
            f"{part.limit:,.0f} {part.unit}",
            _orders(part.breaks_at) if part.breaks_at else "",
        ]
        for part in parts
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in [header, ["---"] * len(header), *rows])


def _needed(part: CapacityPart, times: float) -> str:
    need = part.at(times)
    text = f"{need:,.1f}" if need < 100 else f"{need:,.0f}"
    return f"**{text}**" if need > part.limit else text


def _orders(count: float) -> str:
    return f"{count / 1e9:,.1f}B" if count >= 1e9 else f"{count / 1e6:,.0f}M"


def _first_load_price(first: Sequence[CapacityPart], account: AccountParameters, credits: WarehouseCredits) -> str:
    """Once, in dollars: LOAD is awake while the one process reads and sends, TRANSFORM while it builds."""
    an_hour = {name: credits.sizes[one.size] * account.budget.usd_a_credit for name, one in account.warehouses.items()}
    *loading, orders, stock, _ = first
    prices = [
        f"{sum(part.at(times) for part in loading) * an_hour['LOAD'] + orders.at(times) * an_hour['TRANSFORM']:,.0f}"
        for times in (volume / VOLUMES[0] for volume in VOLUMES)
    ]
    return (
        f"It costs {', '.join(prices[:-1])} and {prices[-1]} USD of credits, once; stock of two years"
        f" {stock.at(1) * an_hour['TRANSFORM']:,.0f} USD more at the first of these volumes."
    )


def _first_to_break(parts: Sequence[CapacityPart]) -> str:
    weakest = min((part for part in parts if part.breaks_at), key=lambda part: part.breaks_at or 0)
    return f"First to break: **{weakest.name}**, at {_orders(weakest.breaks_at or 0)} orders."
