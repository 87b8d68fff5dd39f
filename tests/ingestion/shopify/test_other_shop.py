"""A token of another shop is found before anything of it is read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

import pytest

from ingestion.loading.context import IngestContext, Window
from ingestion.loading.same_source import AnotherSourceError
from ingestion.shopify.source import ingest
from tests.support.shop_documents import order

if TYPE_CHECKING:
    from conftest import OnlineShop

At = Callable[[str], IngestContext]


def test_a_shop_without_the_orders_of_before_is_refused_until_somebody_reads_on_from_it(
    at: At, online: OnlineShop
) -> None:
    online.shop.upsert_orders(order(number) for number in range(1, 6))
    ingest(at("2026-03-05T10:00"), online.source)
    online.shop.delete_orders(range(1, 6))
    online.shop.upsert_orders(order(number, "2026-03-05T10:20:00Z") for number in range(11, 14))
    context = at("2026-03-05T11:00")
    with pytest.raises(AnotherSourceError, match="none of the 5 orders that were loaded last") as refused:
        ingest(context, online.source)
    assert context.warehouse.value("SELECT COUNT(DISTINCT order_id) FROM raw.shopify_orders") == 5
    assert "insightmart ingest shopify --from 2026-03-05T10:00 --to 2026-03-05T11:00" in refused.value.cure
    ingest(context, online.source, Window(datetime(2026, 3, 5, 10), datetime(2026, 3, 5, 11)))
    online.shop.upsert_orders([order(14, "2026-03-05T11:20:00Z"), order(15, "2026-03-05T11:20:00Z")])
    ingest(at("2026-03-05T12:00"), online.source)
    assert context.warehouse.value("SELECT COUNT(DISTINCT order_id) FROM raw.shopify_orders") == 10


def test_orders_that_were_deleted_but_for_one_are_no_other_shop(at: At, online: OnlineShop) -> None:
    online.shop.upsert_orders(order(number) for number in range(1, 7))
    ingest(at("2026-03-05T10:00"), online.source)
    online.shop.delete_orders(range(2, 7))
    ingest(at("2026-03-05T11:00"), online.source)
