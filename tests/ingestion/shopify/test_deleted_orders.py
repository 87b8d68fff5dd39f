"""Orders that are deleted in the shop: found by a daily comparison of ids, buried when few, asked for when many."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import pytest

from ingestion.loading.context import DeletionLimit, IngestContext, SourceError
from ingestion.loading.deletions import confirm, questions, unanswered
from ingestion.shopify.client import ShopifyClient
from ingestion.shopify.source import ingest
from tests.support.shop_documents import order, raw, refund, refund_line

if TYPE_CHECKING:
    from conftest import OnlineShop

At = Callable[[str], IngestContext]
TODAY, TOMORROW, LATER = "2026-03-05T10:00", "2026-03-06T10:00", "2026-03-06T11:00"


@pytest.fixture
def asks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The documents that are sent."""
    sent: list[str] = []
    attempt = ShopifyClient._attempt

    def noted(client: ShopifyClient, document: str, variables: Any) -> Any:
        sent.append(document)
        return attempt(client, document, variables)

    monkeypatch.setattr(ShopifyClient, "_attempt", noted)
    return sent


def load(context: IngestContext, online: OnlineShop) -> None:
    ingest(context, online.source, entities=["orders"])


def buried(context: IngestContext) -> list[tuple[Any, ...]]:
    return context.warehouse.rows(
        "SELECT order_id, updated_at, _deleted_at FROM raw.shopify_orders WHERE _deleted_at IS NOT NULL ORDER BY 1"
    )


def asked(context: IngestContext) -> list[tuple[Any, ...]]:
    return [
        (one.source, one.day, one.missing.known, one.missing.rows, one.state) for one in questions(context.warehouse)
    ]


def test_a_deleted_order_gets_a_tombstone_and_its_hours_are_queued(at: At, online: OnlineShop) -> None:
    returned = refund(9, [refund_line(90, 1001)])
    online.shop.upsert_orders(
        [order(1, "2026-03-05T09:40:00Z", refunds=[returned | {"createdAt": "2026-03-05T08:30:00Z"}])]
    )
    online.shop.upsert_orders([order(2), order(3, "2026-03-04T09:10:00Z", createdAt="2026-03-04T08:00:00Z")])
    load(at(TODAY), online)
    online.shop.delete_orders([1])
    context = at(TOMORROW)
    load(context, online)
    assert buried(context) == [(1, datetime(2026, 3, 5, 9, 40), datetime(2026, 3, 6, 10))]
    assert context.warehouse.rows("SELECT entity, window_start, window_end FROM ops.correction_windows") == [
        ("sales", datetime(2026, 3, 5, 8), datetime(2026, 3, 5, 10))
    ]
    compared = (
        "SELECT day, source_rows, raw_rows, status FROM ops.source_comparisons"
        " WHERE source_rows > 0 AND compared_at = ? ORDER BY day"
    )
    assert context.warehouse.rows(compared, [context.as_of]) == [
        (date(2026, 3, 4), 1, 1, "equal"),
        (date(2026, 3, 5), 1, 1, "deleted"),
    ]
    load(at("2026-03-07T10:00"), online)
    assert len(buried(context)) == 1

    online.shop.upsert_orders([order(1, "2026-03-07T10:30:00Z")])  # restored
    load(at("2026-03-07T11:00"), online)
    assert raw(context, "orders", "order_id").count((1,)) == 3  # the version, its tombstone, the one after it


def test_an_order_that_was_edited_after_the_load_is_not_deleted(at: At, online: OnlineShop) -> None:
    online.shop.upsert_orders([order(1), order(2)])
    load(at(TODAY), online)
    online.shop.upsert_orders([order(1, "2026-03-06T10:00:30Z")])  # has left its day, and is read by the next load
    context = at(TOMORROW)
    load(context, online)
    assert (buried(context), asked(context)) == ([], [])


