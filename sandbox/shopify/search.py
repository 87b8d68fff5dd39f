"""Shopify's search syntax, as far as a load uses it: comparisons of instants and ids, joined by AND or a space."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

Condition = tuple[str, str, Any]

_TERM = re.compile(r"""\s*(?:AND\s+)?(\w+):(<=|>=|<|>|)\s*('[^']*'|"[^"]*"|[^\s'"]+)""")
COLUMNS = {
    "orders": {"id", "updated_at", "created_at", "processed_at"},
    "products": {"id", "updated_at", "created_at"},
    "variants": {"id", "updated_at"},
    "inventory_items": {"id", "updated_at", "created_at"},
    "levels": {"id", "updated_at"},
}


class SearchError(ValueError):
    """The search text cannot be understood."""


def parse(text: str | None, table: str) -> list[Condition]:
    """Conditions (column, comparison, value) of a search text.

    Raises:
        SearchError: an unknown field, a value that is no instant or number, or another syntax.
    """
    conditions: list[Condition] = []
    rest = (text or "").strip()
    while rest:
        match = _TERM.match(rest)
        if not match:
            raise SearchError(f"cannot read {rest!r}")
        column, comparison, value = match[1], match[2] or "=", match[3].strip("'\"")
        if column not in COLUMNS[table]:
            raise SearchError(f"no search field {column!r}")
        conditions.append((column, comparison, _value(column, value)))
        rest = rest[match.end() :].strip()
    return conditions


def _value(column: str, text: str) -> Any:
    if column == "id":
        if not text.isdecimal():
            raise SearchError(f"{text!r} is not an id")
        return int(text)
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise SearchError(f"{text!r} is not an instant") from None
    return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
