"""A record that could not be typed leaves quarantine when its source is mended, and not before."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from ingestion.loading.context import IngestContext
from ingestion.loading.rejects import CURRENT_REJECTS
from ingestion.postgres.source import ingest

if TYPE_CHECKING:
    from conftest import Oltp

At = Callable[[str], IngestContext]
SALES = ["orders", "order_lines", "refunds"]


def held(context: IngestContext) -> list[tuple[str, str]]:
    """Entity and key of what is in quarantine."""
    texts = context.warehouse.rows(f"SELECT entity, raw_text FROM ({CURRENT_REJECTS}) AS held ORDER BY ALL")
    return [(entity, ",".join(text.split(",")[:2])) for entity, text in texts]


def test_the_record_leaves_with_the_load_that_brings_it_mended(at: At, oltp: Oltp) -> None:
    for number in (1, 12):
        oltp.add("orders", order_id=number, total_amount=5, updated_at="infinity")
    for number in (1, 2):
        oltp.add("order_lines", order_id=1, line_number=number, updated_at="infinity")
    first = at("2026-03-05T10:00")
    ingest(first, oltp.source, entities=SALES)
    assert held(first) == [
        ("oltp_order_lines", '"1","1"'),
        ("oltp_order_lines", '"1","2"'),
        ("oltp_orders", '"1",'),
        ("oltp_orders", '"12",'),
    ]
    oltp.execute("UPDATE orders SET updated_at = '2026-03-05 10:10Z' WHERE order_id = 1")
    oltp.execute("UPDATE order_lines SET updated_at = '2026-03-05 10:10Z' WHERE line_number = 2")
    second = at("2026-03-05T11:00")
    results = ingest(second, oltp.source, entities=SALES)
    assert held(second) == [("oltp_order_lines", '"1","1"'), ("oltp_orders", '"12",')]
    named = second.warehouse.rows("SELECT entity, rule_id, load_id FROM ops.replays ORDER BY ALL")
    load_id = results[0].load_id
    assert named == [("order_lines", "instant_invalid", load_id), ("orders", "instant_invalid", load_id)]


def test_a_record_that_goes_wrong_in_the_same_way_again_is_in_quarantine_again(at: At, oltp: Oltp) -> None:
    oltp.add("orders", order_id=1, total_amount=5, updated_at="infinity")
    expected = [[("oltp_orders", '"1",')], [], [("oltp_orders", '"1",')]]
    for hour, stamp in ((10, "infinity"), (11, "2026-03-05 10:10Z"), (12, "infinity")):
        oltp.execute(f"UPDATE orders SET updated_at = '{stamp}'")
        context = at(f"2026-03-05T{hour}:00")
        ingest(context, oltp.source, entities=SALES)
        assert held(context) == expected.pop(0), hour


def test_a_second_record_under_the_key_does_not_release_one_that_is_still_wrong(at: At, oltp: Oltp) -> None:
    oltp.add("orders", order_id=1, total_amount=5, ordered_at="infinity", updated_at="2026-03-05 09:45Z")
    oltp.add("orders", order_id=1, total_amount=6, updated_at="2026-03-05 09:45Z")
    for instant in ("2026-03-05T10:00", "2026-03-05T10:10"):  # the overlap reads both again
        context = at(instant)
        ingest(context, oltp.source, entities=SALES)
        assert context.warehouse.value("SELECT COUNT(*) FROM raw.oltp_orders") > 0
        assert held(context) == [("oltp_orders", '"1",')]


@pytest.mark.parametrize("sku", ["a", 'a"', 'a","b', "a,"])
def test_a_text_is_a_key_as_it_stands_whatever_is_in_it(at: At, oltp: Oltp, sku: str) -> None:
    for name in ("a", 'a"', 'a","b', "a,"):
        oltp.add("products", sku=name, list_price=5, updated_at="infinity")
    ingest(at("2026-03-05T10:00"), oltp.source, entities=["products"])
    oltp.execute("UPDATE products SET updated_at = '2026-03-05 10:10Z' WHERE sku = %s", sku)
    context = at("2026-03-06T11:00")
    ingest(context, oltp.source, entities=["products"])
    assert context.warehouse.rows("SELECT sku FROM raw.oltp_products") == [(sku,)]
    assert len(held(context)) == 3
