"""Which disks of a command are kept: each that a statement left, or the first of each kind of statement."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.faults.disk_images import DiskImages, kind_of

STATEMENTS = {
    '/* SQLMESH_RUN: 2ef0 */ INSERT INTO "sqlmesh"."_intervals" ("id") VALUES (\'a.b\')': "sqlmesh._intervals",
    'CREATE VIEW GATE_SCAN_3F416E87B7CC.ORDERS AS SELECT * FROM "A"."B"."C"': "gate_scan",
    'CREATE OR REPLACE TABLE "INSIGHTMART"."sqlmesh__CORE"."core__fct_orders__1234" AS SELECT 1': "sqlmesh__core",
    'COMMENT ON COLUMN "INSIGHTMART"."sqlmesh__CORE"."core__dim_stores__99".name IS \'it\'\'s c.d\'': "sqlmesh__core",
    'INSERT INTO ops.check_results ("RUN_ID") VALUES (?)': "ops.check_results",
    "COMMIT": "",
}


@pytest.mark.parametrize("statement", STATEMENTS)
def test_kinds_know_verbs_and_tables_and_no_run_or_model(statement: str) -> None:
    verb, _, name = kind_of(statement).partition(": ")
    assert name == STATEMENTS[statement]
    assert verb.split()[0] in ("insert", "create", "comment", "commit")


@pytest.mark.parametrize(("one_a_kind", "kept"), [(False, [1, 2, 3, 4]), (True, [1, 2, 4])])
def test_a_disk_is_kept_by_what_left_it(tmp_path: Path, one_a_kind: bool, kept: list[int]) -> None:
    home, folder = tmp_path / "home", tmp_path / "images"
    home.mkdir()
    folder.mkdir()
    images = DiskImages(home, folder, 9, None, one_a_kind=one_a_kind)
    done = ("INSERT INTO ops.runs VALUES (1)", "COMMIT", "INSERT INTO ops.runs VALUES (2)", "UPDATE ops.runs SET a = 1")
    images.point(done[0])
    for number, (_, following) in enumerate(zip(done, (*done[1:], "the end"), strict=True)):
        if number:  # the first is written by its commit
            (home / "file").write_text("x" * number, encoding="utf-8")
        images.point(following)
    found = [json.loads((image / "point.json").read_text(encoding="utf-8")) for image in sorted(folder.iterdir())]
    assert [one["number"] for one in found] == kept
    assert found[1]["before"] == done[2]
    assert (images.statements, images.taken, len(images.kinds)) == (5, 4, 3)
    assert [(image / "home" / "file").exists() for image in sorted(folder.iterdir())] == [
        False,
        *[True] * (len(kept) - 1),
    ]
