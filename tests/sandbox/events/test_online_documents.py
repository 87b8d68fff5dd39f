"""The shop's documents say what happened online, in the shop's own terms."""

from __future__ import annotations

from decimal import Decimal

import numpy as np

from sandbox.business import Business
from sandbox.events.online_documents import order_documents
from sandbox.shopify.agreements import agreements
from sandbox.shopify.amounts import refunded
from tests.support.simulated import HOUR


def test_a_refund_is_stated_as_the_prices_are_and_its_ledger_gives_what_came_back_without_tax(tiny: Business) -> None:
    """Where prices include their tax, so does the subtotal of what comes back; elsewhere the tax comes on top."""
    looked_at = {True: 0, False: 0}
    for day in range(40):
        online = tiny.online_day(day)
        back = online.refunds[(online.refunds["edit"] == 0) & (online.refunds["line"] >= 0)]
        positions = np.unique(back["position"].to_numpy())
        long_after = tiny.epoch + (day + 30) * 24 * HOUR
        for document in order_documents(tiny.catalogue, online, positions, long_after):
            included = document["taxesIncluded"]
            happened = back[back["refund_id"].isin([refund["id"] for refund in document["refunds"]])]
            sales = [
                sale
                for agreement in agreements(document)
                for sale in agreement["sales"]
                if agreement["reason"] == "REFUND" and sale["lineType"] == "PRODUCT"
            ]
            assert (
                sum(sale["tax"] - sale["total"] for sale in sales) == Decimal(int(happened["subtotal"].sum())) / 10_000
            )
            goods = sum(happened["subtotal"]) + sum(happened["tax"])
            paid = [refunded({**refund, "order": document, "shipping": "0"}) for refund in document["refunds"]]
            extra = sum(Decimal(refund.get("amount", "0")) for refund in document["refunds"])
            assert sum(paid) - extra == Decimal(int(goods)) / 10_000
            looked_at[included] += 1
    assert looked_at[True] >= 1
    assert looked_at[False] >= 20
