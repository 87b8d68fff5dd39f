"""What is certified: the tables, and the parts of a subject area that pass a gate of their own.

The lists stand in datasets.yml, which ``make docs`` reads off the models (``certification.graph``): readers such as the
status page need not load the project for them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from ingestion.contracts import entity


@dataclass(frozen=True)
class Part:
    """What one gate publishes of a subject area.

    Attributes:
        area: subject area, for people.
        label: the part of it, for people; empty where the area has one part.
        gate: the gate's name within the schema ``gate``.
        inputs: ``source.entity`` names whose watermarks it waits for.
        corrected_by: (source, area) of the correction windows that restate it; None where it follows loads.
        models: the models of its area above and below its gate, and the gate: restating one by hand restates the part.
    """

    area: str
    label: str
    gate: str
    inputs: tuple[str, ...]
    corrected_by: tuple[str, str] | None = None
    models: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """For example ``sales (online)``."""
        return f"{self.area.lower()} ({self.label})" if self.label else self.area.lower()

    @property
    def is_hourly(self) -> bool:
        """Whether its sources are read every hour."""
        return all(entity(*name.split(".")).cadence == "hourly" for name in self.inputs)


@dataclass(frozen=True)
class Dataset:
    """A certified table: what it holds, and the gates it passes."""

    table: str
    meaning: str
    gates: tuple[str, ...]


@dataclass(frozen=True)
class Catalogue:
    """Everything that is certified, in the order it is shown."""

    parts: tuple[Part, ...]
    datasets: tuple[Dataset, ...]


@cache
def catalogue() -> Catalogue:
    """What datasets.yml says."""
    stated = yaml.safe_load(Path(__file__).with_name("datasets.yml").read_text(encoding="utf-8"))
    return Catalogue(
        tuple(
            Part(
                area=part["area"],
                label=part["label"],
                gate=part["gate"],
                inputs=tuple(part["inputs"]),
                corrected_by=tuple(part["corrected_by"]) if part["corrected_by"] else None,
                models=tuple(part["models"]),
            )
            for part in stated["parts"]
        ),
        tuple(Dataset(item["table"], item["meaning"], tuple(item["gates"])) for item in stated["datasets"]),
    )
