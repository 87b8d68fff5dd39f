"""What is restored catches up from the sources, exactly: a real sandbox, a cycle after the copy, all of it lost."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from insightmart.gateway import open_warehouse
from insightmart.settings import load_settings
from insightmart.tie_out import tie_out
from tests.support.built_homes import copy_home, new_home
from tests.support.whole_cycles import Sandbox, played
from tests.support.workshop import CommandLine

pytestmark = pytest.mark.slow


def test_figures_are_exact_after_both_files_were_lost(
    sandbox: Sandbox,
    first_cycle: Callable[[Sandbox], Path],
    insightmart: CommandLine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    home = copy_home(first_cycle(sandbox) / "home", sandbox.home.parent / "local")
    local = {**sandbox.settings, "INSIGHTMART_HOME": str(home), "INSIGHTMART_GATEWAY": "local"}
    local.pop("INSIGHTMART_AS_OF", None)
    for name, value in local.items():
        monkeypatch.setenv(name, value)
    assert insightmart("backup")[0] == 0
    sandbox.call("advance", "--hours", "2")
    ran, expected = played(local, "2026-03-06T02:05")
    assert ran.errors == []

    # one file brought back without the other: the hours between would be nobody's to build
    (copy,) = (home / "backups").iterdir()
    (home / "INSIGHTMART.duckdb").unlink()
    shutil.copy(copy / "INSIGHTMART.duckdb", home)
    before = (home / "INSIGHTMART.duckdb").read_bytes()
    code, out, err = insightmart("cycle", "--as-of", "2026-03-06T02:05")
    assert (code, (home / "INSIGHTMART.duckdb").read_bytes() == before) == (1, True), err
    assert "the warehouse is of an earlier moment than SQLMesh's state" in err
    assert "done to 2026-03-06 02:00 UTC where the warehouse has to 2026-03-06 00:00 UTC; nothing was changed" in err
    (home / "state.duckdb").write_bytes(b"")
    (home / "INSIGHTMART.duckdb").unlink()
    code, out, err = insightmart("restore", "--yes", "--as-of", "2026-03-06T02:05")
    assert code == 0, err
    assert "entries of the ledger, up to" in out
    new_home(sandbox.factory, home)  # with the cache that all homes share, which saves time and nothing else
    again, found = played(local, "2026-03-06T02:05")
    assert again.errors == []
    for name in (name for name in expected if name not in ("checks", "corrections", "loads", "published_changes")):
        assert found[name] == expected[name], name
    truth = json.loads(sandbox.call("truth", "--json"))
    with open_warehouse(load_settings()) as warehouse:
        assert [tie for tie in tie_out(warehouse, truth) if not tie.exact] == []
    code, out, err = insightmart("ledger", "verify")
    assert code == 0, out + err
