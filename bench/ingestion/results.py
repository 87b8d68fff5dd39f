"""Results: medians with their range, the ratio to the limit, the aims of the project beside them."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from bench.ingestion.costs import Cost

MEGABYTE = 1_000_000
MEMORY_AIM = 2_000 * MEGABYTE
PACKAGES = ("dlt", "duckdb", "pyarrow", "psycopg", "orjson")


@dataclass
class Measured:
    """One thing that was measured, with its limit.

    Attributes:
        name: what it is.
        amount: how many ``unit`` were worked on; for the rate.
        unit: ``MB`` or ``orders``.
        limit_name: what the limit is; empty where there is none.
        aim: as text, and what it applies to: ``ratio`` or ``seconds`` at most, ``rate`` at least; None: no aim.
        limits: cost of the limit, run by run.
        ours: cost of ours, run by run.
        loads: load average of the machine before each run of ours.
    """

    name: str
    amount: float
    unit: str
    limit_name: str = ""
    aim: tuple[str, float] | None = None
    limits: list[Cost] = field(default_factory=list)
    ours: list[Cost] = field(default_factory=list)
    loads: list[float] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return median(cost.seconds for cost in self.ours)

    @property
    def ratio(self) -> float | None:
        return self.seconds / median(cost.seconds for cost in self.limits) if self.limits else None

    @property
    def rate(self) -> float:
        """``unit`` a second."""
        return self.amount / self.seconds

    @property
    def peak_bytes(self) -> int:
        return max(cost.peak_bytes for cost in self.ours)

    @property
    def is_met(self) -> bool | None:
        """Whether the aim is reached; None: there is none."""
        if self.aim is None:
            return None
        kind, value = self.aim
        found = getattr(self, kind)
        return bool(found >= value if kind == "rate" else found <= value)

    def as_json(self) -> dict[str, Any]:
        """All figures, run by run, and what is made of them."""
        made = {"seconds": self.seconds, "ratio": self.ratio, "rate": self.rate, "is_met": self.is_met}
        return asdict(self) | made | {"peak_bytes": self.peak_bytes}


COLUMNS = ("Measured", "Amount>", "Limit s>", "Ours s>", "Ours/limit>", "Rate>", "CPU s>", "Peak MB>", "Aim", "Met")


def table_rows(measured: Sequence[Measured]) -> list[list[str]]:
    """A row of ``COLUMNS`` for each."""
    return [
        [
            item.name,
            _amount(item.amount, item.unit),
            _spread([cost.seconds for cost in item.limits]),
            _spread([cost.seconds for cost in item.ours]),
            "" if item.ratio is None else f"{item.ratio:.2f}",
            f"{_amount(item.rate, item.unit)}/s",
            f"{median(cost.cpu_seconds for cost in item.ours):.1f}",
            f"{item.peak_bytes / MEGABYTE:,.0f}",
            _aim(item),
            {True: "yes", False: "no", None: ""}[item.is_met],
        ]
        for item in measured
    ]


def machine() -> dict[str, Any]:
    """What the figures depend on beside our code."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(psutil.virtual_memory().total / 1e9),
        "processor": _processor(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
        "load_average": round(os.getloadavg()[0], 2),
    }


def _processor() -> str:
    names = re.findall(r"(?m)^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    return str(names[0]) if names else platform.machine()


def _amount(value: float, unit: str) -> str:
    return f"{value:,.0f} {unit}" if value >= 100 else f"{value:.1f} {unit}"


def _spread(values: Sequence[float]) -> str:
    if not values:
        return ""
    return f"{median(values):.2f} ({min(values):.2f}-{max(values):.2f})"


def _aim(item: Measured) -> str:
    if item.aim is None:
        return ""
    kind, value = item.aim
    return {
        "ratio": f"<= {value} x limit",
        "seconds": f"< {value:.0f} s",
        "rate": f">= {value:,.0f} {item.unit}/s",
    }[kind]
