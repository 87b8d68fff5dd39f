"""SQLMesh's own state of another version: migrated by `insightmart setup`, refused where it is later."""

from __future__ import annotations

from pathlib import Path

import duckdb

from insightmart.settings import Settings
from insightmart.transform.state_versions import migrate, open_state, state_versions
from tests.support.built_homes import copy_home
from tests.support.workshop import CommandLine


def change_state(settings: Settings, values: str) -> None:
    with duckdb.connect(str(settings.home / "state.duckdb")) as state:
        state.execute(f"UPDATE sqlmesh._versions SET {values}")


def test_state_of_an_earlier_sqlmesh_is_migrated_and_of_a_later_one_refused(
    set_up_home: Path, settings: Settings, insightmart: CommandLine
) -> None:
    copy_home(set_up_home, settings.home)
    change_state(settings, "schema_version = schema_version - 1, sqlmesh_version = '0.200.0'")
    code, _, err = insightmart("cycle", "--as-of", "2026-03-06T01:05")
    assert code == 1
    assert "is ahead of" in err and "Run `insightmart setup`" in err.splitlines()[-1]
    planned = insightmart.json("setup", "--plan")["state"]
    assert (planned["standing"], "SQLMesh 0.200.0" in planned["kept"]) == ("older", True)
    assert insightmart.json("setup", "--as-of", "2026-03-06T01:05")["state"] == planned
    assert insightmart.json("setup", "--plan")["state"]["standing"] == "current"
    with duckdb.connect(str(settings.home / "state.duckdb")) as state:  # prod is still there
        assert state.execute("SELECT name FROM sqlmesh._environments").fetchall() == [("prod",)]

    change_state(settings, "schema_version = 999")
    for command in (["setup", "--plan"], ["setup"]):
        code, _, err = insightmart(*command)
        assert code == 2
        assert "SQLMesh's state was written by a later version: schema 999" in err.splitlines()[-1]


def test_a_state_whose_first_tables_a_kill_left_half_made_is_made_anew(settings: Settings) -> None:
    with open_state(settings) as context:
        migrate(context)
    with duckdb.connect(str(settings.home / "state.duckdb")) as state:  # all but the last statement
        state.execute("DELETE FROM sqlmesh._versions")
    with open_state(settings) as context:
        assert state_versions(context).standing == "missing"
        migrate(context)
        assert state_versions(context).standing == "current"
