"""Texts of rejected records that say who a customer is, and the names that replays know them by."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ingestion.clock import utc_now
from ingestion.contracts import ENTITIES
from ingestion.loading.erased import UNREADABLE, Erased
from ingestion.loading.rejects import reject_key
from ingestion.warehouse import Warehouse
from insightmart.erasure.customer import Customer

HIDDEN = "[erased]"
_ENTITIES = {(item.source, item.name): item for item in ENTITIES}


@dataclass(frozen=True)
class RejectedText:
    """A text of raw.rejects with what becomes of it, and of the reason beside it."""

    source: str
    entity: str
    is_of_file: bool
    old: str | None
    new: str | None
    old_reason: str | None
    new_reason: str | None


def rejected_texts(warehouse: Warehouse, customer: Customer, written: Sequence[str]) -> list[RejectedText]:
    """What raw.rejects says of a customer: texts of the customer's own records, and any that names the person."""
    found = []
    orders = warehouse.rows(
        f"SELECT DISTINCT order_id FROM raw.{customer.source}_orders WHERE customer_id = ? AND order_id IS NOT NULL",
        [customer.key],
    )
    erased = Erased(frozenset({customer.key}), {int(number) for (number,) in orders})
    named = " OR ".join(["POSITION(? IN LOWER(raw_text)) > 0 OR POSITION(? IN LOWER(reason)) > 0"] * len(written))
    for source, entity, is_of_file, text, reason in warehouse.streamed(
        "SELECT DISTINCT source, entity, file_line IS NOT NULL OR is_whole_file, raw_text, reason FROM raw.rejects"
        " WHERE (source = ? AND raw_text IS NOT NULL AND (entity = 'refunds' OR POSITION(? IN raw_text) > 0))"
        f" OR {named or '1 = 0'}",
        [customer.source, str(customer.key), *(value.lower() for value in written for _ in range(2))],
    ):
        item = _ENTITIES.get((source, entity))
        new = erased.text(item, text) if item and text and source == customer.source else text
        new_reason = UNREADABLE if new != text else reason
        new, new_reason = _hidden(new, written), _hidden(new_reason, written)
        if (new, new_reason) != (text, reason):
            found.append(RejectedText(source, entity, bool(is_of_file), text, new, reason, new_reason))
    return found


def _hidden(text: str | None, written: Sequence[str]) -> str | None:
    for value in written if text else ():
        text = re.sub(re.escape(value), HIDDEN, text or "", flags=re.IGNORECASE)
    return text


def empty_texts(warehouse: Warehouse, found: Sequence[RejectedText]) -> None:
    """Change the texts; call it inside a transaction. What was replayed stays replayed under its new name."""
    for one in found:
        warehouse.execute(
            "UPDATE raw.rejects SET raw_text = ?, reason = ? WHERE source = ? AND entity = ?"
            " AND raw_text IS NOT DISTINCT FROM ? AND reason IS NOT DISTINCT FROM ?",
            [one.new, one.new_reason, one.source, one.entity, one.old, one.old_reason],
        )
        if not one.is_of_file and one.old != one.new:
            key = [reject_key(one.new or ""), utc_now(), one.source, one.entity, reject_key(one.old or "")]
            warehouse.execute(
                "INSERT INTO ops.replays (source, entity, reject_load_id, reject_key, is_whole_file, rule_id,"
                " replayed_at, recorded_at)"
                " SELECT DISTINCT source, entity, reject_load_id, ?, is_whole_file, rule_id, replayed_at,"
                " CAST(? AS TIMESTAMP_NTZ) FROM ops.replays"
                " WHERE source = ? AND entity = ? AND reject_key = ? AND NOT is_whole_file",
                key,
            )
