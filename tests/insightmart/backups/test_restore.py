"""`insightmart restore`: both files as they were copied, whatever was there; told in the ledger; killed anywhere."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import duckdb
import pytest
from filelock import FileLock

from ingestion.warehouse import open_duckdb
from insightmart.doctor.examination import examine
from insightmart.ledger.kept_heads import keep_head
from insightmart.ledger.recording import enter, last_head
from insightmart.settings import Settings, load_settings
from tests.ingestion.conftest import aws, endpoint  # noqa: F401 fixtures

if TYPE_CHECKING:
    from conftest import Copied

RESTORE = ("restore", "--yes", "--as-of", "2026-03-06T18:00")


def overwritten(settings: Settings) -> None:
    settings.state_path.write_bytes(os.urandom(5_000))


def emptied(settings: Settings) -> None:
    settings.database_path.write_bytes(b"")


def both_gone(settings: Settings) -> None:
    settings.database_path.unlink()
    settings.state_path.unlink()


@pytest.mark.parametrize("damaged", [overwritten, emptied, both_gone])
def test_both_files_come_back_and_the_ledger_says_what_is_lost(
    copied: Copied, damaged: Callable[[Settings], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INSIGHTMART_ACTOR", "ana")
    (folder,) = copied.copies
    made = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["made_at"]
    kept, last = copied.last_copied, copied.entries()[-1][0]
    assert kept < last
    for name in ("cache/model_definition", "dlt/insightmart"):
        (copied.home / name).mkdir(parents=True)
    damaged(copied.settings)
    left = copied.files()
    said = copied.said(*RESTORE)
    assert "certified through 2026-03-06 17:00 UTC" in said
    assert f"Lost with what it replaces: {last - kept} entries of the ledger, up to {last}." in said
    assert "manual action gave up nothing by" in said
    assert "Next: `insightmart cycle`" in said
    assert copied.files()["state.duckdb"] == (folder / "state.duckdb").read_bytes()
    now = [number for number, _ in copied.entries()]
    assert now == [*range(1, kept + 1), *range(last + 1, now[-1] + 1)]
    assert (copied.entries()[kept][1], copied.entries()[-1][1]) == ("restore", "restore")
    (aside,) = (copied.home / "replaced").iterdir()
    assert {path.name: path.read_bytes() for path in aside.glob("*.duckdb")} == left
    assert (aside / "dlt" / "insightmart").is_dir()
    assert [(copied.home / name).exists() for name in ("cache", "dlt", "incoming", "restoring.json")] == [False] * 4
    assert {path.stat().st_mode & 0o777 for path in copied.home.glob("*.duckdb")} == {0o600}
    with duckdb.connect(str(copied.settings.database_path), read_only=True) as connection:
        [(status, actor, summary)] = connection.execute("SELECT status, actor, summary FROM ops.runs").fetchall()
    assert (status, actor, json.loads(summary)["copy"]) == ("succeeded", "ana", folder.name)
    verified = copied.said("ledger", "verify")
    assert f"entry {last + 1}: ana put the copy of {made[:10]} {made[11:16]} UTC in place: entr" in verified
    assert f"{last} {'is' if last == kept + 1 else 'are'} lost by it" in verified
    assert f"Entries that prove each other: 1 to {kept}, {last + 1} to {now[-1]}." in verified
    assert "sound" in verified
    copied.said("backup")  # and it can be copied again


@pytest.mark.usefixtures("aws")
def test_no_number_is_given_twice_that_has_a_head_outside(
    copied: Copied,
    endpoint: str,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All is lost but the copy and the bucket with the heads: it alone knows how far the ledger had come."""
    client = boto3.client("s3", endpoint_url=endpoint)
    bucket = f"heads-{uuid.uuid4().hex[:12]}"
    client.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("EVIDENCE_URL", f"s3://{bucket}/prod")
    copied.said("ledger", "note", "one more")
    with open_duckdb(copied.settings.database_path) as warehouse:
        head = last_head(warehouse)
    assert head is not None
    assert keep_head(load_settings(), head) == []
    kept, last = copied.last_copied, head.sequence
    both_gone(copied.settings)
    for path in (copied.home / "readers").iterdir():
        path.unlink()
    monkeypatch.setenv("EVIDENCE_URL", "s3://no-such-bucket-1234/prod")
    assert "nobody can say which entries the ledger has had" in copied.refused(*RESTORE)
    assert copied.files() == {}
    monkeypatch.setenv("EVIDENCE_URL", f"s3://{bucket}/prod")
    said = copied.said(*RESTORE)
    assert "What people did since cannot be read" in said
    now = [number for number, _ in copied.entries()]
    assert now == [*range(1, kept + 1), *range(last + 1, now[-1] + 1)]
    verified = copied.said("ledger", "verify")
    assert f"entries {kept + 1} to {last} are lost by it, 1 of whose heads is kept outside" in verified
    assert f"which nobody can have rewritten: 1 to {kept}, {last + 1} to {now[-1]}." in verified
    # a gap that no restore accounts for is one
    with open_duckdb(copied.settings.database_path) as warehouse:
        warehouse.execute("DELETE FROM ops.ledger WHERE sequence = ?", [kept])
    code, out, _ = copied.insightmart("ledger", "verify")
    assert (code, f"entry {kept} is missing before entry {last + 1}" in out) == (1, True)


