"""`insightmart backup`: what a copy is, who may read it, how many there are, and what it refuses."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import uuid
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest

from insightmart.doctor.examination import examine
from insightmart.settings import Settings
from tests.ingestion.conftest import aws, endpoint  # noqa: F401 fixtures
from tests.support.workshop import CommandLine

if TYPE_CHECKING:
    from conftest import Copied


def test_a_copy_has_both_files_as_they_were_and_only_its_owner_may_read_it(copied: Copied) -> None:
    (folder,) = copied.copies
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert {file["name"] for file in manifest["files"]} == {"INSIGHTMART.duckdb", "state.duckdb"}
    for file in manifest["files"]:
        content = (folder / file["name"]).read_bytes()
        assert (file["bytes"], file["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert manifest["certified_through"] == "2026-03-06T17:00:00"
    assert 1 < manifest["ledger_sequence"] < copied.entries()[-1][0]
    assert [path.stat().st_mode & 0o777 for path in (folder.parent, folder)] == [0o700, 0o700]
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert manifest["name"] in copied.said("restore", "--list")


def test_the_latest_copies_are_kept_and_what_a_killed_one_left_goes(copied: Copied) -> None:
    (first,) = copied.copies
    older = [first.with_name(f"2026030{day}T020500Z") for day in (1, 2)]
    for folder in older:
        folder.mkdir()
        manifest = json.loads((first / "manifest.json").read_text(encoding="utf-8")) | {
            "name": folder.name,
            "files": [],
        }
        (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    (first.parent / ".unfinished-20260303T020500Z").mkdir()
    (first.parent / "20260304T020500Z").mkdir()  # without a manifest it is no copy, and nobody's to delete
    made = json.loads(copied.said("backup", "--keep", "2", "--json"))
    assert [path.name for path in copied.copies] == ["20260304T020500Z", first.name, made["name"]]


def test_a_copy_is_refused_where_it_would_be_none(copied: Copied, tmp_path: Path) -> None:
    before = copied.copies
    state = copied.settings.state_path.read_bytes()
    copied.settings.state_path.write_bytes(b"no database")
    assert "state.duckdb" in copied.refused("backup")
    copied.settings.state_path.unlink()
    missing = copied.refused("backup")
    assert "state.duckdb is missing" in missing
    assert "`insightmart restore`" in missing
    copied.settings.state_path.write_bytes(state)
    program = "import duckdb, sys; held = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", program, str(copied.settings.state_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("insightmart.backups.making.PATIENCE", 0)
            assert f"is open in another process (process {other.pid})" in copied.refused("backup")
        assert "is open in another process" in copied.refused("restore", "--yes")
        other.communicate("")
    assert "is no place for copies" in copied.refused("backup", "https://example.com/", code=2)
    assert copied.copies == before
    foreign = before[0] / "manifest.json"
    foreign.write_text(
        foreign.read_text(encoding="utf-8").replace('"ledger_began": "', '"ledger_began": "f'), encoding="utf-8"
    )
    assert "copies of another warehouse" in copied.refused("backup", code=2)
    assert copied.copies == before


def test_the_doctor_says_when_the_last_copy_was_made(copied: Copied) -> None:
    settings = copied.settings
    (found,) = examine(settings, ["backup"])
    assert (found.status, "on the disk of the warehouse" in found.detail) == ("note", True)
    settings.backup_url = str(copied.home / "backups")
    (found,) = examine(settings, ["backup"])
    assert (found.status, found.detail.startswith("1 in ")) == ("ok", True)
    (folder,) = copied.copies
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8")) | {"made_at": "2026-03-06T02:05:00"}
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    (found,) = examine(settings, ["backup"])
    assert (found.status, "the last one of 2026-03-06 02:05 UTC" in found.detail) == ("note", True)
    settings.backup_url = str(copied.home / "nowhere")
    (found,) = examine(settings, ["backup"])
    assert (found.status, "there is no copy in" in found.detail) == ("note", True)
    assert "insightmart backup" in found.cure


def test_nothing_is_copied_of_an_empty_home(settings: Settings, insightmart: CommandLine) -> None:
    code, _, err = insightmart("backup")
    assert (code, "there is nothing to copy" in err) == (2, True)
    code, _, err = insightmart("restore", "--yes")
    assert (code, "there is no copy in" in err) == (2, True)
    assert [path.name for path in settings.home.iterdir() if path.suffix == ".duckdb"] == []


@pytest.mark.usefixtures("aws")
def test_copies_in_a_bucket(
    copied: Copied,
    endpoint: str,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = boto3.client("s3", endpoint_url=endpoint)
    bucket = f"copies-{uuid.uuid4().hex[:12]}"
    client.create_bucket(Bucket=bucket)
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("BACKUP_URL", f"s3://{bucket}/prod")
    made = json.loads(copied.said("backup", "--json"))
    names = {f"prod/{made['name']}/{name}" for name in ("INSIGHTMART.duckdb", "state.duckdb", "manifest.json")}
    assert {found["Key"] for found in client.list_objects_v2(Bucket=bucket)["Contents"]} == names
    wanted = copied.files()
    copied.said("ledger", "note", "later")
    copied.settings.state_path.unlink()
    place = f"s3://{bucket}/prod/{made['name']}"
    assert made["name"] in copied.said("restore", "--from", place, "--yes", "--as-of", "2026-03-06T18:00")
    assert copied.files()["state.duckdb"] == wanted["state.duckdb"]
    monkeypatch.setattr("insightmart.backups.making.utc_now", lambda: datetime(2030, 1, 1))  # not the same second
    again = json.loads(copied.said("backup", "--keep", "1", "--json"))
    left = {found["Key"].split("/")[1] for found in client.list_objects_v2(Bucket=bucket)["Contents"]}
    assert left == {again["name"]}
    client.delete_object(Bucket=bucket, Key=f"prod/{again['name']}/state.duckdb")
    assert "state.duckdb of the copy" in copied.refused("restore", "--yes")
    monkeypatch.setenv("BACKUP_URL", "s3://no-such-bucket-1234/prod")
    assert "cannot be read (NoSuchBucket)" in copied.refused("backup")
