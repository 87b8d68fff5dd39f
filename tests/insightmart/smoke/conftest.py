"""The command, and an account for it to try."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from insightmart.cli import cli
from insightmart.smoke import corpus
from tests.support.snowflake_account import ACCOUNT


@pytest.fixture
def account(fake_account: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name, value in {**ACCOUNT, "INSIGHTMART_HOME": str(tmp_path / "home")}.items():
        monkeypatch.setenv(name, value)
    with fake_account(tmp_path / "stages") as session:
        yield session


@pytest.fixture
def few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Sequence[tuple[str, str]]], None]:
    """Puts a corpus in the place of the pipeline's own."""

    def put(statements: Sequence[tuple[str, str]]) -> None:
        file = tmp_path / "corpus" / "some.sql"
        file.parent.mkdir()
        file.write_text("".join(f"-- {origin}\n{text};\n\n" for origin, text in statements), encoding="utf-8")
        monkeypatch.setattr(corpus, "CORPUS", file.parent)

    return put


@pytest.fixture
def smoke() -> Callable[..., Result]:
    """Runs `insightmart smoke`."""
    return lambda *arguments: CliRunner().invoke(cli, ["smoke", *arguments], standalone_mode=False)


@pytest.fixture
def tried(smoke: Callable[..., Result], tmp_path: Path) -> Callable[..., dict[str, dict[str, Any]]]:
    """What came of each check."""

    def run(*arguments: str) -> dict[str, dict[str, Any]]:
        file = tmp_path / "smoke.json"
        result = smoke("--json", str(file), *arguments)
        if result.exception:
            raise result.exception
        found = {one["check"]: one for one in json.loads(file.read_text(encoding="utf-8"))}
        assert result.return_value == (0 if {one["verdict"] for one in found.values()} == {"held"} else 1)
        for one in found.values():
            assert one["check"] in result.stdout
        return found

    return run
