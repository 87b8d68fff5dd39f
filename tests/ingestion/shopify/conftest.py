"""What tests of Shopify share."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ingestion.shopify import bulk_orders as shopify_bulk_orders
from ingestion.shopify import source as shopify

if TYPE_CHECKING:
    from conftest import OnlineShop

from tests.support.bulk_orders import order


@pytest.fixture
def shop(online: OnlineShop, monkeypatch: pytest.MonkeyPatch) -> OnlineShop:
    """Twelve orders, of which a piece may have six; blocks of a few lines; waits that are over at once."""
    monkeypatch.setattr(shopify, "BULK_FROM", 5)
    monkeypatch.setattr(shopify, "PIECE_ORDERS", 6)
    monkeypatch.setattr(shopify_bulk_orders, "BLOCK", 3000)
    online.source = replace(online.source, pause=lambda _: threading.Event().wait(0.005) and None)
    online.shop.upsert_orders(order(number) for number in range(1, 13))
    return online
