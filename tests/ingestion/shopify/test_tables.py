"""Shopify's records as tables: exact, or refused."""

from __future__ import annotations

import json
from copy import deepcopy
from datetime import datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from ingestion.contracts import entity
from ingestion.shopify.source import flatten_orders, retype
from ingestion.shopify.tables import orders as orders_module
from ingestion.shopify.tables.inventory import flatten_inventory
from ingestion.shopify.tables.products import flatten_products
from ingestion.shopify.tables.rejects import fitting
from ingestion.shopify.tables.shapes import UnfitError


def money(amount: str) -> dict[str, Any]:
    return {"shopMoney": {"amount": amount}}


def line(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": f"gid://shopify/LineItem/{number}",
        "sku": None,
        "title": "",
        "quantity": 1,
        "currentQuantity": 0,
        "originalUnitPriceSet": money("1.5"),
        "discountAllocations": [{"allocatedAmountSet": money(text)} for text in ("0.1", "0.2", "0.3")],
        "taxLines": [],
    } | changes


def order(number: int = 1, **changes: Any) -> dict[str, Any]:
    return {
        "id": f"gid://shopify/Order/{number}",
        "name": f"#{number}",
        "customer": None,
        "test": False,
        "currencyCode": "USD",
        "displayFinancialStatus": None,
        "displayFulfillmentStatus": "FULFILLED",
        "createdAt": "2026-03-05T10:00:00Z",
        "processedAt": "2026-03-05T11:00:00+01:00",
        "cancelledAt": None,
        "updatedAt": "2026-03-05T10:00:00Z",
        "subtotalPriceSet": None,
        "totalDiscountsSet": None,
        "totalTaxSet": None,
        "totalShippingPriceSet": money("0.1"),
        "totalPriceSet": money("99999999999999.9999"),
        "originalTotalPriceSet": money("0.3"),
        "currentTotalPriceSet": money("0.2"),
        "totalCashRoundingAdjustment": {"paymentSet": money("0.03"), "refundSet": money("0.01")},
        "taxesIncluded": True,
        "sourceName": None,
        "retailLocation": None,
        "agreements": {"nodes": []},
        "lineItems": {"nodes": [line(number * 10)]},
        "refunds": [],
    } | changes


def refund(
    number: int, total: str, *lines: tuple[str, str], shipping: tuple[tuple[str, str], ...] = ()
) -> dict[str, Any]:
    """A refund with the amounts (subtotal, tax) of its lines and of its shipping lines."""
    return {
        "id": f"gid://shopify/Refund/{number}",
        "createdAt": "2026-03-05T10:30:00Z",
        "note": None,
        "totalRefundedSet": money(total),
        "refundLineItems": {
            "nodes": [
                {
                    "id": f"gid://shopify/RefundLineItem/{number * 10 + place}",
                    "quantity": 1,
                    "lineItem": {"id": "gid://shopify/LineItem/5", "sku": "A"},
                    "subtotalSet": money(subtotal),
                    "totalTaxSet": money(tax),
                }
                for place, (subtotal, tax) in enumerate(lines)
            ]
        },
        "refundShippingLines": {
            "nodes": [{"subtotalAmountSet": money(amount), "taxAmountSet": money(tax)} for amount, tax in shipping]
        },
    }


def sale(number: int, total: str = "1.10", tax: str = "0.10", discount: str = "0.20", **changes: Any) -> dict[str, Any]:
    return {
        "id": f"gid://shopify/ProductSale/{number}",
        "actionType": "ORDER",
        "lineType": "PRODUCT",
        "quantity": 2,
        "totalAmount": {"shopMoney": {"amount": total, "currencyCode": "USD"}},
        "totalTaxAmount": money(tax),
        "totalDiscountAmountBeforeTaxes": money(discount),
        "totalDiscountAmountAfterTaxes": money("0.22"),
        "lineItem": {"id": "gid://shopify/LineItem/5", "sku": None},
    } | changes


def agreement(number: int, *sales: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "id": f"gid://shopify/OrderAgreement/{number}",
        "happenedAt": "2026-03-05T10:00:00Z",
        "reason": "ORDER",
        "sales": {"nodes": list(sales)},
    } | changes