@pytest.mark.parametrize("renames", range(4))
def test_killed_between_any_two_moves_it_is_done_again_and_nobody_else_writes(
    copied: Copied, renames: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder,) = copied.copies
    kept, last = copied.last_copied, copied.entries()[-1][0]
    left = renames

    def rename(self: Path, target: Path, move: Any = Path.rename) -> Path:
        nonlocal left
        if left == 0:
            raise KeyboardInterrupt
        left -= 1
        return Path(move(self, target))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", rename)
        code, *_ = copied.insightmart(*RESTORE)
    assert code == 130
    for command in (("ledger", "note", "x"), ("backup",)):
        assert "Run `insightmart restore` again" in copied.refused(*command)
    copied.said(*RESTORE)
    assert copied.files()["state.duckdb"] == (folder / "state.duckdb").read_bytes()
    assert [number for number, _ in copied.entries()][: kept + 1] == [*range(1, kept + 1), last + 1]
    assert "sound" in copied.said("ledger", "verify")


def test_what_is_no_good_copy_changes_nothing(copied: Copied, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder,) = copied.copies
    before = copied.files()
    content = (folder / "state.duckdb").read_bytes()
    (folder / "state.duckdb").write_bytes(content[:-1] + b"?")
    assert "is not what was copied" in copied.refused(*RESTORE)
    (folder / "state.duckdb").unlink()
    assert "state.duckdb of the copy" in copied.refused(*RESTORE)
    (folder / "state.duckdb").write_bytes(content)
    with monkeypatch.context() as patch:
        patch.setenv("INSIGHTMART_CURRENCY", "EUR")
        assert "INSIGHTMART_CURRENCY is EUR, not USD" in copied.refused(*RESTORE, code=2)
    with FileLock(copied.home / "writer.lock"):
        assert "is writing" in copied.refused(*RESTORE, code=75)
    manifest = (folder / "manifest.json").read_text(encoding="utf-8")
    (folder / "manifest.json").write_text(manifest.replace('"state": "', '"state": "9'), encoding="utf-8")
    assert "was made with a later SQLMesh" in copied.refused(*RESTORE)
    (folder / "manifest.json").write_text("{}", encoding="utf-8")
    assert "is no manifest of a copy" in copied.refused(*RESTORE)
    assert copied.files() == before
    assert [(copied.home / name).exists() for name in ("incoming", "restoring.json", "replaced")] == [False] * 3


def test_one_that_says_nothing_of_itself_stands_in_no_others_way(copied: Copied) -> None:
    (good,) = copied.copies
    spoilt = good.with_name("20991231T000000Z")
    spoilt.mkdir()
    (spoilt / "manifest.json").write_bytes((good / "manifest.json").read_bytes()[:90])
    (folder, (code, out, err)) = (good.name, copied.insightmart("restore", "--list", "--json"))
    assert (code, [one["name"] for one in json.loads(out)]) == (0, [folder])
    assert err.startswith(f"Left out: {spoilt / 'manifest.json'} is no manifest of a copy: ")
    assert "is no manifest of a copy" in copied.refused(*RESTORE, "--from", str(spoilt))
    made = json.loads(copied.said("backup", "--keep", "1", "--json"))
    assert [path.name for path in copied.copies] == [made["name"], spoilt.name]  # neither counted nor deleted
    (found,) = examine(copied.settings, ["backup"])
    assert (found.status, "is no manifest of a copy" in found.detail) == ("note", True)
    copied.settings.state_path.unlink()
    assert f"The copy {made['name']} is in place." in copied.said(*RESTORE)


def test_one_of_another_warehouse_has_to_be_named(copied: Copied) -> None:
    with open_duckdb(copied.settings.database_path) as warehouse:
        warehouse.execute("UPDATE ops.ledger SET entry_hash = 'f' || SUBSTRING(entry_hash, 2) WHERE sequence = 1")
    before = copied.files()
    (folder,) = copied.copies
    assert "is of another warehouse than" in copied.refused(*RESTORE, code=2)
    assert copied.files() == before
    said = copied.said(*RESTORE, "--from", str(folder))
    assert f"It is of another warehouse than {copied.settings.database_path}." in said
    assert copied.files()["state.duckdb"] == (folder / "state.duckdb").read_bytes()


def test_who_was_erased_since_the_copy_is_erased_again(copied: Copied) -> None:
    row = {"source": "oltp", "customer_id": 17, "reason": "ticket 4711", "actor": "ana", "status": "done"}
    with open_duckdb(copied.settings.database_path) as warehouse:
        at = warehouse.value("SELECT MAX(recorded_at) FROM ops.ledger")
        warehouse.insert("ops.erasures", [row | {"erasure_id": "e1", "recorded_at": at, "asked_at": at}])
        enter(warehouse, copied.settings, "erase-1", at)
    with suppress(FileNotFoundError):
        copied.settings.state_path.unlink()
    assert "erasure 17 by" in copied.said(*RESTORE)
    with duckdb.connect(str(copied.settings.database_path), read_only=True) as connection:
        found = connection.execute("SELECT source, customer_id, reason, status FROM ops.erasures").fetchall()
    assert found == [("oltp", 17, "ticket 4711", "begun")]  # the next cycle does it
    # what was given up is given up: nobody puts some of it back beside what came after
    (aside,) = (copied.home / "replaced").iterdir()
    with open_duckdb(copied.settings.database_path) as warehouse:
        warehouse.execute(f"ATTACH '{aside / 'INSIGHTMART.duckdb'}' AS aside (READ_ONLY)")
        first = copied.last_copied + 1
        warehouse.execute("INSERT INTO ops.ledger SELECT * FROM aside.ops.ledger WHERE sequence = ?", [first])
    code, out, _ = copied.insightmart("ledger", "verify")
    assert (code, f"entries {first} to {first} are there, which entry" in out) == (1, True)


def test_on_snowflake_it_says_what_to_do(copied: Copied, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSIGHTMART_GATEWAY", "snowflake")
    assert "pg_dump" in copied.refused("backup", code=2)
    assert "pg_restore" in copied.refused("restore", "--yes", code=2)