def test_a_shop_without_its_orders_is_a_question_that_withdraws_itself(at: At, online: OnlineShop) -> None:
    online.shop.upsert_orders(order(number) for number in range(1, 4))
    load(at(TODAY), online)
    online.shop.delete_orders([1, 2, 3])
    context = at(TOMORROW)
    load(context, online)
    assert (buried(context), asked(context)) == ([], [("shopify", date(2026, 3, 5), 3, 3, "open")])
    assert context.warehouse.value("SELECT COUNT(*) FROM ops.correction_windows") == 0
    online.shop.upsert_orders(order(number) for number in range(1, 4))
    load(at(LATER), online)
    assert (buried(context), asked(context)) == ([], [("shopify", date(2026, 3, 5), 3, 3, "withdrawn")])


@pytest.mark.parametrize(("deleted", "is_asked"), [(2, False), (3, True)])
def test_the_share_just_reached_and_just_passed(at: At, online: OnlineShop, deleted: int, is_asked: bool) -> None:
    online.shop.upsert_orders(order(number) for number in range(1, 11))
    load(at(TODAY), online)
    online.shop.delete_orders(range(1, deleted + 1))
    context = replace(at(TOMORROW), deletions=DeletionLimit(percent=20, rows=0))  # 2 of 10
    load(context, online)
    assert [number for number, *_ in buried(context)] == ([] if is_asked else [1, 2])
    assert bool(asked(context)) is is_asked


def test_what_was_confirmed_is_deleted_by_the_next_load(at: At, online: OnlineShop) -> None:
    online.shop.upsert_orders(order(number) for number in range(1, 4))
    load(at(TODAY), online)
    online.shop.delete_orders([1, 2, 3])
    load(at(TOMORROW), online)
    context = at(LATER)
    [question] = unanswered(context.warehouse, "shopify")
    confirm(context.warehouse, [question.question_id], "ada", "a test shop was cleared", context.as_of)
    load(context, online)
    assert [number for number, *_ in buried(context)] == [1, 2, 3]
    [done] = questions(context.warehouse)
    assert (done.state, done.confirmed_by, done.reason) == ("deleted", "ada", "a test shop was cleared")


def test_orders_that_the_token_may_not_see_are_not_looked_for(at: At, online: OnlineShop) -> None:
    old = order(1, "2026-03-05T09:10:00Z", createdAt="2026-01-05T09:00:00Z", processedAt="2026-03-05T09:00:00Z")
    online.shop.upsert_orders([old, order(2), order(3)])
    load(at(TODAY), online)
    online.shop.set_fault("missing_scope", {})
    online.shop.delete_orders([2])
    context = at("2026-03-06T10:00")
    load(context, online)
    online.shop.delete_orders([1])  # hidden as well, 60 days after it was made
    assert [number for number, *_ in buried(context)] == [2]


def test_a_shop_that_does_not_answer_deletes_nothing_and_is_compared_when_it_does(at: At, online: OnlineShop) -> None:
    online.shop.upsert_orders([order(1), order(2)])
    load(at(TODAY), online)
    online.shop.delete_orders([1])
    online.shop.set_fault("down", {"mode": "503"})
    context = at(TOMORROW)
    with pytest.raises(SourceError):
        load(context, online)
    online.shop.set_fault("down", None)
    load(context, online)
    assert [number for number, *_ in buried(context)] == [1]


def test_ids_are_listed_by_the_page_and_once_a_day(at: At, online: OnlineShop, asks: list[str]) -> None:
    online.source = replace(online.source, page_size=2)
    online.shop.upsert_orders(order(number) for number in range(1, 6))
    load(at(TODAY), online)
    asks.clear()
    context = at(TOMORROW)
    load(context, online)
    assert sum("OrderIdsPage" in document for document in asks) == 3  # 2 + 2 + 1 ids of the one day with orders
    assert sum("OrdersThere" in document for document in asks) == 1  # whether it is the shop of before
    asks.clear()
    load(at(LATER), online)
    assert sum("OrderIdsPage" in document for document in asks) == 0
