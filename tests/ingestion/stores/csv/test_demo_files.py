"""The reference files of the demo are trusted where they are meant to be: without one a store has no time zone."""

from __future__ import annotations

from datetime import datetime

from ingestion.stores.csv.decode import UntrustedFileError
from ingestion.stores.csv.file import Drop, read_file
from sandbox.business import Business
from sandbox.events.daily_files import DailyFile, reference_files
from tests.support.simulated import START

WRITTEN = datetime(2026, 3, 5)


def is_read(sent: DailyFile) -> bool:
    try:
        read_file(Drop("reference", sent.key, sent.store_id, START, None, WRITTEN), sent.body())
    except UntrustedFileError:
        return False
    return True


def test_every_reference_file_of_the_demo_is_trusted_as_it_is_meant() -> None:
    catalogue = Business(1, "demo", START).catalogue
    files = [sent for day in range(7) for sent in reference_files(catalogue, day)]
    assert {sent.store_id for sent in files} >= {store.store_id for store in catalogue.stores}
    assert not all(sent.trusted for sent in files)
    assert [sent.key for sent in files if is_read(sent) is not sent.trusted] == []
