"""What is kept of a file or a record that cannot be read."""

from __future__ import annotations

from ingestion.stores.csv.decode import UntrustedFileError
from ingestion.stores.csv.rejects import RAW_TEXT_LIMIT, whole_file_reject
from tests.support.csv_files import HEADER, INVENTORY, NOW, WRITTEN, outcome


def test_a_distrusted_file_is_one_reject() -> None:
    [row] = whole_file_reject(
        INVENTORY, "abc", UntrustedFileError("undecodable", "no text"), "/kept/abc", NOW
    ).to_pylist()
    assert row == {
        "source": "stores",
        "entity": "inventory",
        "is_whole_file": True,
        "column_name": None,
        "rule_id": "undecodable",
        "reason": "no text",
        "raw_text": None,
        "original_path": "/kept/abc",
        "rejected_at": NOW,
        "file_name": INVENTORY.key,
        "file_hash": "abc",
        "file_line": None,
        "file_modified_at": WRITTEN,
    }


def test_a_long_record_is_kept_in_part() -> None:
    found = outcome(HEADER + f"7,{'x' * 20_000},no,2,2026-03-05T10:15:00Z\n")
    assert len(found.texts[0]) == RAW_TEXT_LIMIT
