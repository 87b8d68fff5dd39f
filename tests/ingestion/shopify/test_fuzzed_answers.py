"""Whatever the shop answers: the reading ends in one clear error, or every record of it is a row that says just what it
said, or a reject. `make fuzz` tries many times as many (FUZZ_EXAMPLES)."""

from __future__ import annotations

import copy
import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import httpx
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion.contracts import entity
from ingestion.loading.context import IngestContext, SourceError
from ingestion.loading.planning import plan_reading
from ingestion.shopify.client import ShopifyClient, ShopifySource
from ingestion.shopify.pages import PAGES
from ingestion.shopify.source import ingest
from sandbox.shopify.server import PATH, VERSION
from tests.ingestion.shopify.test_fuzzed_bulk import EXAMPLES, places, values
from tests.support.shop_documents import level, line, order, product, refund, refund_line

if TYPE_CHECKING:
    from conftest import OnlineShop

At = Callable[[str], IngestContext]
NOW = "2026-03-05T10:00"
OPERATION = re.compile(r"(?:query|mutation) (\w+)")
odd_values = values | st.sampled_from(
    [True, False, 0, 1, -1, 2.5, 10**19, 1e308, "", [], {}, [None], "2026-03-05T09:00:00", "gid://shopify/Order/2"]
)


@dataclass
class Answers:
    """A server before the shop that answers some requests otherwise, counted from 0 since the last ``begin``.

    Attributes:
        asked: operation and answer of each request, as text.
        instead: what is answered to a request in place of what the shop says.
        known: what the shop has said, by what it was asked.
        whole: requests and answers of a reading that met no damage, by what was read.
    """

    shop: ShopifySource
    asked: list[tuple[str, bytes]] = field(default_factory=list, repr=False)
    instead: dict[int, bytes] = field(default_factory=dict, repr=False)
    known: dict[bytes, bytes] = field(default_factory=dict, repr=False)
    whole: dict[str, list[tuple[str, bytes]]] = field(default_factory=dict, repr=False)

    def begin(self, instead: dict[int, bytes]) -> None:
        self.asked, self.instead = [], instead

    def answer(self, body: bytes) -> bytes:
        said = self.instead.get(len(self.asked))
        if said is None:
            if body not in self.known:
                token = {"X-Shopify-Access-Token": self.shop.token}
                self.known[body] = httpx.post(self.shop.url + PATH, content=body, headers=token).content
            said = self.known[body]
        named = OPERATION.match(json.loads(body)["query"].strip())
        self.asked.append((named[1] if named else "", said))
        return said