def refunded(*refunds: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Refund rows as (refund, line, subtotal, tax, shipping)."""
    columns = ["refund_id", "refund_line_id", "subtotal_amount", "tax_amount", "shipping_amount"]
    rows = flatten_orders([order(refunds=list(refunds))])["refunds"].select(columns).to_pylist()
    return [
        (row["refund_id"], row["refund_line_id"], *(str(row[name].normalize()) for name in columns[2:])) for row in rows
    ]


def test_amounts_are_summed_exactly() -> None:
    tables = flatten_orders([order(), order(2, lineItems={"nodes": []}), order(3)])
    assert tables["orders"]["total_amount"].to_pylist() == [Decimal("99999999999999.9999")] * 3
    assert tables["orders"]["processed_at"].to_pylist() == [datetime(2026, 3, 5, 10)] * 3
    assert tables["orders"]["tax_amount"].to_pylist() == [None] * 3
    assert tables["order_lines"]["line_item_id"].to_pylist() == [10, 30]
    assert tables["order_lines"]["discount_amount"].to_pylist() == [Decimal("0.6000")] * 2
    assert tables["order_lines"]["tax_amount"].to_pylist() == [Decimal("0.0000")] * 2
    assert tables["refunds"].num_rows == 0
    # parts finer than a column holds are fine, where their sum is not
    halves = [{"priceSet": money("0.00005")}] * 2
    fine = flatten_orders([order(lineItems={"nodes": [line(1, taxLines=halves)]})])
    assert fine["order_lines"]["tax_amount"].to_pylist() == [Decimal("0.0001")]


def test_sales_of_agreements_are_rows_signed_as_shopify_states_them() -> None:
    shipping = sale(3, "4.95", "0", "1", id="gid://shopify/ShippingLineSale/3", lineType="SHIPPING", quantity=None)
    del shipping["lineItem"]
    back = sale(4, "-1.10", "-0.10", "-0.20", actionType="RETURN", quantity=-2)
    given = {"refund": {"id": "gid://shopify/Refund/7", "note": "torn"}, "happenedAt": "2026-03-06T10:00:00Z"}
    agreements = [agreement(1, sale(2), shipping), agreement(8, back, reason="REFUND", **given), agreement(9)]
    tables = flatten_orders([order(), order(2, agreements={"nodes": agreements})])
    rows = tables["sales"].to_pylist()
    columns = ("order_id", "agreement_id", "sale_id", "reason", "action_type", "line_type", "line_item_id", "quantity")
    assert [tuple(row[name] for name in columns) for row in rows] == [
        (2, 1, 2, "ORDER", "ORDER", "PRODUCT", 5, 2),
        (2, 1, 3, "ORDER", "ORDER", "SHIPPING", None, None),
        (2, 8, 4, "REFUND", "RETURN", "PRODUCT", 5, -2),
    ]
    amounts = ("total_amount", "tax_amount", "discount_before_taxes", "discount_after_taxes")
    assert [tuple(str(row[name].normalize()) for name in amounts) for row in rows] == [
        ("1.1", "0.1", "0.2", "0.22"),
        ("4.95", "0", "1", "0.22"),
        ("-1.1", "-0.1", "-0.2", "0.22"),
    ]
    assert [(row["refund_id"], row["note"], row["happened_at"].day, row["currency"]) for row in rows] == [
        (None, None, 5, "USD"),
        (None, None, 5, "USD"),
        (7, "torn", 6, "USD"),
    ]
    header = tables["orders"].to_pylist()[1]
    assert (header["cash_rounding_amount"], header["taxes_included"]) == (Decimal("0.0200"), True)


def test_no_orders_are_empty_tables() -> None:
    for name, table in flatten_orders([]).items():
        assert table.schema == pa.schema(entity("shopify", name).columns)
        assert table.num_rows == 0


def test_what_a_refund_gives_back_beyond_its_lines_is_one_row() -> None:
    assert refunded(
        refund(1, "11.61", ("11.34", "0.27")),
        refund(2, "14.11", ("11.34", "0.27"), shipping=(("2.00", "0.20"), ("0.30", "0.00"))),
        refund(3, "25.00"),  # a free amount
        refund(4, "13.00", ("11.34", "0.27"), shipping=(("1.00", "0"),)),  # something on top
        refund(5, "0.00", ("11.34", "0.27")),  # never paid: the goods came back all the same
        refund(6, "0"),
    ) == [
        (1, 10, "11.34", "0.27", "0"),
        (2, 20, "11.34", "0.27", "0"),
        (4, 40, "11.34", "0.27", "0"),
        (5, 50, "11.34", "0.27", "0"),
        (2, None, "0", "0.2", "2.3"),
        (3, None, "25", "0", "0"),
        (4, None, "0.39", "0", "1"),
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "gid://shopify/Customer/1"},
        {"id": "gid://shopify/Order/one"},
        {"id": None},
        {"name": 5},
        {"test": "no"},
        {"test": None},
        {"createdAt": "2026-03-05T10:00:00"},  # of which zone?
        {"createdAt": "2026-02-30T10:00:00Z"},
        {"totalPriceSet": None},
        {"totalPriceSet": money("1e400")},
        {"totalPriceSet": money("0.00001")},
        {"totalPriceSet": money("NaN")},
        {"totalPriceSet": {"shopMoney": {"amount": 1.5}}},
        {"lineItems": None},
        {"lineItems": {"nodes": [None]}},
        {"lineItems": {"nodes": [line(1, quantity=1.5)]}},
        {"lineItems": {"nodes": [line(1, quantity=True)]}},
        {"lineItems": {"nodes": [line(1, quantity=2**63)]}},
        {"lineItems": {"nodes": [line(1, taxLines=[{"priceSet": money("0.00001")}])]}},
        {"lineItems": {"nodes": [line(1, taxLines=[{"priceSet": None}])]}},
        {"refunds": [refund(1, "1", ("0.00001", "0"))]},
        {"refunds": [refund(1, "0.00001")]},
        {"refunds": [refund(1, "1") | {"totalRefundedSet": None}]},
        {"customer": {}},
        {"retailLocation": {"id": "gid://shopify/Customer/1", "name": "Soho"}},
        {"totalCashRoundingAdjustment": None},
        {"agreements": {"nodes": [agreement(1, sale(1, total="0.00001"))]}},
        {"agreements": {"nodes": [agreement(1, sale(1, id="gid://shopify/Sale/one"))]}},
        {"agreements": {"nodes": [agreement(1, sale(1, quantity=1.5))]}},
        {"agreements": {"nodes": [agreement(1, sale(1), reason=None)]}},
        {"agreements": {"nodes": [agreement(1, sale(1), happenedAt="2026-03-05")]}},
    ],
)
def test_what_does_not_fit_exactly_is_refused_alone(changes: dict[str, Any]) -> None:
    bad = order(2) | changes
    with pytest.raises(UnfitError):
        flatten_orders([bad])
    tables, unfit = fitting(flatten_orders, [order(1), bad, order(3), order(4)])
    assert tables["orders"]["order_id"].to_pylist() == [1, 3, 4]
    assert tables["order_lines"]["order_id"].to_pylist() == [1, 3, 4]
    assert [place for place, _ in unfit] == [1]


@pytest.mark.parametrize("bug", [KeyError("colum"), TypeError("+"), AttributeError("lower"), ValueError("shape")])
def test_a_bug_of_our_own_is_no_fault_of_the_record(bug: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*_: object) -> None:
        raise bug

    monkeypatch.setattr(orders_module, "line_table", wrong)
    for records in ([order(1)], [order(1), order(2) | {"name": 5}], [order(1), order(2)]):
        with pytest.raises(type(bug)) as raised:
            fitting(flatten_orders, records)
        assert raised.value is bug


@pytest.mark.parametrize("wrong", [None, 5, "text", [], [[]]])
def test_what_is_no_record_at_all_is_refused_alone(wrong: Any) -> None:
    tables, unfit = fitting(flatten_orders, [order(1), wrong])
    assert (tables["orders"]["order_id"].to_pylist(), [place for place, _ in unfit]) == ([1], [1])


def test_a_missing_key_is_no_null() -> None:
    for key in ("updatedAt", "totalPriceSet", "lineItems", "refunds", "agreements"):
        bad = deepcopy(order())
        del bad[key]
        with pytest.raises(UnfitError):
            flatten_orders([bad])


def test_any_text_lands_as_it_is() -> None:
    texts = ["", " ", "a\x00b", "\u2028\n", "\U0001f3fa e\u0301", '"', "\\u0041"]
    records = json.loads(json.dumps([order(number, name=text) for number, text in enumerate(texts)]))
    assert flatten_orders(records)["orders"]["name"].to_pylist() == texts


def test_products_and_levels() -> None:
    variant = {
        "id": "gid://shopify/ProductVariant/7",
        "sku": None,
        "title": "Blue",
        "price": "12.34",
        "updatedAt": "2026-03-02T00:00:00Z",
        "inventoryItem": {"id": "gid://shopify/InventoryItem/9", "unitCost": None},
    }
    product = {
        "id": "gid://shopify/Product/1",
        "title": "Mug",
        "vendor": "Clay",
        "productType": "",
        "status": "ACTIVE",
        "updatedAt": "2026-03-01T00:00:00Z",
    }
    many = [product | {"variants": {"nodes": [variant]}}, product | {"variants": {"nodes": []}}]
    (row,) = flatten_products(many)["products"].to_pylist()
    assert (row["variant_id"], row["product_id"], row["unit_cost"]) == (7, 1, None)
    assert row["updated_at"] == datetime(2026, 3, 2)  # the later one
    quantities = [{"name": name, "quantity": place} for place, name in enumerate(("on_hand", "incoming", "available"))]
    level = {
        "updatedAt": "2026-03-01T00:00:00Z",
        "location": "gid://shopify/Location/1",
        "item": {"id": "gid://shopify/InventoryItem/9", "sku": "A"},
        "quantities": quantities,
    }
    (row,) = flatten_inventory([level])["inventory"].to_pylist()
    assert (row["available"], row["on_hand"], row["on_order"]) == (2, 0, 1)
    for wrong in (quantities[:2], [*quantities, quantities[2]]):
        with pytest.raises(UnfitError):
            flatten_inventory([level, level | {"quantities": wrong}])
    for wrong in (quantities[1:], [*quantities, quantities[1]], None):
        with pytest.raises(UnfitError):
            flatten_inventory([level, level | {"others": [{"quantities": wrong}]}])
    others = [{"quantities": [{"name": "on_hand", "quantity": 7}, {"name": "incoming", "quantity": 2}]}]
    many = [level, level | {"others": others * 2}, level | {"others": []}, level | {"others": None}, level]
    found = flatten_inventory([*many, level | {"others": others}])["inventory"].to_pylist()
    assert [row["sku_on_hand"] for row in found] == [None, 14, None, None, None, 7]
    assert [row["sku_on_order"] for row in found] == [None, 5, None, None, None, 3]
    most = [{"quantities": [{"name": name, "quantity": 2**63 - 1} for name in ("on_hand", "incoming")]}]
    (row,) = flatten_inventory([level | {"quantities": quantities, "others": [{"quantities": quantities}]}])[
        "inventory"
    ].to_pylist()
    assert (row["sku_on_hand"], row["sku_on_order"]) == (0, 2)
    with pytest.raises(UnfitError):
        flatten_inventory([level | {"others": most}])


def test_rejected_texts_are_read_again_with_todays_rules() -> None:
    texts = [json.dumps(order(1)), "{", json.dumps(order(2, name=None)), "[]", json.dumps(order(3))]
    pairs, read = retype("orders", pa.chunked_array([texts[:2], texts[2:]]))
    assert read.tolist() == [True, False, False, False, True]
    tables = dict(pairs)
    assert list(tables) == ["shopify_orders", "shopify_order_lines", "shopify_refunds", "shopify_sales"]
    assert tables["shopify_orders"]["order_id"].to_pylist() == [1, 3]
    assert tables["shopify_order_lines"]["order_id"].to_pylist() == [1, 3]
    pairs, read = retype("inventory", pa.array([], pa.string()))
    assert (pairs[0][1].num_rows, read.tolist()) == (0, [])
    with pytest.raises(KeyError):
        retype("order_lines", pa.array([], pa.string()))
