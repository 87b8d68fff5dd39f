"""What the figures of the company mean, as models/certified/metrics.yml says."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

from insightmart.definitions.files import mistake, read_mapping


@dataclass(frozen=True)
class Metric:
    """A figure of the company; ``columns`` are those of certified where it stands, as ``table.column``."""

    name: str
    title: str
    meaning: str
    formula: str
    unit: str
    shopify: str
    caveats: tuple[str, ...]
    owner: str
    columns: tuple[str, ...]

    @property
    def comment(self) -> str:
        """What a column says that has no words of its own."""
        return f"{self.meaning}; unit: {self.unit}"


def read_metrics(path: Path) -> tuple[Metric, ...]:
    """The metrics in the order of the file.

    Raises:
        ConfigurationError: the file is no YAML, or a metric lacks or misspells something.
    """
    metrics = []
    wanted = {field.name for field in fields(Metric)} - {"name"}
    for name, stated in read_mapping(path).items():
        if stated.keys() != wanted:
            raise mistake(path, f"{name} lacks or has too much of: {', '.join(sorted(stated.keys() ^ wanted))}")
        if unlisted := [key for key in ("caveats", "columns") if not (stated[key] and isinstance(stated[key], list))]:
            raise mistake(path, f"{name} has {stated[unlisted[0]]!r} for {unlisted[0]}, where a list belongs")
        lists = {key: tuple(stated[key]) for key in ("caveats", "columns")}
        texts = [value for key, value in stated.items() if key not in lists] + [*lists["caveats"], *lists["columns"]]
        if odd := [text for text in texts if not isinstance(text, str)]:
            raise mistake(path, f"{name} has {odd[0]!r} where a text belongs; quote what has a colon in it")
        metrics.append(Metric(name=name, **{**stated, **lists}))
    return tuple(metrics)
