"""The shop's own sales report: its figures by day, worked out by hand, and what becomes of one that cannot be had."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from ingestion.loading.context import IngestContext, LoadResult, Window
from ingestion.shopify.client import ShopifyClient
from ingestion.shopify.sales_reports import COLUMNS, MEASURES, sales_report
from ingestion.shopify.source import ingest
from tests.support.shop_documents import by_entity, line, order, raw, refund, refund_line

if TYPE_CHECKING:
    from conftest import OnlineShop

At = Callable[[str], IngestContext]
NEXT_DAY, DAY_AFTER = "2026-03-06T10:00", "2026-03-07T10:00"
FIGURES = "business_date, " + ", ".join(MEASURES)


def load(context: IngestContext, online: OnlineShop) -> dict[str, LoadResult]:
    return by_entity(ingest(context, online.source))


def figures(context: IngestContext) -> dict[date, dict[str, Decimal]]:
    """What raw holds of each day, without measures of nothing."""
    rows = context.warehouse.records(f"SELECT {FIGURES} FROM raw.shopify_sales_reports ORDER BY 1")
    return {row.pop("business_date"): {name: value for name, value in row.items() if value} for row in rows}


def notices(context: IngestContext) -> list[str]:
    return [f"{notice.subject}: {notice.message}. {notice.cure}" for notice in context.notices]


def table(*rows: Any, **columns: str) -> dict[str, Any]:
    """The fault of a shop that answers with this table."""
    kinds = COLUMNS | columns
    return {"tableData": {"columns": [{"name": name, "dataType": kind} for name, kind in kinds.items()], "rows": rows}}


def day(text: str, **measures: Any) -> dict[str, Any]:
    return {"day": text} | dict.fromkeys(MEASURES, "0.0") | measures


def test_each_day_is_what_the_shop_counts_of_it(at: At, online: OnlineShop) -> None:
    gift = line(2002, kind="GIFT_CARD", quantity=1, unitPrice="50.00", discount="0", tax="0")
    tip = line(2003, kind="TIP", quantity=1, unitPrice="3.00", discount="0", tax="0")
    fees = [{"type": "DUTY", "amount": "4.00"}, {"type": "ADDITIONAL_FEE", "amount": "2.00"}]
    returned = refund(9, [refund_line(90, 4001)]) | {"createdAt": "2026-03-06T16:00:00Z"}
    online.shop.upsert_orders(
        [
            order(1),
            order(2, lineItems=[line(2001), gift, tip]),
            order(3, "2026-03-06T15:00:00Z", cancelledAt="2026-03-06T15:00:00Z"),
            order(4, "2026-03-06T16:00:00Z", refunds=[returned], charges=fees),
            order(5, test=True),
            order(6, processedAt="2026-03-06T04:59:59Z"),  # still the 5th in New York
        ]
    )
    context = at(DAY_AFTER)
    found = load(context, online)["sales_reports"]
    # an order: 2 x 12.34 less 1.00, 0.55 of tax, 5.00 of shipping; five of them, one with a duty and a fee
    placed = {"gross_sales": "123.40", "discounts": "-5.00", "net_sales": "118.40", "shipping_charges": "25.00"}
    placed |= {"taxes": "2.75", "duties": "4.00", "additional_fees": "2.00", "total_sales": "152.15"}
    # an order cancelled, 23.68 of goods; 11.34 and 0.27 of tax given back
    reversed_ = {"sales_reversals": "-35.02", "net_sales": "-35.02", "shipping_charges": "-5.00", "taxes": "-0.82"}
    reversed_ |= {"total_sales": "-40.84"}
    assert figures(context) == {date(2026, 3, number): {} for number in range(1, 5)} | {
        date(2026, 3, 5): {name: Decimal(value) for name, value in placed.items()},
        date(2026, 3, 6): {name: Decimal(value) for name, value in reversed_.items()},
    }
    assert (found.rows, found.source_sum, found.landed_sum) == (6, Decimal("111.31"), Decimal("111.31"))
    assert found.window == Window(datetime(2026, 3, 1, 5), datetime(2026, 3, 7, 5))
    assert notices(context) == []


def test_it_is_read_once_a_utc_day_and_the_last_days_again(
    at: At, online: OnlineShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    query = ShopifyClient.query

    def noted(client: ShopifyClient, document: str, variables: Any = None) -> Any:
        if "shopifyqlQuery" in document:
            asked.append(variables["query"])
        return query(client, document, variables)

    monkeypatch.setattr(ShopifyClient, "query", noted)
    for as_of in ("2026-03-12T03:00", "2026-03-12T23:00", "2026-03-13T04:00", "2026-03-13T05:00"):
        load(at(as_of), online)
    # at 03:00 UTC the 11th has not ended in New York; eight days before today there
    assert asked == [
        sales_report(date(2026, 3, 3), date(2026, 3, 10)),
        sales_report(date(2026, 3, 5), date(2026, 3, 12)),
    ]


def test_an_order_that_is_imported_later_stands_in_the_next_report_of_its_day(at: At, online: OnlineShop) -> None:
    load(at(NEXT_DAY), online)
    online.shop.upsert_orders([order(1, "2026-03-06T12:00:00Z", createdAt="2026-03-06T12:00:00Z")])
    context = at(DAY_AFTER)
    load(context, online)
    of_day = context.warehouse.rows(
        "SELECT _loaded_at, gross_sales FROM raw.shopify_sales_reports WHERE business_date = '2026-03-05' ORDER BY 1"
    )
    assert of_day == [(datetime(2026, 3, 6, 10), 0), (datetime(2026, 3, 7, 10), Decimal("24.68"))]


@pytest.mark.parametrize(
    ("fault", "value", "cause", "cure"),
    [
        ("lost_scopes", {"handles": ["read_reports"]}, "the token has no scope read_reports", "level 2 access"),
        ("reports_denied", {}, "Access denied for shopifyqlQuery field", "access scope"),
        ("report_says", {"parseErrors": ["Column not found: duties"], "tableData": None}, "Column not found", "schema"),
        ("report_says", {"tableData": None}, "no table", "schema sales"),
        ("report_says", table(net_sales="STRING"), "net_sales MONEY, net_sales STRING", "sales_reports.py"),
        ("report_says", table(tips="MONEY"), "(tips MONEY)", "sales_reports.py"),
    ],
)
def test_a_report_that_cannot_be_had_is_said_and_the_rest_is_loaded(
    at: At, online: OnlineShop, fault: str, value: dict[str, Any], cause: str, cure: str
) -> None:
    online.shop.upsert_orders([order(1)])
    online.shop.set_fault(fault, value)
    context = at(NEXT_DAY)
    results = load(context, online)
    assert results["orders"].rows == 1
    assert "sales_reports" not in results
    (notice,) = notices(context)
    assert notice.startswith("shopify_sales_reports: the shop's own sales report cannot be read")
    assert cause in notice
    assert cure in notice
    online.shop.set_fault(fault, None)
    context = at("2026-03-06T11:00")
    load(context, online)  # the next load asks again
    assert figures(context)[date(2026, 3, 5)]["gross_sales"] == Decimal("24.68")


def test_a_report_with_nothing_to_say_is_none_and_no_failure(at: At, online: OnlineShop) -> None:
    """A shop that never sold anything answers without rows, and without columns."""
    online.shop.set_fault("report_says", {"tableData": {"columns": [], "rows": []}})
    context = at(NEXT_DAY)
    assert load(context, online)["sales_reports"].rows == 0
    assert figures(context) == {}
    assert notices(context) == []


def test_a_shop_with_days_of_another_zone_is_not_compared(at: At, online: OnlineShop) -> None:
    online.source = replace(online.source, timezone="Europe/Berlin")
    context = at(NEXT_DAY)
    load(context, online)
    assert figures(context) == {}
    assert "its days are those of America/New_York, online business dates those of Europe/Berlin" in notices(context)[0]


@pytest.mark.parametrize(
    "bad",
    [
        day("2026-03-04", taxes="twelve"),
        day("2026-03-04", taxes="0.00001"),
        day("2026-03-04", taxes=0.5),
        day("the 4th"),
        day("2026-03-04", gross_sales="10.00", discounts="1.00", net_sales="9.00"),  # signed otherwise
        {"taxes": "1.00"},
    ],
)
def test_a_day_that_does_not_fit_is_rejected_alone(at: At, online: OnlineShop, bad: dict[str, Any]) -> None:
    good = day("2026-03-05", gross_sales="10.00", discounts="-1.00", net_sales="9.00", total_sales=None)
    online.shop.set_fault("report_says", table(bad, good))
    context = at(NEXT_DAY)
    found = load(context, online)["sales_reports"]
    assert (found.rows, found.rejected_rows) == (1, 1)
    assert raw(context, "sales_reports", "business_date, net_sales, total_sales") == [(date(2026, 3, 5), 9, 0)]
    (rejected,) = context.warehouse.rows("SELECT source, entity, rule_id FROM raw.rejects")
    assert rejected == ("shopify", "sales_reports", "record_invalid")


def test_days_of_a_window_can_be_read_again(at: At, online: OnlineShop) -> None:
    context = at("2026-04-06T10:00")
    window = Window(datetime(2026, 3, 5, 5), datetime(2026, 3, 7, 5))
    ingest(context, online.source, window, ["sales_reports"])
    assert list(figures(context)) == [date(2026, 3, 5), date(2026, 3, 6)]
