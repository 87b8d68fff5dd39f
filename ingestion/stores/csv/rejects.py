"""What cannot be read as rows of ``raw.rejects``: a record with the first rule it breaks, or a file as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ingestion.contracts import REJECTS, Entity
from ingestion.stores.csv.cells import Records, parsed_schema, placed
from ingestion.stores.csv.decode import UntrustedFileError
from ingestion.stores.csv.file import CsvFile, Drop
from ingestion.stores.csv.values import (
    Verdicts,
)

RAW_TEXT_LIMIT = 10_000  # characters of a rejected record that are kept; the file itself stays in the bucket


def whole_file_reject(
    drop: Drop, file_hash: str | None, fault: UntrustedFileError, original_path: str, rejected_at: datetime
) -> pa.Table:
    """The one row of ``raw.rejects`` for a file that is quarantined whole."""
    row = {
        "source": "stores",
        "entity": drop.entity,
        "is_whole_file": True,
        "rule_id": fault.rule_id,
        "reason": fault.reason,
        "original_path": original_path,
        "rejected_at": rejected_at,
        "file_name": drop.key,
        "file_hash": file_hash,
        "file_modified_at": drop.modified_at,
    }
    return pa.Table.from_pylist([row], schema=parsed_schema(REJECTS))


def reject_rows(
    contract: Entity, records: Records, verdicts: Verdicts, files: Sequence[CsvFile], rejected_at: datetime
) -> pa.Table:
    """One row for each record that broke a rule."""
    chosen = np.flatnonzero(verdicts.codes)
    rule = pa.array(verdicts.codes[chosen].astype(np.int64) - 1)
    columns, rule_ids, reasons = zip(*verdicts.rules, strict=True) if verdicts.rules else ((), (), ())
    count = len(chosen)
    values = {
        "source": pa.array(["stores"] * count, pa.string()),
        "entity": pa.array([contract.name] * count, pa.string()),
        "is_whole_file": pa.array([False] * count),
        "column_name": pa.array(columns, pa.string()).take(rule),
        "rule_id": pa.array(rule_ids, pa.string()).take(rule),
        "reason": pa.array(reasons, pa.string()).take(rule),
        "raw_text": pc.utf8_slice_codeunits(records.texts(chosen), 0, RAW_TEXT_LIMIT),
        "original_path": pa.nulls(count, pa.string()),
        "rejected_at": pa.repeat(pa.scalar(rejected_at, pa.timestamp("us")), count),
    }
    return placed(REJECTS, pa.table(values), records, chosen, files)
