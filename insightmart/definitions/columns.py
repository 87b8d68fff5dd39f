"""What the columns of the certified tables mean: words of their own in columns.yml, or those of their metric."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from insightmart.definitions.files import COLUMNS, METRICS, mistake, read_mapping
from insightmart.definitions.metrics import Metric, Ratio, read_metrics, read_ratios


@dataclass(frozen=True)
class Meanings:
    """What the columns of certified mean.

    Attributes:
        metrics: in the order of the file; those that stand in columns.
        ratios: those that do not.
        words: table or ``everywhere`` -> column -> meaning.
    """

    metrics: tuple[Metric, ...]
    ratios: tuple[Ratio, ...]
    words: Mapping[str, Mapping[str, str]]

    def of(self, table: str, column: str) -> str | None:
        """The meaning of a column of a certified table or of one of its parts; None where nobody has written it."""
        whole = table.split("__")[0]
        if own := self.words.get(whole, {}).get(column):
            return own
        for metric in self.metrics:
            if f"{whole}.{column}" in metric.columns:
                return metric.comment
        return self.words["everywhere"].get(column)

    def of_no_column(self, existing: Iterable[str]) -> list[str]:
        """What columns.yml explains though it is no ``table.column`` of ``existing``."""
        known = _of_whole_tables(existing)
        columns = {name.split(".")[1] for name in known}
        explained = [(table, column) for table, words in self.words.items() for column in words]
        return [
            f"{table}.{column}"
            for table, column in explained
            if (column not in columns if table == "everywhere" else f"{table}.{column}" not in known)
        ]

    def metrics_of_no_column(self, existing: Iterable[str]) -> list[str]:
        """What metrics.yml says to stand in, or to be made of, a column that is no ``table.column`` of ``existing``."""
        known = _of_whole_tables(existing)
        named = [*(one for m in self.metrics for one in m.columns), *(one for r in self.ratios for one in r.columns)]
        return [column for column in named if column not in known]


def _of_whole_tables(columns: Iterable[str]) -> set[str]:
    """``table.column`` with the name of the whole table in place of that of a part."""
    return {f"{table.split('__')[0]}.{column}" for table, column in (name.split(".") for name in columns)}


def read_meanings(project: Path) -> Meanings:
    """What metrics.yml and columns.yml of a project say.

    Raises:
        ConfigurationError: one of them cannot be read, or a meaning is no text.
    """
    words = {"everywhere": {}, **read_mapping(project / COLUMNS)}
    for table, meanings in words.items():
        if odd := [column for column, meaning in meanings.items() if not isinstance(meaning, str)]:
            raise mistake(project / COLUMNS, f"{table}.{odd[0]} has {meanings[odd[0]]!r} where a text belongs")
    return Meanings(read_metrics(project / METRICS), read_ratios(project / METRICS), words)
