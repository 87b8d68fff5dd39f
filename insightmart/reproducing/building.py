"""Builds the models of a commit in a process of its own, out of what was copied for it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from insightmart.errors import InsightMartError
from insightmart.recorded_settings import figure_settings
from insightmart.reproducing import rebuild
from insightmart.reproducing.code_of_then import Tree
from insightmart.reproducing.past import Cut
from insightmart.reproducing.past_figures import PastFigures
from insightmart.settings import Settings

TIMEOUT = 6 * 3600  # seconds that a computation may take
_KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "TMPDIR", "TZ", "SYSTEMROOT")  # no secret is handed on


@dataclass(frozen=True)
class Built:
    """What was built.

    Attributes:
        view: the query of the certified table on its parts, in DuckDB's dialect.
        fingerprints: SQLMesh's name of a model -> hashes of what it does and of what it reads.
        files: certified part -> files of Parquet with its rows.
    """

    view: str
    fingerprints: Mapping[str, tuple[str, str]]
    files: Mapping[str, list[Path]]


def build(settings: Settings, home: Path, tree: Tree, cut: Cut, asked: PastFigures) -> Built:
    """Build what the windows of a cut need.

    Args:
        settings: of this project: what figures are shaped by.
        home: a folder with the warehouse that has the raw rows of then.
        tree: the code.
        cut: the windows.
        asked: what is asked for.

    Raises:
        InsightMartError: SQLMesh cannot build it.
    """
    into = home / "answer"
    into.mkdir()
    if tree.is_this:
        _share_cache(settings.home, home)
    names = {part: part for part in cut.windows}
    if asked.fact:
        names = {fact_part: part for fact_part, part in asked.fact.parts.items() if part in cut.windows}
    through = max(end for windows in cut.windows.values() for _, end in windows)
    request = {
        "project": str(tree.folder),
        "parts": {
            name: [(start.isoformat(), _last(end).isoformat()) for start, end in cut.windows[part]]
            for name, part in names.items()
        },
        "table": asked.table,
        "start": settings.history_start.isoformat(),
        "end": _last(through).isoformat(),
        "now": max(cut.publication.published_at, through).isoformat(),
        "into": str(into),
    }
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    environment = {
        **kept,
        **figure_settings(settings),
        "SHOPIFY_POS_STORES": settings.shopify_pos_stores,
        "INSIGHTMART_GATEWAY": "local",
        "INSIGHTMART_HOME": str(home),
        "PYTHON_DOTENV_DISABLED": "1",
        "PYTHONPATH": str(tree.folder),
        "HOME": str(home),
    }
    script = home / "rebuild.py"
    shutil.copy(str(rebuild.__file__), script)
    try:
        done = subprocess.run(
            [str(tree.python), str(script)],
            input=json.dumps(request),
            cwd=home,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT,
        )
    except subprocess.TimeoutExpired:
        raise InsightMartError(
            f"the models of {tree.commit[:10]} were not built within {TIMEOUT // 3600} hours",
            "Ask for fewer dates with --where",
        ) from None
    if done.returncode or not (into / "built.json").exists():
        said = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        raise InsightMartError(
            f"the models of {tree.commit[:10]} cannot be built: {said[-1].strip() if said else 'no word'}",
            "Look at the commit in a checkout of its own; --commit names another one",
        )
    told = json.loads((into / "built.json").read_text(encoding="utf-8"))
    files = {name: sorted(into.glob(f"{name}.*.parquet")) for name in names}
    return Built(told["view"], {name: (one, other) for name, (one, other) in told["fingerprints"].items()}, files)


def _last(end: datetime) -> datetime:
    """The last instant of a window, as SQLMesh says it."""
    return end - datetime.resolution


def _share_cache(ours: Path, home: Path) -> None:
    """What this project has parsed before is parsed no second time: it is kept under the name of its content."""
    for name in ("model_definition", "optimized_query"):
        if (known := ours / "cache" / name).is_dir():
            (home / "cache").mkdir(exist_ok=True)
            shutil.copytree(known, home / "cache" / name)
