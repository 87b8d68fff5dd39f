"""Originals of distrusted files in a bucket: kept before a load is recorded, found by a replay from another disk."""

from __future__ import annotations

import hashlib
from datetime import datetime

import pytest

from ingestion.loading.originals import HomeOriginals
from ingestion.ops_tables import create_tables
from ingestion.warehouse import open_duckdb
from insightmart.kept_originals import kept_originals
from insightmart.settings import Settings
from insightmart.sources import ingest
from tests.ingestion.conftest import Drops
from tests.support.kept_bucket import KeptBucket

NAME = "inventory/2026/03/05/10/store_007.csv"
SPOILT = b"store_id,sku,pieces\n7,A,5\n"
HASH = hashlib.sha256(SPOILT).hexdigest()


@pytest.fixture
def bucket(endpoint: str, aws: None, settings: Settings) -> KeptBucket:
    made = KeptBucket(endpoint)
    made.serve(settings)
    return made


def test_a_file_is_kept_once_read_back_and_gone_with_all_its_versions(settings: Settings, bucket: KeptBucket) -> None:
    originals = kept_originals(settings)
    assert originals.read(HASH) is None
    for _ in range(2):
        assert originals.keep(HASH, SPOILT) == f"s3://{bucket.name}/home/quarantine/{HASH}"
    HomeOriginals(settings.home).keep("of-before", b"7")  # before KEPT_URL was set
    assert originals.read(HASH) == SPOILT
    assert originals.read("of-before") == b"7"
    assert originals.sizes() == {HASH: len(SPOILT), "of-before": 1}
    for name in originals.sizes():
        originals.delete(name)
    assert originals.sizes() == {}
    assert bucket.versions() == set()


def test_a_damaged_original_in_the_home_is_kept_anew(settings: Settings) -> None:
    originals = HomeOriginals(settings.home)
    for content in (SPOILT, b"", b"\x00" * 40):
        originals.keep(HASH, SPOILT)
        assert originals.read(HASH) == SPOILT
        (settings.home / "quarantine" / HASH).write_bytes(content)


def test_a_bucket_that_takes_nothing_fails_the_load_and_nothing_is_recorded(
    settings: Settings,
    bucket: KeptBucket,
    drops: Drops,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drops.put(NAME, SPOILT)
    drops.inventory("2026-03-05T10", 8)
    settings.stores_url = f"s3://{drops.bucket}/in"
    settings.kept_url = "s3://nowhere-at-all/home"
    with open_duckdb(settings.database_path) as warehouse:
        create_tables(warehouse)
        [failed] = ingest(warehouse, settings, datetime(2026, 3, 5, 11, 40), ["stores"])
        assert failed.error is not None
        assert "the original of a file that cannot be trusted cannot be kept: s3://nowhere-at-all/home" in failed.error
        assert warehouse.rows("SELECT * FROM ops.files") == []
        assert warehouse.rows("SELECT * FROM raw.stores_inventory") == []
        bucket.serve(settings)
        [healed] = ingest(warehouse, settings, datetime(2026, 3, 5, 11, 45), ["stores"])
        assert (healed.error, healed.rows) == (None, 1)
        assert warehouse.rows("SELECT rule_id, original_path FROM raw.rejects") == [
            ("columns_missing", f"s3://{bucket.name}/home/quarantine/{HASH}")
        ]
    assert bucket.files() == {f"quarantine/{HASH}": SPOILT}
