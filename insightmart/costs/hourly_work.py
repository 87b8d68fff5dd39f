"""How long an hour's work takes, and how long it keeps a warehouse awake: what cost and capacity both stand on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from insightmart.account.account_parameters import AccountParameters
from insightmart.costs.price_table import WarehouseCredits

SECONDS = 3600  # of an hour


@dataclass(frozen=True)
class HourOfWork:
    """Seconds of one hourly cycle.

    Attributes:
        extract: reading the sources, typing, in the one process.
        upload: files of the hour on their way to Snowflake.
        copy: COPY INTO.
        load: all of the loads, their statements included.
        models: models, corrections, reconciliation, reports, without the gates.
        gate: scans of the gates.
        awake: of each warehouse that a cycle uses, until it sleeps again; at most the hour.
    """

    extract: float
    upload: float
    copy: float
    load: float
    models: float
    gate: float
    awake: Mapping[str, float]

    @property
    def cycle(self) -> float:
        """From the first statement to the last."""
        return self.load + self.models + self.gate


def hour_of_work(
    f: Mapping[str, float], account: AccountParameters, credits: WarehouseCredits, times: float = 1
) -> HourOfWork:
    """An hour of ``times`` the design volume.

    Bytes and rows grow with the volume, statements do not. What DuckDB computed on its cores, Snowflake computes on
    those of a warehouse: slower by a factor that nobody has measured, on the share of the cores that a statement uses.

    Args:
        f: the figures of measured.yml.
        account: sizes of warehouses, and after how many seconds each sleeps.
        credits: credits an hour by size, which tell how many cores a warehouse has.
        times: the volume, as a multiple of the design's.
    """
    hours = f["raw_gb_a_day"] * 1000 / 24 / f["hour_mb"] * times  # of the benches
    cores = {
        name: credits.sizes[warehouse.size] * f["cores_a_credit"] for name, warehouse in account.warehouses.items()
    }
    packed = f["hour_mb"] * hours * f["stored_share"]
    extract = f["hour_load_seconds"] * f["task_slower"] * hours
    upload = packed / f["upload_mb_a_second"]
    copy = packed / (f["copy_mb_a_second"] * cores["LOAD"])
    load = extract + upload + copy + f["load_statements"] * f["statement_seconds"]

    core_seconds = build_core_seconds(f, hours * f["hour_orders"]) * (1 + f["corrected_hours"])
    gate = core_seconds * f["gate_share"] * f["slower_than_duckdb"] / (cores["GATE"] * f["parallel"])
    models = core_seconds * (1 - f["gate_share"]) * f["slower_than_duckdb"] / (cores["TRANSFORM"] * f["parallel"])
    gate += f["scan_statements"] * f["statement_seconds"]
    models += (f["build_statements"] - f["scan_statements"]) * f["statement_seconds"]
    models += f["fixed_core_seconds"] * f["task_slower"]
    gate, models = gate * f["build_times"], models * f["build_times"]

    sleeps = {name: warehouse.suspend_seconds for name, warehouse in account.warehouses.items()}
    awake = {
        "LOAD": load + sleeps["LOAD"],
        # the first look at the warehouse wakes it before the loads; through the gates it stays awake
        "TRANSFORM": models + gate + 2 * sleeps["TRANSFORM"],
        # a scan here and there: between two of them it may fall asleep
        "GATE": min(models + gate + sleeps["GATE"], gate + f["scans"] * sleeps["GATE"]),
    }
    bounded = {name: min(max(seconds, f["minimum_seconds"]), SECONDS) for name, seconds in awake.items()}
    return HourOfWork(extract, upload, copy, load, models, gate, bounded)


def build_core_seconds(f: Mapping[str, float], orders: float) -> float:
    """Core seconds that DuckDB takes for the models and gates of so many orders, what any hour costs left out."""
    return (f["build_core_seconds"] - f["fixed_core_seconds"]) / f["build_orders"] * orders
