"""Answers of the shop that are not what was asked for: one line, and nothing is made up for what they lack."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ingestion.loading.context import SourceError
from ingestion.shopify.received import SOURCE

ODD = "Nothing of this window was kept; the next run reads it again. Report it to Shopify if it stays"


@contextmanager
def as_asked() -> Iterator[None]:
    """Around what takes an answer apart: the queries validate against Shopify's schema, so whatever is not there, or is
    of another shape, is a fault of the answer.

    Raises:
        SourceError: what was looked for, in place of the failure to find it.
    """
    try:
        yield
    except (LookupError, TypeError, AttributeError, ValueError, RecursionError) as error:
        found = " ".join(str(error).split())[:200]
        cause = f"an answer has not the shape that was asked for ({type(error).__name__}: {found})"
        raise SourceError(SOURCE, cause, ODD) from error


def check_connection(connection: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a page of a connection says of the next one: ``hasNextPage`` and ``endCursor``.

    Raises:
        SourceError: it has a hole, or no list of records, or does not say plainly whether it goes on: what it leaves
            out nobody would miss.
    """
    with as_asked():
        names = [name for name in ("nodes", "edges") if name in connection]
        lists = [connection[name] for name in names]
        if not lists or not all(isinstance(records, list) for records in lists):
            raise SourceError(SOURCE, "a page has no list of records", ODD)
        if any(None in records for records in lists):
            raise SourceError(SOURCE, "a page has nothing where a record should be", ODD)
        goes_on(connection)
        info: Mapping[str, Any] = connection["pageInfo"]
        return info


def goes_on(connection: Mapping[str, Any]) -> bool:
    """Whether a connection has more than this page of it.

    Raises:
        SourceError: it does not say so plainly, or not where.
    """
    with as_asked():
        info = connection["pageInfo"]
        has_more = info["hasNextPage"]
        if not isinstance(has_more, bool) or (has_more and not isinstance(info["endCursor"], str)):
            raise SourceError(SOURCE, "a page does not say whether and where it goes on", ODD)
        return has_more


def counted(answer: Mapping[str, Any]) -> int:
    """The number of a count. Raises SourceError where it is none."""
    number = answer.get("count") if isinstance(answer, dict) else None
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        raise SourceError(SOURCE, "a count is no number", ODD)
    return number
