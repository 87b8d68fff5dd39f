"""What a restatement would rebuild: windows, models, the rows they hold there, and an estimate of what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ingestion.warehouse import Warehouse
from insightmart.console_tables import print_table
from insightmart.settings import Settings
from insightmart.transform.model_graph import PROD, with_steps
from insightmart.transform.transformer import Transformer

if TYPE_CHECKING:
    from sqlmesh.core.model import Model

HOUR = timedelta(hours=1)

# Credits a running Snowflake warehouse of a size costs in an hour (Snowflake's consumption table, standard warehouses).
CREDITS_AN_HOUR = {
    "X-Small": 1,
    "Small": 2,
    "Medium": 4,
    "Large": 8,
    "X-Large": 16,
    "2X-Large": 32,
    "3X-Large": 64,
    "4X-Large": 128,
    "5X-Large": 256,
    "6X-Large": 512,
}


@dataclass(frozen=True)
class ModelPreview:
    """One model of a restatement.

    Attributes:
        model: its name.
        why: why it is rebuilt.
        intervals: how many of its intervals are rebuilt; None for a view and for a table that is rebuilt as a whole.
        rows: rows it has in the window now; None where rows have no time.
        seconds: estimate, from ``evaluations`` recorded ones; None when it has never been recorded.
        evaluations: how many evaluations of it are in ops.run_intervals.
    """

    model: str
    why: str
    intervals: int | None
    rows: int | None
    seconds: Decimal | None
    evaluations: int


@dataclass(frozen=True)
class Preview:
    """A restatement before it is applied. Instants are UTC; ``credits`` is None on DuckDB or when not known."""

    model: str
    start: datetime
    end: datetime
    gateway: str
    models: list[ModelPreview]
    credits: Decimal | None

    @property
    def hours(self) -> int:
        """Hours in the window."""
        return int((self.end - self.start) / HOUR)

    @property
    def seconds(self) -> Decimal:
        """Estimate of the work, over all models with a record."""
        return sum((model.seconds for model in self.models if model.seconds is not None), Decimal(0))

    @property
    def basis(self) -> str:
        """What the estimate is made of, in words."""
        known = sum(model.evaluations for model in self.models)
        if not known:
            return "no estimate: ops.run_intervals has no evaluation of these models yet"
        spent = f", {self.credits} credits" if self.credits is not None else ""
        return (
            f"estimate: {self.seconds:.1f} s of work{spent}, from {known} evaluations in ops.run_intervals"
            " (the mean of each model, more where the window is longer); models run side by side where they can"
        )

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "model": self.model,
            "from": self.start.isoformat(),
            "to": self.end.isoformat(),
            "hours": self.hours,
            "gateway": self.gateway,
            "models": [asdict(model) for model in self.models],
            "estimate": {"seconds": self.seconds, "credits": self.credits, "basis": self.basis},
            "applied": False,
        }


def preview_restatement(
    warehouse: Warehouse, settings: Settings, transformer: Transformer, model: str, start: datetime, end: datetime
) -> Preview:
    """What restating these whole hours of a model rebuilds. Reads prod, changes nothing."""
    asked = with_steps(transformer.context, model)
    names = transformer.downstream(asked)
    found = {name: transformer.context.models[transformer.models()[name]] for name in names}
    rows = _rows_in_window(warehouse, transformer, found, start, end)
    record = _recorded_seconds(warehouse, start, end)
    models = []
    for name, node in found.items():
        seconds, evaluations = record.get(name, (None, 0))
        unit = node.interval_unit if node.time_column is not None else None
        models.append(
            ModelPreview(
                model=name,
                why="asked for" if name == model else "a step it is made of" if name in asked else _why(node),
                intervals=-(-(end - start) // timedelta(seconds=unit.seconds)) if unit else None,
                rows=rows.get(name),
                seconds=None if node.kind.is_view else seconds,
                evaluations=0 if node.kind.is_view else evaluations,
            )
        )
    work = sum((m.seconds for m in models if m.seconds is not None), Decimal(0))
    return Preview(model, start, end, settings.gateway, models, _credits(warehouse, settings, work))


def _why(node: Model) -> str:
    if node.kind.is_view:
        return "a view, shows it"
    return "scans it before it is published" if node.is_python else "reads it"


def _rows_in_window(
    warehouse: Warehouse, transformer: Transformer, models: dict[str, Model], start: datetime, end: datetime
) -> dict[str, int]:
    """Rows that prod has in the window now, per model whose rows have a time; in one statement."""
    environment = transformer.context.state_reader.get_environment(PROD)
    built = {snapshot.name: snapshot for snapshot in environment.snapshots} if environment else {}
    counts, params = [], []
    for name, model in models.items():
        if model.time_column is None or environment is None or model.fqn not in built:
            continue
        view = built[model.fqn].qualified_view_name.for_environment(environment.naming_info, dialect=model.dialect)
        column = model.time_column.column.sql(dialect=model.dialect, identify=True)
        kind = (model.columns_to_types or {}).get(model.time_column.column.name)
        whole_dates = kind is not None and kind.is_type("date")
        cut = (
            f"{column} BETWEEN CAST(? AS DATE) AND CAST(? AS DATE)"
            if whole_dates
            else f"{column} >= ? AND {column} < ?"
        )
        counts.append(f"SELECT '{name}', COUNT(*) FROM {view} WHERE {cut}")
        params += [start, end - timedelta(microseconds=1) if whole_dates else end]
    return dict(warehouse.rows(" UNION ALL ".join(counts), params)) if counts else {}


def _recorded_seconds(warehouse: Warehouse, start: datetime, end: datetime) -> dict[str, tuple[Decimal, int]]:
    """Per model the seconds an evaluation of the window should take, and from how many recorded ones."""
    rows = warehouse.rows(
        "SELECT model, COUNT(*), CAST(AVG(seconds) AS DECIMAL(18, 3)),"
        " CAST(AVG(DATEDIFF('second', interval_start, interval_end)) AS DECIMAL(18, 0))"
        " FROM ops.run_intervals WHERE status = 'evaluated' AND seconds IS NOT NULL GROUP BY model"
    )
    wanted = Decimal(int((end - start).total_seconds()))
    return {
        model: (Decimal(mean) * max(Decimal(1), wanted / max(Decimal(window), Decimal(1))), int(evaluations))
        for model, evaluations, mean, window in rows
    }


def _credits(warehouse: Warehouse, settings: Settings, seconds: Decimal) -> Decimal | None:
    """What that much work costs on the configured Snowflake warehouse at its present size."""
    if warehouse.dialect != "snowflake":
        return None
    named = settings.snowflake_warehouse.upper()
    sizes = {str(row["name"]).upper(): str(row["size"]) for row in warehouse.records("SHOW WAREHOUSES")}
    rate = CREDITS_AN_HOUR.get(sizes.get(named, ""))
    return (seconds * rate / 3600).quantize(Decimal("0.0001")) if rate else None


def print_preview(preview: Preview) -> None:
    """Show a restatement on standard output."""
    rows: Sequence[Sequence[Any]] = [
        [m.model, m.why, m.intervals, m.rows, None if m.seconds is None else m.seconds.quantize(Decimal("0.01"))]
        for m in preview.models
    ]
    print_table(
        f"Restatement of {preview.start:%Y-%m-%d %H:%M} to {preview.end:%Y-%m-%d %H:%M} UTC"
        f" ({preview.hours} hours, {preview.gateway})",
        ["Model", "Why", "Intervals>", "Rows now>", "Seconds, about>"],
        rows,
        preview.basis,
    )
