"""A copy of the project that a test changes, plans and promotes, and the command line in this process."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ingestion.warehouse import Warehouse, open_duckdb

if TYPE_CHECKING:
    from sqlmesh import Context

REPOSITORY = Path(__file__).resolve().parents[2]
FILES = ("models", "macros", "signals", "audits", "seeds", "soda", "linter", "config.yaml", "external_models.yaml")
UNIT_TESTS = "tests/certified/test_fct_refunds.yaml"  # one is enough to see that they are run


class Workshop:
    """A home built by the real project and a copy of its files that a test may change: plan, then `insightmart`."""

    unit_tests = UNIT_TESTS

    def __init__(self, home: Path, project: Path) -> None:
        self.home = home
        self.project = project

    def colleague(self, project: Path) -> Workshop:
        """Somebody else on the same home, with the repository's own files."""
        return Workshop(self.home, copy_project(project))

    def edit(self, file: str, old: str, new: str) -> None:
        """Replace a text that must be there."""
        path = self.project / file
        text = path.read_text(encoding="utf-8")
        assert old in text, f"{file} does not say {old!r}"
        path.write_text(text.replace(old, new), encoding="utf-8")

    @contextmanager
    def context(self) -> Iterator[Context]:
        """SQLMesh as the plain command loads it."""
        from sqlmesh import Context
        from sqlmesh.core.console import NoopConsole, set_console

        set_console(NoopConsole())
        opened = Context(paths=str(self.project))
        try:
            yield opened
        finally:
            opened.close()

    def plan(self, environment: str, **options: Any) -> None:
        """What `sqlmesh plan ENVIRONMENT --auto-apply --no-prompts --skip-tests` does."""
        with self.context() as context:
            context.plan(environment, auto_apply=True, no_prompts=True, skip_tests=True, **options)

    @contextmanager
    def warehouse(self) -> Iterator[Warehouse]:
        """The warehouse, while nobody else has it."""
        with open_duckdb(self.home / "INSIGHTMART.duckdb") as opened:
            yield opened

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """What a query gives."""
        with self.warehouse() as warehouse:
            return warehouse.rows(sql)

    def certified(self) -> dict[str, list[tuple[Any, ...]]]:
        """Every certified table and its rows, in order."""
        with self.warehouse() as warehouse:
            names = warehouse.rows(
                "SELECT table_name FROM information_schema.tables WHERE table_schema = 'CERTIFIED' ORDER BY 1"
            )
            assert names
            return {name: warehouse.rows(f"SELECT * FROM certified.{name} ORDER BY ALL") for (name,) in names}


class CommandLine:
    """`insightmart` in this process: exit code, standard output and standard error of its console script."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.monkeypatch, self.capsys = monkeypatch, capsys

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        from insightmart.cli import main

        self.monkeypatch.setattr(sys, "argv", ["insightmart", *arguments])
        self.capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        said = self.capsys.readouterr()
        assert "Traceback" not in said.err + said.out
        return int(ended.value.code or 0), said.out, said.err

    def json(self, *arguments: str) -> dict[str, Any]:
        """What a successful command prints with --json."""
        code, out, err = self(*arguments, "--json")
        assert code == 0, err
        found: dict[str, Any] = json.loads(out)
        return found


def copy_project(to: Path) -> Path:
    """The files that SQLMesh reads, and one file of unit tests."""
    to.mkdir()
    for name in FILES:
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(source, to / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            shutil.copy(source, to / name)
    (to / UNIT_TESTS).parent.mkdir(parents=True)
    shutil.copy(REPOSITORY / UNIT_TESTS, to / UNIT_TESTS)
    return to
