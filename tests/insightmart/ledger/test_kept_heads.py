"""Heads in a bucket, on a real S3 endpoint with object lock and without."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from ingestion.warehouse import Warehouse
from insightmart.commands.session import writing
from insightmart.doctor.examination import examine
from insightmart.errors import ConfigurationError
from insightmart.ledger.chain import Head
from insightmart.ledger.kept_heads import HeadStore, keep_head
from insightmart.ledger.links import Tampering
from insightmart.ledger.verification import verify
from insightmart.settings import Settings, load_settings
from tests.ingestion.conftest import aws, endpoint  # noqa: F401 fixtures
from tests.insightmart.ledger.test_tampering import Trial, rewritten
from tests.support.workshop import CommandLine

if TYPE_CHECKING:
    from conftest import Kept

AS_OF = datetime(2026, 3, 6, 17, 5)
HEADS = [Head(number, f"{number:064x}") for number in range(1, 4)]


class Bucket:
    """A bucket of its own for a test, and what is in it."""

    def __init__(self, address: str, *, is_locked: bool) -> None:
        self.name = f"evidence-{uuid.uuid4().hex[:12]}"
        self.endpoint = address
        self.url = f"s3://{self.name}/prod"
        self.client = boto3.client("s3", endpoint_url=address)
        self.client.create_bucket(Bucket=self.name, ObjectLockEnabledForBucket=is_locked)

    def store(self) -> HeadStore:
        return HeadStore(self.url, self.endpoint)

    def names(self) -> list[str]:
        return [found["Key"] for found in self.client.list_objects_v2(Bucket=self.name).get("Contents", ())]

    def versions(self, key: str) -> list[dict[str, Any]]:
        found = self.client.list_object_versions(Bucket=self.name, Prefix=key)
        return list(found.get("Versions", ()))


@pytest.fixture
def bucket(endpoint: str, aws: None) -> Callable[..., Bucket]:  # noqa: F811
    return lambda *, is_locked=True: Bucket(endpoint, is_locked=is_locked)


@pytest.fixture
def configured(
    settings: Settings, bucket: Callable[..., Bucket], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., tuple[Settings, Bucket]]]:
    """``configured(is_locked=True)``: settings of a home with a bucket for its heads, and the bucket."""

    def make(*, is_locked: bool = True) -> tuple[Settings, Bucket]:
        made = bucket(is_locked=is_locked)
        monkeypatch.setenv("EVIDENCE_URL", made.url)
        monkeypatch.setenv("AWS_ENDPOINT_URL", made.endpoint)
        return load_settings(), made

    yield make


def test_a_head_is_kept_once_for_seven_years(configured: Callable[..., tuple[Settings, Bucket]]) -> None:
    settings, bucket = configured()
    assert keep_head(settings, HEADS[0]) == []
    assert keep_head(settings, HEADS[0]) == []  # a run that was killed before it knew that it had written
    assert bucket.names() == ["prod/heads/000000000001.json"]
    (version,) = bucket.versions(bucket.names()[0])
    held = bucket.client.head_object(Bucket=bucket.name, Key=version["Key"])
    assert held["ObjectLockMode"] == "COMPLIANCE"
    assert held["ObjectLockRetainUntilDate"] - datetime.now(UTC) > timedelta(days=7 * 365)
    body = bucket.client.get_object(Bucket=bucket.name, Key=version["Key"])["Body"].read()
    assert json.loads(body) == {"sequence": 1, "entry_hash": HEADS[0].entry_hash}


def test_a_bucket_without_a_lock_is_said_once(configured: Callable[..., tuple[Settings, Bucket]]) -> None:
    settings, bucket = configured(is_locked=False)
    (problem,) = keep_head(settings, HEADS[0])
    assert problem.message == f"{bucket.url} has no object lock: heads of the ledger in it can be changed and deleted"
    assert "object-lock-configuration" in problem.cure
    assert keep_head(settings, HEADS[1]) == []
    assert len(bucket.names()) == 2


def test_another_head_of_an_entry_is_a_problem_and_stays(configured: Callable[..., tuple[Settings, Bucket]]) -> None:
    settings, bucket = configured()
    keep_head(settings, HEADS[0])
    (problem,) = keep_head(settings, Head(1, "f" * 64))
    assert problem.message.startswith(
        f"{bucket.url} has another head of entry 1 than the ledger: {HEADS[0].entry_hash}"
    )
    assert len(bucket.versions(bucket.names()[0])) == 1
    assert keep_head(settings, HEADS[1]) == []  # it does not wait


def test_what_a_bucket_that_is_down_did_not_take_is_written_next_time(
    configured: Callable[..., tuple[Settings, Bucket]], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, bucket = configured()
    down = settings.model_copy(update={"aws_endpoint_url": "http://127.0.0.1:9"})
    (first,) = keep_head(down, HEADS[0])
    assert first.message.endswith("; 1 head of the ledger will be written by the next run")
    assert "EVIDENCE_URL" in first.cure
    (second,) = keep_head(down, HEADS[1])
    assert "2 heads of the ledger" in second.message
    assert keep_head(settings, HEADS[2]) == []
    assert [key[-8:-5] for key in bucket.names()] == ["001", "002", "003"]


def test_heads_are_read_back_as_they_were_written_first(bucket: Callable[..., Bucket]) -> None:
    made = bucket()
    store = made.store()
    for head in HEADS:
        store.put(head)
    key = store.key(2)
    made.client.put_object(Bucket=made.name, Key=key, Body=b'{"sequence":2,"entry_hash":"forged"}')
    made.client.delete_object(Bucket=made.name, Key=store.key(3))
    made.client.put_object(Bucket=made.name, Key="prod/heads/notes.txt", Body=b"x")
    found = store.read({1: HEADS[0].entry_hash}.get)
    assert [one.head for one in found.heads] == HEADS
    assert [(one.what, one.sequence) for one in found.damage] == [(Tampering.REMOVED, 3), (Tampering.REWRITTEN, 2)]
    assert found.notes == [f"s3://{made.name}/prod/heads/notes.txt is no head"]


def test_a_ledger_rewritten_from_some_point_is_found_by_the_bucket(kept: Kept, bucket: Callable[..., Bucket]) -> None:
    made = bucket()
    for head in kept.heads:
        made.store().put(head)
    assert verify(kept.warehouse, made.store().read, str).is_sound
    rewritten(Trial(kept, random.Random(7)))
    found = verify(kept.warehouse, made.store().read, str)
    assert {one.what for one in found.damage} == {Tampering.REWRITTEN}
    assert f"s3://{made.name}/prod/heads/" in found.damage[0].message


def test_a_run_keeps_its_head_and_a_dead_bucket_does_not_fail_it(
    configured: Callable[..., tuple[Settings, Bucket]], insightmart: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, bucket = configured()
    with writing(settings, "ingest") as session, session.recorded_run(AS_OF):
        pass
    assert len(bucket.names()) == 1
    found = insightmart.json("ledger", "verify")
    assert (found["sound"], found["compared"], found["anchored"]) == (
        True,
        1,
        [[1, 4]],
    )  # the beginning, two versions of the tables, the run
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with writing(load_settings(), "ingest") as session, session.recorded_run(AS_OF) as run:
        pass
    assert (run.status, [str(one.kind) for one in run.notices]) == ("succeeded", ["evidence"])
    with writing(settings, "ingest") as session:
        assert _problems(session.warehouse) == [("evidence", "heads")]
    code, out, _ = insightmart("ledger", "verify")
    assert code == 0
    assert "no head in the bucket was compared" in out


def _problems(warehouse: Warehouse) -> list[tuple[str, ...]]:
    return warehouse.rows("SELECT kind, subject FROM ops.run_problems")


def test_doctor_says_whether_evidence_can_be_kept(
    configured: Callable[..., tuple[Settings, Bucket]], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, bucket = configured()
    (found,) = examine(settings, ["evidence"])
    assert (found.status, found.detail) == ("ok", f"{bucket.url} answers, with object lock")
    unlocked, _ = configured(is_locked=False)
    (found,) = examine(unlocked, ["evidence"])
    assert (found.status, "has no object lock" in found.detail) == ("note", True)
    (found,) = examine(settings.model_copy(update={"evidence_url": "s3://nobody-has-it"}), ["evidence"])
    assert (found.status, "NoSuchBucket" in found.detail) == ("failed", True)
    (found,) = examine(settings.model_copy(update={"evidence_url": None}), ["evidence"])
    assert found.status == "note"
    (found,) = examine(settings.model_copy(update={"evidence_url": "https://x"}), ["evidence"])
    assert (found.status, found.detail) == ("not configured", "EVIDENCE_URL is no S3 location")


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="EVIDENCE_URL is no S3 location"):
        HeadStore("https://bucket/prefix")
