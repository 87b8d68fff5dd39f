"""Result files of bulk operations: whole and exact, or not taken."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ingestion.shopify import bulk_orders as shopify_bulk_orders
from ingestion.shopify.bulk import Operation
from ingestion.shopify.bulk_orders import IncompleteResultError, read_orders


def money(amount: str) -> dict[str, Any]:
    return {"shopMoney": {"amount": amount}}


def header(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": f"gid://shopify/Order/{number}",
        "name": f"#{number}",
        "createdAt": "2026-03-05T08:00:00Z",
        "processedAt": "2026-03-05T08:00:01Z",
        "updatedAt": f"2026-03-05T09:00:{number:02d}Z",
        "cancelledAt": None,
        "test": False,
        "currencyCode": "USD",
        "displayFinancialStatus": "PAID",
        "displayFulfillmentStatus": "UNFULFILLED",
        "customer": None,
        "subtotalPriceSet": money("1.0"),
        "totalDiscountsSet": money("0.0"),
        "totalTaxSet": money("0.0"),
        "totalShippingPriceSet": money("0.0"),
        "totalPriceSet": money("1.0"),
        "originalTotalPriceSet": money("1.0"),
        "currentTotalPriceSet": money("1.0"),
        "totalCashRoundingAdjustment": {"paymentSet": money("0.0"), "refundSet": money("0.0")},
        "taxesIncluded": False,
        "sourceName": "web",
        "retailLocation": None,
        "refunds": [],
    } | changes


def child(number: int, of_order: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": f"gid://shopify/LineItem/{number}",
        "sku": "A",
        "title": "Mug",
        "quantity": 1,
        "currentQuantity": 1,
        "originalUnitPriceSet": money("1.0"),
        "discountAllocations": [],
        "taxLines": [{"priceSet": money("0.1")}, {"priceSet": money("0.25")}],
        "__parentId": f"gid://shopify/Order/{of_order}",
    } | changes


def agreement(number: int, of_order: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": f"gid://shopify/OrderAgreement/{number}",
        "happenedAt": f"2026-03-05T08:{number:02d}:00Z",
        "reason": "ORDER",
        "__parentId": f"gid://shopify/Order/{of_order}",
    } | changes


def sale(number: int, of_agreement: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": f"gid://shopify/ProductSale/{number}",
        "actionType": "ORDER",
        "lineType": "PRODUCT",
        "quantity": 1,
        "totalAmount": {"shopMoney": {"amount": "1.0", "currencyCode": "USD"}},
        "totalTaxAmount": money("0.0"),
        "totalDiscountAmountBeforeTaxes": money("0.0"),
        "totalDiscountAmountAfterTaxes": money("0.0"),
        "lineItem": {"id": "gid://shopify/LineItem/5", "sku": "A"},
        "__parentId": f"gid://shopify/OrderAgreement/{of_agreement}",
    } | changes


@pytest.fixture
def written(tmp_path: Path) -> Iterator[Callable[..., tuple[Path, Operation]]]:
    """Records as the file of a finished operation."""

    def write(*records: dict[str, Any], text: str | None = None, **shown: Any) -> tuple[Path, Operation]:
        path = tmp_path / "result.jsonl"
        path.write_text(text or "".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
        roots = sum("__parentId" not in record for record in records)
        given = {"objects": len(records), "roots": roots} | shown
        return path, Operation("1", "{}", "COMPLETED", None, given["objects"], given["roots"], None, "http://x")

    yield write


@pytest.mark.parametrize("block", [60, 1 << 20])
def test_lines_find_their_orders_wherever_they_stand(
    written: Callable[..., tuple[Path, Operation]], monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(shopify_bulk_orders, "BLOCK", block)
    path, operation = written(
        header(1), child(13, 2), header(2), child(11, 1), child(12, 2), header(3), child(14, 1), child(10, 2)
    )
    found = read_orders(path, operation)
    assert (found.again, found.found) == ([], 3)
    columns = ["order_id", "line_position", "line_item_id", "order_updated_at", "tax_amount"]
    lines = sorted(tuple(row.values()) for row in found.tables["order_lines"].select(columns).to_pylist())
    second = [datetime(2026, 3, 5, 9, 0, number) for number in range(4)]
    tax = Decimal("0.3500")
    assert lines == [
        (1, 1, 11, second[1], tax),
        (1, 2, 14, second[1], tax),
        (2, 1, 13, second[2], tax),
        (2, 2, 12, second[2], tax),
        (2, 3, 10, second[2], tax),
    ]


@pytest.mark.parametrize("block", [60, 1 << 20])
def test_sales_find_their_orders_through_their_agreements(
    written: Callable[..., tuple[Path, Operation]], monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(shopify_bulk_orders, "BLOCK", block)
    shipping = sale(33, 22, lineType="SHIPPING", quantity=None)
    del shipping["lineItem"]
    path, operation = written(
        *(
            header(1),
            agreement(21, 1),
            sale(31, 21),
            header(2),
            agreement(22, 2),
            agreement(23, 1, reason="ORDER_EDIT"),
        ),
        *(sale(32, 22), shipping, sale(34, 23), header(3), agreement(24, 3), agreement(25, 4), header(4)),
        *(sale(35, 24, quantity=1.5), sale(36, 24), sale(37, 25)),
    )
    found = read_orders(path, operation)
    assert found.again == ["gid://shopify/Order/3"]  # one of its sales does not fit
    columns = ["order_id", "order_updated_at", "agreement_id", "happened_at", "reason", "sale_id", "line_item_id"]
    changed, happened = datetime(2026, 3, 5, 9), datetime(2026, 3, 5, 8)
    assert sorted(tuple(row.values()) for row in found.tables["sales"].select(columns).to_pylist()) == [
        (1, changed.replace(second=1), 21, happened.replace(minute=21), "ORDER", 31, 5),
        (1, changed.replace(second=1), 23, happened.replace(minute=23), "ORDER_EDIT", 34, 5),
        (2, changed.replace(second=2), 22, happened.replace(minute=22), "ORDER", 32, 5),
        (2, changed.replace(second=2), 22, happened.replace(minute=22), "ORDER", 33, None),
        (4, changed.replace(second=4), 25, happened.replace(minute=25), "ORDER", 37, 5),
    ]


def test_what_a_file_cannot_say_is_read_again(written: Callable[..., tuple[Path, Operation]]) -> None:
    path, operation = written(
        header(1),
        header(2, refunds=[{"id": "gid://shopify/Refund/1"}]),
        header(3, totalPriceSet=money("0.12345")),
        header(4),
        header(5),
        header(5, updatedAt="2026-03-05T09:30:00Z"),
        *(child(10 + number, number) for number in range(1, 6)),
        child(20, 4, quantity=1.5),
    )
    found = read_orders(path, operation)
    assert sorted(found.again) == [f"gid://shopify/Order/{number}" for number in (2, 3, 4, 5)]
    assert found.tables["orders"]["order_id"].to_pylist() == [1]
    assert found.tables["order_lines"]["line_item_id"].to_pylist() == [11]


@pytest.mark.parametrize(
    ("records", "shown", "why"),
    [
        ([header(1), child(11, 1)], {"objects": 3}, "has 2 objects .1 orders., not 3"),
        ([header(1), child(11, 1)], {"roots": 2}, "not 2 objects .2 orders."),
        ([header(1), child(11, 2)], {}, "1 lines of orders that are not in it"),
        ([header(1), agreement(21, 1), sale(31, 22)], {}, "1 sales of agreements that are not in it"),
        ([header(1), agreement(21, 2), sale(31, 21)], {}, "1 sales of orders that are not in it"),
        ([], {"text": json.dumps(header(1)) + '\n{"id": "gid://shop'}, "is no JSON"),
        ([], {"text": json.dumps({"id": "gid://shopify/Order/1"}) + "\n"}, "neither an order nor a part of one"),
        ([], {"text": "[]\n"}, "neither an order nor a part of one"),
        ([header(1) | {"id": 1}], {}, "cannot be read: Expected bytes, got a 'int' object"),
        ([header(1), child(11, 1) | {"__parentId": "gid://shopify/Product/1"}], {}, "cannot be read: an id that"),
    ],
)
def test_a_file_that_is_not_whole_is_told(
    written: Callable[..., tuple[Path, Operation]], records: list[dict[str, Any]], shown: dict[str, Any], why: str
) -> None:
    with pytest.raises(IncompleteResultError, match=why):
        read_orders(*written(*records, **shown))


def test_an_endless_line_does_not_fill_the_memory(
    written: Callable[..., tuple[Path, Operation]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shopify_bulk_orders, "BLOCK", 10)
    monkeypatch.setattr(shopify_bulk_orders, "LONGEST_LINE", 100)
    with pytest.raises(IncompleteResultError, match="never ends"):
        read_orders(*written(text="x" * 200))
