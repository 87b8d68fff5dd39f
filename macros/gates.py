"""What every gate is: ``gate(area, ...)`` registers the model, and is all that a file of models/gate says.

It stands in this folder, which SQLMesh loads before the models: a model keeps the source of a function of the project
and what that refers to, here the text of the checks and the thresholds that these checks use. So a changed check is a
reviewed change, and a gate runs as it was when it was promoted.
"""

import typing as t
from pathlib import Path

from sqlmesh import model
from sqlmesh.core.model.kind import ModelKindName

from insightmart.gate.candidates import Candidates, Hourly
from insightmart.gate.thresholds import read_checks, thresholds_of

PROJECT = Path(__file__).parents[1]


def gate(
    area: str,
    part: str | None = None,
    *,
    datasets: t.Dict[str, t.Tuple[str, str | None]],
    changed_since: t.Dict[str, t.Tuple[str, str]] | None = None,
    weeks_before: t.Dict[str, t.Tuple[str, str]] | None = None,
    days_before: t.Dict[str, t.Tuple[str, str, int]] | None = None,
    whole: t.Dict[str, str] | None = None,
    published: t.Dict[str, t.Tuple[str, str, t.Tuple[str, ...]]] | None = None,
    hourly: t.Dict[str, t.Tuple[str, str, str, t.Tuple[str, ...], str]] | None = None,
    sources: t.Tuple[str, ...] = (),
    whole_days: bool = False,
    checks: t.Tuple[str, ...] = (),
) -> None:
    """Register the gate of an area, or of one part of it.

    Args:
        area: subject area; its checks are soda/checks/AREA.yml.
        part: source within the area.
        datasets: name in the checks -> (model, column that holds its instant or date; None for the whole table).
        changed_since: name in the checks -> (model, column); cut to what changed since the window began.
        weeks_before: variable of the checks -> (model, column); the same window of each of the last 4 weeks.
        days_before: variable of the checks -> (model, column, days); so many days before the window.
        whole: variable of the checks -> model, all of it; for looking up keys.
        published: variable of the checks -> (certified table, instant column, columns): what another area has
            published, of the window and the day before it, read without waiting for it.
        hourly: name in the checks -> (model, column of its hour, certified table of the same rows, columns that make
            two rows the same, variable of the checks for all rows of the dates); of a whole date only the hours to be
            published and those not published as they are.
        sources: sources whose watermarks the window stands on.
        whole_days: widen the window to whole UTC dates.
        checks: further files of soda/checks.
    """
    text = read_checks(PROJECT, (area, *checks))
    looked_up = {*(whole or {}), *(weeks_before or {}), *(days_before or {}), *(published or {})}
    looked_up |= {all_rows for *_, all_rows in (hourly or {}).values()}
    told: t.Dict[str, t.Any] = {
        "area": area,
        "part": part,
        "checks": text,
        "variables": thresholds_of(PROJECT, text, looked_up),
        "datasets": datasets,
        "changed_since": changed_since or {},
        "weeks_before": weeks_before or {},
        "days_before": days_before or {},
        "whole": whole or {},
        "sources": sources,
        "whole_days": whole_days,
    }
    published_elsewhere = published or {}
    hourly_facts = hourly or {}

    def execute(context: t.Any, start: t.Any, end: t.Any, execution_time: t.Any, **kwargs: t.Any) -> t.Any:
        from insightmart.gate import Hourly, Published, scan_window

        return scan_window(
            context,
            start=start,
            end=end,
            execution_time=execution_time,
            published={name: Published(*stated) for name, stated in published_elsewhere.items()},
            hourly={name: Hourly(*stated) for name, stated in hourly_facts.items()},
            **told,
        )

    model(
        f"gate.{area}__{part}" if part else f"gate.{area}",
        kind={"name": ModelKindName.INCREMENTAL_BY_TIME_RANGE, "time_column": "window_start"},
        cron="@hourly",
        owner="data-engineering",
        grain=["window_start"],
        description=f"Soda scans of {area} candidates; a row is a window that passed; a failed critical check raises.",
        tags=[area],
        depends_on=Candidates(
            datasets,
            changed_since or {},
            weeks_before or {},
            days_before or {},
            whole or {},
            hourly={name: Hourly(*stated) for name, stated in hourly_facts.items()},
        ).models(),
        columns={
            "window_start": "timestamp_ntz",
            "window_end": "timestamp_ntz",
            "scan_id": "varchar",
            "checks_passed": "int",
            "checks_warned": "int",
            "scanned_at": "timestamp_ntz",
        },
    )(execute)
