"""Connections: pages of a kind of documents, or of a list within one, with cursors that go on where a page ended."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import orjson

from sandbox.shopify.search import SearchError, parse
from sandbox.shopify.shop import Document, Shop

if TYPE_CHECKING:
    pass
from sandbox.shopify.request import MAX_PAGE, ApiError, Request

ALL_ORDERS_DAYS = 60


class Stored(dict[str, Any]):
    """A document of which only the ids are at hand: the rest is read from the shop when a query asks for it.

    What the shop no longer has reads as null.
    """

    def __init__(self, known: Document, table: str, identity: int, shop: Shop) -> None:
        super().__init__(known)
        self._load = lambda: shop.one(table, identity) or {}

    def __missing__(self, name: str) -> Any:
        for key, value in self._load().items():
            self.setdefault(key, value)
        return self.setdefault(name, None)


# --- connections -------------------------------------------------------------------------------------------------


def encode_cursor(sort: str, key: Any, number: int) -> str:
    """An opaque cursor that stands after (sort value, id) in one order of sorting."""
    return base64.urlsafe_b64encode(orjson.dumps([sort, key, number])).decode()


def decode_cursor(text: str, sort: str) -> tuple[Any, int]:
    """The sort value and id of a cursor. Raises ApiError for one that is not ours or of another order of sorting."""
    try:
        sorted_by, key, number = orjson.loads(base64.urlsafe_b64decode(text))
        if sorted_by != sort:
            raise ValueError(sorted_by)
        return key, int(number)
    except (ValueError, TypeError):
        raise ApiError("Invalid cursor for current pagination sort.", "BAD_USER_INPUT") from None


def _size(arguments: Mapping[str, Any]) -> int:
    first = arguments.get("first")
    if not isinstance(first, int) or first < 1:
        raise ApiError("you must provide one of first or last", "BAD_USER_INPUT")
    if first > MAX_PAGE:
        raise ApiError(f"The page size of {first} exceeds the maximum of {MAX_PAGE}", "BAD_USER_INPUT")
    return first


def _connection(entries: list[tuple[str, Any]], more: bool, started: bool) -> dict[str, Any]:
    return {
        "nodes": [node for _, node in entries],
        "edges": [{"cursor": cursor, "node": node} for cursor, node in entries],
        "pageInfo": {
            "startCursor": entries[0][0] if entries else None,
            "endCursor": entries[-1][0] if entries else None,
            "hasNextPage": more,
            "hasPreviousPage": started,
        },
    }


def nested_connection(items: list[Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """A connection over a list within a document."""
    first, after = _size(arguments), arguments.get("after")
    begin = decode_cursor(after, "position")[1] + 1 if after else 0
    part = items[begin : begin + first]
    entries = [(encode_cursor("position", None, begin + place), item) for place, item in enumerate(part)]
    return _connection(entries, begin + first < len(items), begin > 0)


def stored_connection(
    table: str, arguments: Mapping[str, Any], request: Request, more: tuple[tuple[str, str, Any], ...] = ()
) -> dict[str, Any]:
    """A connection over the shop's documents of one kind, where `more` conditions hold."""
    first, after = _size(arguments), arguments.get("after")
    sort = str(arguments.get("sortKey") or "ID").lower()
    if sort not in ("id", "updated_at", "created_at", "processed_at"):
        raise ApiError(f"the simulator does not sort by {sort}", "BAD_USER_INPUT")
    cursor = decode_cursor(after, sort) if after else None
    conditions = [*search_conditions(table, arguments, request), *more]
    found = request.shop.page(table, conditions, sort, bool(arguments.get("reverse")), cursor, first + 1)
    entries = [(encode_cursor(sort, key, number), document) for key, number, document in found[:first]]
    page = _connection(entries, len(found) > first, cursor is not None)
    if "odd_pages" in request.faults and entries:
        _make_odd(page, str(request.faults["odd_pages"]["how"]), after)
    return page


def _make_odd(page: dict[str, Any], how: str, after: str | None) -> None:
    """A page as it must not be: ``holes``, a record ``missing``, one ``twice`` in place of another, one that goes on in
    a ``circle``, or ``ends`` where there is more."""
    nodes, info = page["nodes"], page["pageInfo"]
    if how == "holes":
        nodes[0] = None
    elif how == "missing":
        del nodes[0]
    elif how == "twice":
        nodes[0] = nodes[-1]
    elif how == "circle":
        info |= {"hasNextPage": True, "endCursor": after or info["endCursor"]}
    elif how == "ends":
        info["hasNextPage"] = False


def search_conditions(table: str, arguments: Mapping[str, Any], request: Request) -> list[tuple[str, str, Any]]:
    """Conditions on stored documents that a search text asks for. Raises ApiError for one that is not understood."""
    try:
        conditions = parse(arguments.get("query"), table)
    except SearchError as error:
        raise ApiError(f"Invalid search query: {error}", "BAD_USER_INPUT") from None
    newest = request.shop.newest("updated_at") if table == "orders" and "missing_scope" in request.faults else None
    if newest:  # without read_all_orders older orders are simply not there
        oldest = datetime.fromisoformat(newest) - timedelta(days=ALL_ORDERS_DAYS)
        conditions.append(("created_at", ">=", oldest.strftime("%Y-%m-%dT%H:%M:%SZ")))
    return conditions