@pytest.fixture
def answers(online: OnlineShop) -> Iterator[tuple[Answers, ShopifySource]]:
    """A shop of a few documents, one of which does not fit a page, and the server before it."""
    many = [line(5000 + number) for number in range(60)]
    online.shop.upsert_orders(
        [order(1, refunds=[refund(21, [refund_line(31, 1001)])]), order(2), order(3, lineItems=many)]
    )
    online.shop.upsert_products([product(1, variants=3), product(2)])
    online.shop.upsert_levels([level(1001), level(1002, available=-2)])
    found = Answers(online.source)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            said = found.answer(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("X-Shopify-API-Version", VERSION)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, format: str, *args: Any) -> None:
            """Requests are not logged."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_address[1]}"
        yield found, replace(online.source, url=url, attempts=2, page_size=50, pause=lambda _: None)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def damaged(draw: Callable[..., Any], said: bytes) -> bytes:
    """An answer with other values, holes, doubled or moved parts, or bytes that are spoilt."""
    body = json.loads(said)
    for _ in range(draw(st.integers(1, 3))):
        *way, last = draw(st.sampled_from(places(body) or [("data",)]))
        try:
            inner = body
            for key in way:
                inner = inner[key]
            what = draw(st.sampled_from(("other", "gone", "twice", "wrapped", "as text", "deep")))
            if what == "other":
                inner[last] = draw(odd_values)
            elif what == "gone":
                del inner[last]
            elif what == "twice":
                inner.insert(last, copy.deepcopy(inner[last]))
            elif what == "wrapped":
                inner[last] = [inner[last]]
            elif what == "as text":
                inner[last] = json.dumps(inner[last])
            else:
                for _ in range(draw(st.sampled_from((10, 300)))):
                    inner[last] = [inner[last]]
        except (KeyError, IndexError, TypeError, AttributeError):
            continue
    text = json.dumps(body).encode()
    if draw(st.integers(0, 9)) == 0:
        place = draw(st.integers(0, len(text)))
        text = text[:place] + draw(st.binary(max_size=6)) + text[draw(st.integers(place, len(text))) :]
    return text


def read(at: At, source: ShopifySource, name: str) -> tuple[dict[str, list[dict[str, Any]]], list[str]]:
    """All rows by table, and the texts of rejects."""
    context, item = at(NOW), entity("shopify", name)
    reading = plan_reading(context, item)
    assert reading
    rows: dict[str, list[dict[str, Any]]] = {}
    with ShopifyClient(source) as client:
        for table, batch in PAGES[name](context, client, item, reading).batches():
            assert isinstance(batch, pa.Table)
            batch.validate(full=True)
            rows.setdefault(table, []).extend(batch.to_pylist())
    rejects = [row["raw_text"] for row in rows.pop("rejects", [])]
    return rows, rejects


# -- what a record says, read without a thought of speed; whatever is no plain value raises ---------------------------


def number(text: Any, kind: str = r"\w+") -> int:
    found = re.fullmatch(rf"gid://shopify/{kind}/(\d+)", text)
    if not found:
        raise TypeError(text)
    return int(found[1])


def whole(value: Any) -> int:
    if type(value) is not int:
        raise TypeError(value)
    return value


def text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def label(value: Any) -> str | None:
    return None if value is None else text(value)


def flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(value)
    return value


def amount(bag: Any) -> Decimal:
    return Decimal(text(bag["shopMoney"]["amount"]))


def instant(value: Any) -> datetime:
    return datetime.fromisoformat(text(value)).astimezone(UTC).replace(tzinfo=None)


def said_of_order(record: Any) -> tuple[Any, ...]:
    return (
        number(record["id"], "Order"),
        text(record["name"]),
        flag(record["test"]),
        text(record["currencyCode"]),
        amount(record["totalPriceSet"]),
        amount(record["totalTaxSet"]) if record["totalTaxSet"] is not None else None,
        instant(record["updatedAt"]),
    )


def said_of_line(record: Any) -> tuple[Any, ...]:
    return (
        number(record["id"], "LineItem"),
        label(record.get("sku")),
        text(record["title"]),
        whole(record["quantity"]),
        amount(record["originalUnitPriceSet"]),
        sum((amount(tax["priceSet"]) for tax in record["taxLines"]), Decimal(0)),
    )


def said_of_product(record: Any) -> list[tuple[Any, ...]]:
    mine = number(record["id"], "Product"), text(record["title"]), text(record["status"])
    return [
        (
            *mine,
            number(one["id"], "ProductVariant"),
            label(one.get("sku")),
            text(one["title"]),
            Decimal(text(one["price"])),
        )
        for one in record["variants"]["nodes"]
    ]


def said_of_level(record: Any) -> tuple[Any, ...]:
    quantities = {one["name"]: whole(one["quantity"]) for one in record["quantities"]}
    return (
        number(record["item"]["id"], "InventoryItem"),
        label(record["item"].get("sku")),
        quantities["available"],
        quantities["on_hand"],
        instant(record["updatedAt"]),
    )


COLUMNS = {
    "orders": ("order_id", "name", "is_test", "currency", "total_amount", "tax_amount", "updated_at"),
    "order_lines": ("line_item_id", "sku", "title", "quantity", "unit_price", "tax_amount"),
    "products": ("product_id", "title", "status", "variant_id", "sku", "variant_title", "price"),
    "inventory": ("inventory_item_id", "sku", "available", "on_hand", "updated_at"),
}
PAGE = {"orders": "OrdersPage", "products": "ProductsPage", "inventory": "InventoryPage"}


def served(answers: Answers, name: str) -> list[Any]:
    """The records of all pages that were answered, each version of one once."""
    records: dict[str, Any] = {}
    for operation, said in answers.asked:
        if operation == PAGE[name]:
            try:
                data = json.loads(said)["data"]
                nodes = (data["location"]["inventoryLevels"] if name == "inventory" else data[name])["nodes"]
            except (ValueError, LookupError, TypeError):
                continue  # such an answer is asked for again
            for place, record in enumerate(nodes):
                key = place if name == "inventory" else (record["id"], record["updatedAt"])
                records.setdefault(repr(key), record)
    return list(records.values())


def rows_said(name: str, record: Any) -> list[tuple[str, tuple[Any, ...]]]:
    """The rows that a record makes, with their tables; of lines that follow on other pages none."""
    if name == "products":
        return [("products", row) for row in said_of_product(record)]
    if name == "inventory":
        return [("inventory", said_of_level(record))]
    lines = record["lineItems"]
    own = [] if lines["pageInfo"]["hasNextPage"] else lines["nodes"]
    return [("orders", said_of_order(record)), *(("order_lines", said_of_line(one)) for one in own)]


@settings(EXAMPLES, max_examples=EXAMPLES.max_examples // 4)
@given(data=st.data())
def test_every_record_is_a_row_as_it_was_or_a_reject_or_the_reading_is_refused(
    at: At, answers: tuple[Answers, ShopifySource], data: st.DataObject
) -> None:
    shop, source = answers
    name = data.draw(st.sampled_from(sorted(PAGE)))
    if name not in shop.whole:
        shop.begin({})
        rows, rejects = read(at, source, name)
        assert (bool(rows), rejects) == (True, [])
        shop.whole[name] = shop.asked
    hit = data.draw(st.integers(0, len(shop.whole[name]) - 1))
    shop.begin({hit: damaged(data.draw, shop.whole[name][hit][1])})
    try:
        rows, rejects = read(at, source, name)
    except SourceError as error:
        assert error.cause
        assert error.cure
        assert "\n" not in str(error)
        return
    records = served(shop, name)
    said = Counter[tuple[str, tuple[Any, ...]]]()
    for record in records:
        with_rows: list[tuple[str, tuple[Any, ...]]] = []
        try:
            with_rows = rows_said(name, record)
        except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError):
            assert any(json.loads(one)["updatedAt"] == record.get("updatedAt") for one in rejects), record
        said.update(with_rows)
    followed = {
        one["id"] for operation, text_of in shop.asked if operation == "OrderLines" for one in lines_of(text_of)
    }
    made = Counter(
        (table, tuple(row[column] for column in COLUMNS[table]))
        for table, found in ((item.removeprefix("shopify_"), rows[item]) for item in rows)
        if table in COLUMNS
        for row in found
        if table != "order_lines" or f"gid://shopify/LineItem/{row['line_item_id']}" not in followed
    )
    assert made - said == Counter()  # nothing that nobody said
    if name != "products":  # a product may have no variant
        heads = sum(count for (table, _), count in made.items() if table == name)
        assert heads + len(rejects) == len(records)


def lines_of(said: bytes) -> list[Any]:
    try:
        nodes = json.loads(said)["data"]["order"]["lineItems"]["nodes"]
        return [one for one in nodes if isinstance(one.get("id"), str)]
    except (ValueError, LookupError, TypeError, AttributeError):
        return []


STEPS = ("source_watermarks", "source_comparisons", "loads")  # what a load begins with


@settings(EXAMPLES, max_examples=EXAMPLES.max_examples // 15)
@given(data=st.data())
def test_a_whole_load_is_refused_in_one_line_or_recorded(
    at: At, answers: tuple[Answers, ShopifySource], data: st.DataObject
) -> None:
    """What is asked beside the pages: scopes, counts, places, the shop's own report."""
    shop, source = answers

    def loaded() -> IngestContext:
        context = at(NOW)
        for table in STEPS:
            context.warehouse.execute(f"DELETE FROM ops.{table}")
        ingest(context, source)
        return context

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "ingestion.shopify.source.load", lambda *given: [*given[2]] and "no load"
        )  # dlt is not tried here
        if not shop.whole:
            shop.begin({})
            loaded()
            shop.whole["load"] = shop.asked
        hit = data.draw(st.integers(0, len(shop.whole["load"]) - 1))
        shop.begin({hit: damaged(data.draw, shop.whole["load"][hit][1])})
        try:
            context = loaded()
        except SourceError as error:
            assert "\n" not in str(error)
            return
    recorded = {name for (name,) in context.warehouse.rows("SELECT DISTINCT entity FROM ops.loads")}
    assert recorded | {notice.subject.removeprefix("shopify_") for notice in context.notices} >= {
        *("orders", "order_lines", "refunds", "sales", "products", "inventory", "sales_reports")
    }
