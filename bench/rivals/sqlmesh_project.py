"""A plain SQLMesh project of our own models: the same files without gates, evidence and changes to the library."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from bench.rivals.own_models import LAYERS

if TYPE_CHECKING:
    from sqlmesh.core.config import Config

GATE = re.compile(r"  depends_on \(\s*gate\.[^)]*\),\n")
MACROS = ("__init__.py", "rules.py", "sql.py")  # the others are gates, patches and our own tables


def write_project(directory: Path, home: Path, own: Path, config: Config) -> None:
    """Write the project.

    Args:
        directory: new directory of the project.
        home: where its warehouse is, and where its state and cache go.
        own: our project.
        config: our project's configuration, of which it takes defaults and variables of the models.
    """
    for layer in LAYERS:
        shutil.copytree(own / "models" / layer, directory / "models" / layer, ignore=shutil.ignore_patterns("*.pyc"))
    for folder in ("audits", "signals"):
        shutil.copytree(own / folder, directory / folder, ignore=shutil.ignore_patterns("__pycache__"))
    (directory / "macros").mkdir()
    for name in MACROS:
        shutil.copy(own / "macros" / name, directory / "macros" / name)
    shutil.copy(own / "external_models.yaml", directory)
    for path in directory.glob("models/**/*.sql"):
        path.write_text(GATE.sub("", path.read_text(encoding="utf-8")), encoding="utf-8")
    (directory / "config.yaml").write_text(yaml.safe_dump(_configuration(home, config), sort_keys=False))


def _configuration(home: Path, config: Config) -> dict[str, object]:
    defaults = config.model_defaults
    return {
        "gateways": {
            "local": {
                "connection": {"type": "duckdb", "database": str(home / "INSIGHTMART.duckdb")},
                "state_connection": {"type": "duckdb", "database": str(home / "state.duckdb")},
            }
        },
        "default_gateway": "local",
        "disable_anonymized_analytics": True,
        "cache_dir": str(home / "cache"),
        "model_defaults": {
            "dialect": defaults.dialect,
            "start": str(defaults.start),
            "cron": str(defaults.cron),
            "owner": defaults.owner,
        },
        "variables": dict(config.variables),
    }
