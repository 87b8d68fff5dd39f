"""The simulated shop's sales report: what it answers, and that it is what happened, told from the events themselves."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from sandbox.events.catalogue import COMPANY_ZONE, Catalogue
from sandbox.events.draws import Integers
from sandbox.events.instants import DAY, date_of, to_instant, to_local
from sandbox.events.online_documents import order_documents
from sandbox.events.online_sales import OnlineDay, online_day
from sandbox.events.sizes import size_of
from sandbox.events.versions import NULL
from tests.support.simulated import START, hours
from tests.support.simulated_shop import Client, order

SHOWN = "gross_sales, discounts, sales_reversals, net_sales, shipping_charges, taxes, duties, total_sales"
REPORT = """
query Report($query: String!) {
  shopifyqlQuery(query: $query) { parseErrors tableData { columns { name dataType } rows } }
}
"""
HOURS = 96
AN_ORDER = {"gross_sales": "172.8384", "discounts": "-7.00", "net_sales": "165.8384", "shipping_charges": "35.00"}
AN_ORDER |= {"taxes": "3.85", "total_sales": "204.6884"}  # seven of them: 2 x 12.3456 less 1.00, 0.55 and 5.00 beside


def ask(client: Client, shown: str = SHOWN, since: str = "2026-03-05", until: str = "2026-03-05") -> dict[str, Any]:
    query = f"FROM sales SHOW {shown} SINCE {since} UNTIL {until} TIMESERIES day"
    found: dict[str, Any] = client.data(REPORT, query=query)["shopifyqlQuery"]
    return found


def test_a_day_is_a_row_with_its_figures_as_texts(client: Client) -> None:
    client.shop.upsert_orders([order(8, "2026-03-05T10:00:00Z") | {"test": True}])
    found = ask(client, until="2026-03-06")
    assert found["parseErrors"] == []
    assert [column["dataType"] for column in found["tableData"]["columns"]] == ["DAY_TIMESTAMP", *["MONEY"] * 8]
    first, second = found["tableData"]["rows"]
    assert first["day"] == "2026-03-05"
    figures = {name: Decimal(first[name]) for name in SHOWN.split(", ") if Decimal(first[name])}
    assert figures == {name: Decimal(value) for name, value in AN_ORDER.items()}
    assert {name: Decimal(second[name]) for name in SHOWN.split(", ")} == dict.fromkeys(SHOWN.split(", "), 0)


@pytest.mark.parametrize(
    ("shown", "since", "error"),
    [("gross_sales, returns", "2026-03-05", "Column not found: returns"), (SHOWN, "yesterday", "Syntax error")],
)
def test_what_it_does_not_understand_is_said(client: Client, shown: str, since: str, error: str) -> None:
    found = ask(client, shown, since)
    assert found["tableData"] is None
    assert error in found["parseErrors"][0]


def test_without_its_scope_or_access_to_customers_it_is_refused(client: Client) -> None:
    for fault, value in (("lost_scopes", {"handles": ["read_reports"]}), ("reports_denied", {})):
        client.shop.set_fault(fault, value)
        assert client.code(REPORT, query="FROM sales SHOW gross_sales") == "ACCESS_DENIED"
        client.shop.set_fault(fault, None)


def test_every_day_is_what_happened(client: Client) -> None:
    catalogue, clock = Catalogue(1, size_of("0.2"), START), to_instant(hours(HOURS))
    happened = [online_day(catalogue, day) for day in range(HOURS // 24)]
    for day in happened:
        there = (day.orders["created_at"] < clock) & (day.orders["deleted_at"] >= clock)
        client.shop.upsert_orders(order_documents(catalogue, day, np.flatnonzero(there), clock))
    client.shop.delete_orders(range(1, 8))  # those of the fixture
    until = START + timedelta(days=HOURS // 24)
    rows = ask(client, since=f"{START - timedelta(days=1)}", until=f"{until}")["tableData"]["rows"]
    told = _told(happened, clock)
    for row in rows:
        expected = told[date.fromisoformat(row["day"])]
        found = {name: Decimal(row[name]) for name in expected}
        assert found == {name: Decimal(amount) / 10_000 for name, amount in expected.items()}, row["day"]
    assert sum(Decimal(row["sales_reversals"]) for row in rows) < 0
    assert len([row for row in rows if Decimal(row["gross_sales"])]) >= 4


def _told(happened: list[OnlineDay], clock: int) -> dict[date, dict[str, int]]:
    """Measures by day in ten-thousandths, out of the events: no document and no ledger between."""
    told: dict[date, dict[str, int]] = defaultdict(lambda: dict.fromkeys(("gross_sales", "discounts"), 0))
    for day in happened:
        orders, lines, refunds = day.orders, day.lines, day.refunds
        counts = (orders["created_at"] < clock) & (orders["deleted_at"] >= clock) & (orders["is_test"] == 0)
        kept, position = counts.to_numpy(), lines["position"].to_numpy()
        added = lines["added_at"].to_numpy()
        sold_at = np.where(added == NULL, orders["processed_at"].to_numpy()[position], added)
        sold = kept[position] & (sold_at < clock)
        given_back = kept[refunds["position"].to_numpy()] & (refunds["created_at"].to_numpy() < clock)
        left = {name: np.zeros(len(orders), dtype=np.int64) for name in ("goods", "taxes", "shipping")}

        def note(name: str, at: Integers, amounts: Integers, mask: Any) -> None:
            for number, amount in zip((to_local(at, COMPANY_ZONE) // DAY)[mask], amounts[mask], strict=True):
                of_day = told[date_of(number)]
                of_day[name] = of_day.get(name, 0) + int(amount)

        gross = (lines["quantity"] * lines["unit_price"]).to_numpy()
        discount, back_at = lines["discount"].to_numpy(), refunds["created_at"].to_numpy()
        back = -(refunds["subtotal"] + refunds["adjustment"]).to_numpy()
        note("gross_sales", sold_at, gross, sold)
        note("discounts", sold_at, -discount, sold)
        note("taxes", sold_at, lines["tax"].to_numpy(), sold)
        note("sales_reversals", back_at, back, given_back)
        note("taxes", back_at, -refunds["tax"].to_numpy(), given_back)
        note("shipping_charges", back_at, -refunds["shipping"].to_numpy(), given_back)
        placed_at, shipping = orders["processed_at"].to_numpy(), orders["shipping"] - orders["shipping_discount"]
        note("shipping_charges", placed_at, shipping.to_numpy(), kept)
        note("duties", placed_at, orders["duty"].to_numpy(), kept)
        np.add.at(left["goods"], position[sold], (gross - discount)[sold])
        np.add.at(left["taxes"], position[sold], lines["tax"].to_numpy()[sold])
        of_refund = refunds["position"].to_numpy()[given_back]
        np.add.at(left["goods"], of_refund, back[given_back])
        np.add.at(left["taxes"], of_refund, -refunds["tax"].to_numpy()[given_back])
        np.add.at(left["shipping"], of_refund, -refunds["shipping"].to_numpy()[given_back])
        cancelled_at = orders["cancelled_at"].to_numpy()
        gone = kept & (cancelled_at < clock)
        at = np.where(gone, cancelled_at, clock)
        note("sales_reversals", at, -left["goods"], gone)
        note("taxes", at, -left["taxes"], gone)
        note("shipping_charges", at, -(left["shipping"] + shipping.to_numpy()), gone)
        note("duties", at, -orders["duty"].to_numpy(), gone)
    return told
