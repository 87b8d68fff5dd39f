"""Answers that make the client wait, and those that make it give up with a cause and a cure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from ingestion.clock import utc_now
from ingestion.loading.context import IngestContext, SourceError, TimeLimit
from ingestion.retries import AGAIN
from ingestion.shopify import client as shopify_client
from ingestion.shopify.client import ShopifyClient
from ingestion.shopify.source import ShopifySource, ingest
from insightmart.doctor.examination import examine
from insightmart.settings import Settings

if TYPE_CHECKING:
    from conftest import OnlineShop

from tests.support.shop_documents import order, raw

At = Callable[[str], IngestContext]


@pytest.mark.parametrize(
    ("fault", "value"),
    [
        ("throttle_every", {"n": 2}),
        ("internal_error_every", {"n": 2}),
        ("http_429_every", {"n": 2, "retry_after": 1}),
        ("truncate_every", {"n": 2}),
    ],
)
def test_what_passes_is_waited_out(at: At, online: OnlineShop, fault: str, value: dict[str, Any]) -> None:
    online.shop.upsert_orders(order(number, f"2026-03-05T09:{number:02d}:00Z") for number in range(1, 8))
    online.shop.set_fault(fault, value)
    context = at("2026-03-05T10:00")
    with capture_logs() as logged:
        ingest(context, replace(online.source, page_size=2))
    told = [line["seconds"] for line in logged if line["event"] == AGAIN and line["whom"] == "Shopify"]
    assert told == [round(pause, 1) for pause in online.pauses]
    assert [row[0] for row in raw(context, "orders", "order_id")] == list(range(1, 8))
    assert online.pauses
    assert fault != "http_429_every" or set(online.pauses) >= {1.0}


def test_a_wait_until_a_date_is_kept(at: At, online: OnlineShop) -> None:
    online.shop.upsert_orders([order(1)])
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=120), usegmt=True)
    online.shop.set_fault("http_429_every", {"n": 2, "retry_after": date})
    ingest(at("2026-03-05T10:00"), online.source, entities=["orders"])
    assert all(60 < pause <= 121 for pause in online.pauses) and online.pauses


@pytest.mark.parametrize("after", ["soon", "nan", "-5"])
def test_a_wait_that_makes_no_sense_is_our_own(at: At, online: OnlineShop, after: str) -> None:
    online.shop.upsert_orders([order(1)])
    online.shop.set_fault("http_429_every", {"n": 2, "retry_after": after})
    ingest(at("2026-03-05T10:00"), online.source, entities=["orders"])
    assert raw(at("2026-03-05T10:00"), "orders", "order_id") == [(1,)]
    assert max(online.pauses) <= 0.01


def test_a_wait_of_an_hour_is_left_to_the_next_run(at: At, online: OnlineShop) -> None:
    online.shop.set_fault("http_429_every", {"n": 1, "retry_after": 3600})
    assert "in 1 attempts: HTTP 429, to wait 3,600 s: not now" in failure(at("2026-03-05T10:00"), online.source).cause
    assert online.pauses == []


def test_no_wait_goes_beyond_the_time_of_the_source(at: At, online: OnlineShop) -> None:
    online.shop.set_fault("http_429_every", {"n": 1, "retry_after": 200})
    context = replace(at("2026-03-05T10:00"), limit=TimeLimit("shopify", 100))
    assert "to wait 200 s: not now" in failure(context, online.source).cause
    assert online.pauses == []
    online.shop.set_fault("http_429_every", None)
    over = replace(context, limit=TimeLimit("shopify", 0))
    assert "was not read within 0 s" in failure(over, online.source).cause


def test_the_wait_is_as_long_as_the_next_page_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(shopify_client.time, "monotonic", lambda: now)
    points = shopify_client._Points()
    assert points.seconds_until_affordable("page") == 0
    status = {"maximumAvailable": 1000.0, "currentlyAvailable": 41, "restoreRate": 50.0}
    points.update("page", {"requestedQueryCost": 941, "throttleStatus": status})
    assert points.seconds_until_affordable("page") == 18
    assert points.seconds_until_affordable("another query") == 0
    now = 110.0
    assert points.seconds_until_affordable("page") == 8
    now = 200.0
    assert points.seconds_until_affordable("page") == 0


def failure(context: IngestContext, source: ShopifySource) -> SourceError:
    with pytest.raises(SourceError) as raised:
        ingest(context, source)
    assert source.token not in str(raised.value)
    assert context.warehouse.rows("SELECT * FROM ops.source_watermarks") == []
    assert raw(context, "orders", "order_id") == []
    return raised.value


@pytest.mark.parametrize(("mode", "cause"), [("refuse", "attempts"), ("503", "HTTP 503"), ("hang", "Timeout")])
def test_a_shop_that_is_down(at: At, online: OnlineShop, mode: str, cause: str) -> None:
    online.shop.upsert_orders([order(1)])
    online.shop.set_fault("down", {"mode": mode})
    context = at("2026-03-05T10:00")
    error = failure(context, replace(online.source, attempts=2, timeout=0.2))
    assert cause in error.cause and "in 2 attempts" in error.cause
    online.shop.set_fault("down", None)
    ingest(context, online.source)
    assert raw(context, "orders", "order_id") == [(1,)]


def test_nobody_there(at: At) -> None:
    error = failure(at("2026-03-05T10:00"), ShopifySource("http://127.0.0.1:1", "x-token", attempts=2, retry_wait=0))
    assert "ConnectError" in error.cause and "SHOPIFY_URL" in error.cure


@pytest.mark.parametrize("url", ["127.0.0.1:1", "http://127.0.0.1:notaport", "ftp://127.0.0.1"])
def test_a_malformed_url(at: At, url: str) -> None:
    assert "malformed" in failure(at("2026-03-05T10:00"), ShopifySource(url, "x-token")).cause


def test_a_token_that_no_header_can_carry_is_not_shown(at: At, online: OnlineShop) -> None:
    assert "malformed" in failure(at("2026-03-05T10:00"), replace(online.source, token="line\nbreak")).cause


def test_a_refused_token(at: At, online: OnlineShop) -> None:
    error = failure(at("2026-03-05T10:00"), replace(online.source, token="shpat_not_this_one"))
    assert "HTTP 401" in error.cause and "SHOPIFY_TOKEN" in error.cure
    online.shop.set_fault("revoked_token", {})
    assert "HTTP 401" in failure(at("2026-03-05T10:00"), online.source).cause


def test_another_version(at: At, online: OnlineShop) -> None:
    online.shop.set_fault("wrong_version", {"version": "2027-01"})
    assert "2026-10" in failure(at("2026-03-05T10:00"), online.source).cause


def test_a_scope_that_is_lost_is_one_line_and_nothing_else_happens(at: At, online: OnlineShop) -> None:
    online.shop.upsert_orders([order(1)])
    first = at("2026-03-05T10:00")
    ingest(first, online.source)
    online.shop.set_fault("lost_scopes", {"handles": ["read_inventory", "read_customers"]})
    online.shop.upsert_orders([order(2, "2026-03-05T10:05:00Z")])
    online.shop.delete_orders([1])
    later = at("2026-03-06T11:00")
    with pytest.raises(SourceError) as raised:
        ingest(later, online.source)
    error = raised.value
    assert "lost the scope read_customers, read_inventory" in error.cause
    assert "Grant the app the scope again" in error.cure
    assert raw(later, "orders", "order_id") == [(1,)]
    assert later.warehouse.value("SELECT MAX(covered_through) FROM ops.source_watermarks") == first.as_of
    online.shop.set_fault("lost_scopes", None)
    ingest(later, online.source)
    assert (2,) in raw(later, "orders", "order_id")


def test_doctor_says_beforehand_that_old_orders_would_be_hidden(online: OnlineShop, tmp_path: Path) -> None:
    online.shop.set_fault("missing_scope", {})
    where = {"SHOPIFY_URL": online.source.url, "SHOPIFY_TOKEN": online.source.token, "_env_file": None}
    old = Settings(home=tmp_path, start=date(2020, 1, 1), **where)  # type: ignore[arg-type]
    [finding] = examine(old, ["shopify"])
    assert finding.status == "failed"
    assert finding.detail.endswith("and history begins 2020-01-01 (INSIGHTMART_START)")
    young = Settings(home=tmp_path, start=utc_now().date(), **where)  # type: ignore[arg-type]
    assert [finding.status for finding in examine(young, ["shopify"])] == ["note"]


def test_old_orders_are_not_left_out_silently(at: At, online: OnlineShop) -> None:
    online.shop.set_fault("missing_scope", {})
    online.shop.upsert_orders([order(1)])
    old = replace(at("2026-03-05T10:00"), history_start=datetime(2025, 1, 1))
    assert "read_all_orders" in failure(old, online.source).cure
    young = at("2026-03-05T10:00")
    ingest(young, online.source)
    assert raw(young, "orders", "order_id") == [(1,)]


def test_the_token_is_not_in_the_settings_text(online: OnlineShop) -> None:
    assert online.source.token not in repr(online.source)


def test_a_page_that_costs_too_much_is_halved(online: OnlineShop) -> None:
    online.shop.upsert_orders(order(number) for number in range(1, 601))
    costly = """query Costly($first: Int!, $after: String) {
      orders(first: $first, after: $after, sortKey: ID) {
        nodes { id refunds(first: 100) { id refundLineItems(first: 50) { nodes { id lineItem { id } } } } }
        pageInfo { hasNextPage endCursor }
      }
    }"""
    with ShopifyClient(online.source) as client:
        pages = [data["orders"]["nodes"] for data in client.pages(costly, {}, lambda data: data["orders"])]
    assert [node["id"] for page in pages for node in page] == [f"gid://shopify/Order/{n}" for n in range(1, 601)]
    assert [len(page) for page in pages] == [31] * 19 + [11]


def test_an_answer_without_end_is_given_up(online: OnlineShop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingestion.shopify.received.LONGEST_ANSWER", 20)
    with ShopifyClient(online.source) as client, pytest.raises(SourceError, match="more than 20 bytes"):
        client.query("{ shop { name } }")
