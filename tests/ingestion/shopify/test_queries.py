"""What the Shopify source asks for: against the published schema, and against the part of it the simulator serves."""

from __future__ import annotations

import gzip
import json
import os
import re
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from graphql import (
    GraphQLSchema,
    TypeInfo,
    TypeInfoVisitor,
    Visitor,
    build_client_schema,
    get_named_type,
    parse,
    validate,
    visit,
)

from ingestion.shopify import queries as shopify_queries
from ingestion.shopify.deleted_orders import ORDER_IDS_PAGE, orders_there
from ingestion.shopify.queries import ACCESS_SCOPES, bulk_orders, orders_by_id
from ingestion.shopify.sales_reports import REPORTS_SCOPE, SALES_REPORT
from sandbox.shopify.selection import schema as served_schema

ROOT = Path(__file__).resolve().parents[3]
SHARED = ROOT.parent / "shared" / "data" / "shopify" / "admin_2026-10.json.gz"
PUBLISHED = Path(os.environ.get("SHOPIFY_SCHEMA", SHARED))

QUERIES = {
    name: text
    for name, text in vars(shopify_queries).items()
    if re.fullmatch("[A-Z][A-Z_]*", name) and isinstance(text, str)
} | {
    "bulk_orders": bulk_orders("updated_at:>='2026-03-05T10:00:00Z' AND updated_at:<'2026-03-05T11:00:00Z'"),
    "orders_by_id": orders_by_id(3),
    "order_ids_page": ORDER_IDS_PAGE,
    "orders_there": orders_there(3),
    "sales_report": SALES_REPORT,
}


@pytest.fixture(scope="module")
def published() -> dict[str, Any]:
    """Shopify's own schema of the version the queries are written for, with the access scopes of its parts."""
    if not PUBLISHED.exists():
        pytest.skip(f"the published schema is not at {PUBLISHED}; SHOPIFY_SCHEMA says where else it is")
    found: dict[str, Any] = json.loads(gzip.decompress(PUBLISHED.read_bytes()))
    return found


@pytest.fixture(scope="module")
def published_schema(published: dict[str, Any]) -> GraphQLSchema:
    return build_client_schema(published["data"])


@pytest.mark.parametrize("name", QUERIES)
def test_every_query_is_valid_in_the_published_schema(published_schema: GraphQLSchema, name: str) -> None:
    assert validate(published_schema, parse(QUERIES[name])) == []


@pytest.mark.parametrize("name", QUERIES)
def test_every_query_is_valid_in_the_simulator(name: str) -> None:
    assert validate(served_schema(), parse(QUERIES[name])) == []


def test_a_search_cannot_leave_its_quotes() -> None:
    text = bulk_orders('name:"x" }')
    assert 'orders(query: "name:\\"x\\" }", sortKey' in text
    assert validate(served_schema(), parse(text)) == []


class _Alternatives(Visitor):
    """Collects what the fields and types of a query need: of each the scopes of which one is enough."""

    def __init__(self, types: TypeInfo, items: list[dict[str, Any]]) -> None:
        super().__init__()
        self.types = types
        self.needed: set[tuple[str, ...]] = set()
        self.of = {(item["typeName"], item.get("fieldName")): tuple(item["offlineScopes"]) for item in items}

    def enter_field(self, node: Any, *_: Any) -> None:
        owner, returned = self.types.get_parent_type(), get_named_type(self.types.get_type())
        assert owner is not None and returned is not None
        for key in ((owner.name, node.name.value), (returned.name, None)):
            if self.of.get(key):
                self.needed.add(self.of[key])


def test_the_documented_access_scopes_are_what_the_queries_need(
    published: dict[str, Any], published_schema: GraphQLSchema
) -> None:
    needed: set[tuple[str, ...]] = set()
    for text in QUERIES.values():
        types = TypeInfo(published_schema)
        visitor = _Alternatives(types, published["offline_scopes"]["items"])
        visit(parse(text), TypeInfoVisitor(types, visitor))
        needed |= visitor.needed
    assert [some for some in needed if not set(some) & {*ACCESS_SCOPES, REPORTS_SCOPE}] == []
    assert set(ACCESS_SCOPES) <= set(chain.from_iterable(needed))
    only = {some[0] for some in needed if len(some) == 1}
    assert {*ACCESS_SCOPES, REPORTS_SCOPE} <= only  # each is the only way to something


def test_the_readme_names_the_access_scopes() -> None:
    bullet = re.search(r"\*\*Shopify:\*\*.*?(?=\n\n|\n- )", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert bullet is not None
    assert set(re.findall(r"`(read_\w+)`", bullet[0])) == {*ACCESS_SCOPES, "read_all_orders", REPORTS_SCOPE}
