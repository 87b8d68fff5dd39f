"""What a home holds is for its owner; homes that were made without care are closed by the next command."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from insightmart.kept_private import close_home, keep_process_private, make_home
from insightmart.settings import PROJECT
from insightmart.status.page_file import replace_page
from tests.ingestion.conftest import Drops, aws, drops, endpoint  # noqa: F401 fixtures
from tests.insightmart.test_cli import process


@pytest.fixture(autouse=True)
def _careless() -> None:
    os.umask(0o022)


def modes(home: Path) -> dict[str, str]:
    """The mode of everything in a home that is not as private as can be: its name below the home -> octal."""
    found = {path: path.lstat().st_mode & 0o777 for path in (home, *home.rglob("*")) if not path.is_symlink()}
    return {
        path.relative_to(home).as_posix(): f"{mode:o}"
        for path, mode in found.items()
        if mode & 0o077 and path.name != ".gitignore"
    }


def test_what_a_load_leaves_is_for_its_owner_and_a_careless_home_is_closed(
    drops: Drops,  # noqa: F811
    endpoint: str,  # noqa: F811
    tmp_path: Path,
) -> None:
    home = tmp_path / "home"
    at = {"AWS_ENDPOINT_URL": endpoint, "STORES_URL": drops.source.url, "INSIGHTMART_START": "2026-03-05"}
    drops.inventory("2026-03-05T10", 1)
    drops.put("inventory/2026/03/05/10/store_002.csv", b"\x00\xff no file of a store \x00")  # its original is kept
    done = process(home, "ingest", "stores", "--as-of", "2026-03-05T12:00", **at)
    assert done.returncode == 0, done.stderr
    for name in ("INSIGHTMART.duckdb", "quarantine", "dlt", "readers", "writer.lock"):
        assert (home / name).exists(), name
    for_others = {".": "711", "readers": "750", "readers/INSIGHTMART.duckdb": "440"}
    assert modes(home) == for_others

    for path in home.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    home.chmod(0o755)
    assert process(home, "doctor", "home", **at).returncode == 0
    left = modes(home)
    assert left.pop(".") == "711"
    opened = {
        name for name in left if not any((home / name).is_relative_to(home / one) for one in ("readers", "status"))
    }
    # what lies in a closed folder nobody else comes to
    assert {name for name in opened if "/" not in name} == set()
    assert oct((home / "quarantine").stat().st_mode)[-3:] == "700"


def test_a_home_that_is_closed_altogether_stays_so_and_links_are_not_followed(tmp_path: Path) -> None:
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    make_home(home)
    assert home.stat().st_mode & 0o777 == 0o711
    home.chmod(0o700)
    elsewhere.mkdir(mode=0o755)
    elsewhere.chmod(0o755)
    (home / "cache").symlink_to(elsewhere)
    close_home(home)
    make_home(home)
    assert home.stat().st_mode & 0o777 == 0o700
    assert elsewhere.stat().st_mode & 0o777 == 0o755
    close_home(tmp_path / "none")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("imported", ["macros.patches", "insightmart.kept_private"])
def test_plain_sqlmesh_writes_for_its_owner_and_no_memory_is_dumped(imported: str) -> None:
    """A project that loads imports `macros.patches`, before SQLMesh opens the warehouse."""
    code = f"import os, resource, {imported}\n"
    code += "" if imported.startswith("macros") else "insightmart.kept_private.keep_process_private()\n"
    code += "print(oct(os.umask(0)), resource.getrlimit(resource.RLIMIT_CORE))"
    said = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "0o77 (0, 0)"


def test_a_limit_that_may_not_be_set_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(resource, "setrlimit", refused)
    keep_process_private()
    assert os.umask(0o022) == 0o077


def test_whoever_may_read_a_page_comes_to_it_also_to_the_first_one_of_its_folder(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        replace_page(tmp_path / "status" / "stores" / "1.html", "a store")
        replace_page(tmp_path / "explained" / "order.html", "an order", mode=0o600)
    finally:
        os.umask(before)
    found = {path.relative_to(tmp_path).as_posix(): path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")}
    assert found == {
        "status": 0o755, "status/stores": 0o755, "status/stores/1.html": 0o644,
        "explained": 0o700, "explained/order.html": 0o600,
    }  # fmt: skip
