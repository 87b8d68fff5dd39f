"""Builds a part of a project from its files and writes what certified would hold of it: a program of its own.

It runs in the tree of another commit, with that commit's packages: so it imports nothing of this project, and asks
SQLMesh only. The answer is files of Parquet in a folder, and `built.json` beside them.

Request, JSON on standard input: ``project`` folder; ``schema`` of the environment; ``parts``: name of a certified part
-> list of windows (first and last instant, ISO 8601); ``table``: the certified table they are parts of; ``start``,
``end``, ``now``: instants; ``into``: folder.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ENVIRONMENT = "reproduction"


def main() -> None:
    """Read the request, build, write the answer."""
    asked = json.load(sys.stdin)
    from sqlmesh import Context

    context = Context(paths=[asked["project"]])
    models = {_short(name): model for name, model in context.models.items()}
    candidates = {part: _candidate(models, part) for part in asked["parts"]}
    context.plan(
        ENVIRONMENT,
        select_models=[f"+{name}" for name in candidates.values()],
        start=asked["start"],
        end=asked["end"],
        execution_time=asked["now"],
        auto_apply=True,
        no_prompts=True,
        skip_tests=True,
        skip_linter=True,
    )
    into = Path(asked["into"])
    for part, windows in asked["parts"].items():
        for place, (first, last) in enumerate(windows):
            query = models[f"certified.{part}"].render_query(start=first, end=last, execution_time=asked["now"])
            target = str(into / f"{part}.{place}.parquet").replace("'", "''")
            context.engine_adapter.execute(
                f"COPY ({_in_environment(query).sql(dialect='duckdb', comments=False)}) TO '{target}' (FORMAT PARQUET)"
            )
    view = models[f"certified.{asked['table']}"].render_query(
        start=asked["start"], end=asked["end"], execution_time=asked["now"]
    )
    fingerprints = {
        name: (snapshot.fingerprint.data_hash, snapshot.fingerprint.parent_data_hash)
        for name, snapshot in context.snapshots.items()
    }
    built = {"view": _without_catalog(view).sql(dialect="duckdb", comments=False), "fingerprints": fingerprints}
    (into / "built.json").write_text(json.dumps(built), encoding="utf-8")


def _short(name: str) -> str:
    return ".".join(part.strip('"') for part in name.split(".")[-2:]).lower()


def _candidate(models: dict[str, Any], part: str) -> str:
    """The model of core that a certified part is read from."""
    (candidate,) = (name for name in map(_short, models[f"certified.{part}"].depends_on) if name.startswith("core."))
    return candidate


def _in_environment(query: Any) -> Any:
    """A query on core that reads core as this environment has it."""
    from sqlglot import exp

    for table in query.find_all(exp.Table):
        if table.db:
            table.set("db", exp.to_identifier(f"{table.db.lower()}__{ENVIRONMENT}"))
            table.set("catalog", None)
    return query


def _without_catalog(query: Any) -> Any:
    from sqlglot import exp

    for table in query.find_all(exp.Table):
        if table.db:
            table.set("catalog", None)
    return query


if __name__ == "__main__":
    main()
