"""The repository's SQLMesh project, and small projects with its macros and signals, each on its own warehouse."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import ingestion  # noqa: F401  keeps SQLMesh from calling home; before it is imported
from insightmart.definitions.files import RULES
from tests.support.built_homes import new_home

if TYPE_CHECKING:
    from sqlmesh import Context

REPOSITORY = Path(__file__).parents[2]

CONFIG = """
gateways:
  local:
    connection: {{type: duckdb, database: '{home}/INSIGHTMART.duckdb'}}
    state_connection: {{type: duckdb, database: '{home}/state.duckdb'}}
cache_dir: '{home}/cache'
model_defaults: {{dialect: snowflake, start: '2026-03-05', cron: '@hourly'}}
before_all: ["@create_source_tables()"]
variables: {{history_start: '2026-03-05'}}
"""


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Context]:
    """The repository's project as the plain `sqlmesh` command loads it, with the settings' defaults."""
    from sqlmesh import Context

    with pytest.MonkeyPatch.context() as patch:
        for name in ("INSIGHTMART_GATEWAY", "INSIGHTMART_START", "INSIGHTMART_CURRENCY", "INSIGHTMART_TIMEZONE"):
            patch.delenv(name, raising=False)
        patch.setenv("INSIGHTMART_HOME", str(new_home(tmp_path_factory, tmp_path_factory.mktemp("home"))))
        context = Context(paths=str(REPOSITORY))
        yield context
        context.close()


@pytest.fixture
def small_project(tmp_path: Path) -> Iterator[Callable[..., Context]]:
    """``small_project(name=sql, ...)`` is a project of these models with the repository's macros and signals.

    Called again it loads the changed models on the same warehouse and state.
    """
    from sqlmesh import Context

    opened: list[Context] = []
    directory = tmp_path / "project"
    for folder in ("macros", "signals"):
        shutil.copytree(REPOSITORY / folder, directory / folder, ignore=shutil.ignore_patterns("__pycache__"))
    (directory / RULES).parent.mkdir(parents=True)
    for file in (RULES, "external_models.yaml"):  # the macros are made of the rules
        shutil.copy(REPOSITORY / file, directory / file)
    (directory / "config.yaml").write_text(CONFIG.format(home=tmp_path / "home"))
    (tmp_path / "home").mkdir()

    def load(**models: str) -> Context:
        for name, sql in models.items():
            (directory / "models" / f"{name}.sql").write_text(sql)
        while opened:
            opened.pop().close()
        opened.append(Context(paths=str(directory)))
        return opened[-1]

    yield load
    for context in opened:
        context.close()
