"""What a gate holds back, counted: rows, money and stores of the candidates after what is certified."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from ingestion.warehouse import Warehouse, exact_sum
from insightmart.certification.verdict import PartState


class _Candidate(NamedTuple):
    table: str
    hour: str
    rows: str
    money: str


def _sales(source: str) -> _Candidate:
    return _Candidate(
        f"core.agg_sales_hourly__{source}", "sold_hour", "CAST(SUM(orders) AS BIGINT)", exact_sum("net_sales")
    )


def _stock(source: str) -> _Candidate:
    return _Candidate(f"core.fct_inventory__{source}", "counted_hour", "COUNT(*)", "CAST(NULL AS DECIMAL(38, 4))")


_CANDIDATES = {
    "sales__oltp": _sales("oltp"),
    "sales__shopify": _sales("shopify"),
    "inventory__stores": _stock("stores"),
    "inventory__shopify": _stock("shopify"),
}


@dataclass(frozen=True)
class HeldRows:
    """What is held back of a part: orders or counts, net sales (None: it has none), stores by their numbers."""

    rows: int
    money: Decimal | None
    stores: tuple[int, ...]


def held_rows(warehouse: Warehouse, existing: set[str], held: Sequence[PartState]) -> dict[str, HeldRows]:
    """What is held back by gate, of the parts that have hours: a statement for each that is held back."""
    found = {}
    for state in held:
        candidate = _CANDIDATES.get(state.part.gate)
        if candidate is None or candidate.table not in existing:
            continue
        by_store = warehouse.rows(
            f"SELECT store_id, {candidate.rows}, {candidate.money} FROM {candidate.table}"
            f" WHERE {candidate.hour} >= ? GROUP BY store_id ORDER BY store_id",
            [state.held_since],
        )
        amounts = [money for _, _, money in by_store if money is not None]
        found[state.part.gate] = HeldRows(
            sum(int(rows or 0) for _, rows, _ in by_store),
            sum(amounts, Decimal(0)) if amounts else None,
            tuple(store for store, _, _ in by_store if store and store > 0),
        )
    return found
