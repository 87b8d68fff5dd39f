"""Shopify's search syntax, as far as a load uses it: comparisons of instants and ids, joined by AND or a space.

Of inventory items also SKUs, joined by OR. As with Shopify, a text is found by its words, whatever stands between them
and in any case: a search for one SKU finds others, too.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

Condition = tuple[str, str, Any]

_TERM = re.compile(r"""\s*(?:AND\s+)?(\w+):(<=|>=|<|>|)\s*('[^']*'|"[^"]*"|[^\s'"]+)""")
_SKU = re.compile(r"""\s*(OR\s+)?sku:("(?:[^"\\]|\\.)*"|[^\s'":()\\]+)""")
_WORD = re.compile(r"\w+")
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
    if table == "inventory_items" and _SKU.match(rest):
        return [("sku", "has words of any", json.dumps(_skus(rest)))]
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


def _skus(text: str) -> list[str]:
    skus: list[str] = []
    rest = text
    while rest:
        match = _SKU.match(rest)
        if not match or bool(match[1]) != bool(skus):
            raise SearchError(f"cannot read {rest!r}")
        value = match[2]
        skus.append(re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value)
        rest = rest[match.end() :].strip()
    return skus


def has_words_of_any(text: str | None, searched: str) -> bool:
    """Whether a text has all words of one of the texts (a JSON list) that are searched for."""
    words = _words(text or "")
    return any(bool(wanted) and wanted <= words for wanted in map(_words, json.loads(searched)))


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.casefold()))


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
