"""Warehouses for the tests: one made of a few rows by hand, one built by the real SQLMesh project."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import ingestion  # noqa: F401  keeps SQLMesh from calling home; before it is imported
from ingestion.warehouse import Warehouse, open_duckdb
from insightmart.settings import PROJECT, Settings

if TYPE_CHECKING:
    from sqlmesh import Context

from tests.ingestion.conftest import aws, drops, endpoint  # noqa: F401 fixtures
from tests.support.built_homes import SHAPE, copy_home, new_home, once_a_run, project_in, set_up_home_of
from tests.support.built_warehouse import fill
from tests.support.handmade_warehouse import START, Business
from tests.support.workshop import CommandLine, Workshop, copy_project


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of a home of its own, without any source or mail server; also what commands read."""
    for name in (
        "OLTP_DSN",
        "STORES_URL",
        "SHOPIFY_URL",
        "SHOPIFY_TOKEN",
        "SMTP_URL",
        "REPORT_TO",
        "INSIGHTMART_AS_OF",
    ):
        monkeypatch.delenv(name, raising=False)
    for name, value in {**SHAPE, "INSIGHTMART_HOME": str(tmp_path), "INSIGHTMART_GATEWAY": "local"}.items():
        monkeypatch.setenv(name, value)
    return Settings(home=tmp_path, start=START, timezone="America/New_York", _env_file=None)  # type: ignore[call-arg]


@pytest.fixture
def business(settings: Settings) -> Iterator[Business]:
    """A warehouse in which everything is certified, made by hand."""
    with open_duckdb(settings.database_path) as warehouse:
        yield Business(warehouse)


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Context]:
    """The project of the files, on a home of its own."""
    from sqlmesh import Context

    home = new_home(tmp_path_factory, tmp_path_factory.mktemp("home"))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**SHAPE, "INSIGHTMART_HOME": str(home), "INSIGHTMART_GATEWAY": "local"}.items():
            patch.setenv(name, value)
        context = Context(paths=str(PROJECT))
    yield context
    context.close()


@pytest.fixture(scope="session")
def set_up_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which the real project has been set up, without any data: to be copied."""
    return set_up_home_of(tmp_path_factory)


@pytest.fixture(scope="session")
def built_home(set_up_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose warehouse the real project has built from raw rows written by hand, certified through 10:00."""

    def build(home: Path) -> None:
        copy_home(set_up_home, home)
        with project_in(home, SHAPE) as (warehouse, transformer):
            fill(warehouse)
            outcome = transformer.run(datetime(2026, 3, 6, 10, 5))
            assert outcome.failures == {}
            warehouse.execute("CHECKPOINT")

    return once_a_run(tmp_path_factory, "built", build)


@pytest.fixture
def built(built_home: Path, settings: Settings) -> Iterator[Warehouse]:
    """A copy of the built warehouse that a test may spoil."""
    shutil.copy(built_home / "INSIGHTMART.duckdb", settings.database_path)
    with open_duckdb(settings.database_path) as warehouse:
        yield warehouse


@pytest.fixture
def workshop(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Path, Path | None], Workshop]:
    """``workshop(home, project)``: copies of a home and of a project's files (None: the repository's) for one test.

    The commands use them.
    """

    def make(home: Path, project: Path | None = None) -> Workshop:
        copy_home(home, settings.home)
        if project is None:
            copy_project(tmp_path / "project")
        else:
            shutil.copytree(project, tmp_path / "project")
        monkeypatch.setattr("insightmart.transform.transformer.PROJECT", tmp_path / "project")
        return Workshop(settings.home, tmp_path / "project")

    return make


@pytest.fixture(scope="session")
def dev_built(built_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """A change built in the environment dev: every order is charged one dollar more for shipping, and in all."""

    def build(root: Path) -> None:
        copy_home(built_home, root / "home")
        shop = Workshop(root / "home", copy_project(root / "project"))
        orders = "models/core/fct_orders__source.sql"
        shop.edit(orders, "COALESCE(o.shipping_amount, 0)", "COALESCE(o.shipping_amount, 0) + 1")
        shop.edit(orders, "    o.total_amount,\n", "    o.total_amount + 1 AS total_amount,\n")
        with pytest.MonkeyPatch.context() as patch:
            for name, value in {**SHAPE, "INSIGHTMART_HOME": str(shop.home), "INSIGHTMART_GATEWAY": "local"}.items():
                patch.setenv(name, value)
            shop.plan("dev")

    root = once_a_run(tmp_path_factory, "dev", build)
    return Workshop(root / "home", root / "project")


@pytest.fixture
def insightmart(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    """The command line."""
    return CommandLine(monkeypatch, capsys)
