"""Shopify's bulk operations: queries that run in the background and leave a file each (bulk_orders.py reads them)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from ingestion.loading.context import SourceError
from ingestion.shopify import queries
from ingestion.shopify.client import SOURCE, ShopifyClient
from ingestion.shopify.odd_answers import as_asked
from ingestion.shopify.tables.shapes import Record

AT_ONCE = 5  # operations an app may have at once since 2026-01; where Shopify says fewer, that holds
POLL = (1.0, 10.0)  # seconds between two looks at what runs: the first, and the longest
STALLED = 6 * 3600.0  # seconds without any progress (Shopify itself gives up after ten days)

_OPEN = ("CREATED", "RUNNING", "CANCELING")
_TOO_MANY = ("LIMIT_REACHED", "OPERATION_IN_PROGRESS")


@dataclass(frozen=True)
class Operation:
    """A bulk operation as Shopify showed it last.

    Attributes:
        query: its text, by which ours are known.
        objects: lines of its file, so far.
        roots: those of them that are orders.
        size: bytes of the file.
        url: where the file is; None where nothing was found.
    """

    id: str
    query: str
    status: str
    error_code: str | None
    objects: int
    roots: int
    size: int | None
    url: str | None

    @property
    def is_open(self) -> bool:
        """Whether it has not ended yet."""
        return self.status in _OPEN


def _operation(shown: Record) -> Operation:
    with as_asked():
        return Operation(
            id=shown["id"],
            query=shown["query"],
            status=shown["status"],
            error_code=shown["errorCode"],
            objects=int(shown["objectCount"]),
            roots=int(shown["rootObjectCount"]),
            size=None if shown["fileSize"] is None else int(shown["fileSize"]),
            url=shown["url"],
        )


class BulkRuns:
    """Runs bulk queries, as many at once as Shopify allows; use it in a ``with`` block, which cancels what it leaves.

    An operation that runs already with just the text of one of the queries is one of ours that outlived its process:
    its result is taken. No other operation is touched.
    """

    def __init__(self, client: ShopifyClient) -> None:
        self.client = client
        self._open: dict[str, Operation] = {}
        self._pause = POLL[0]
        self._idle = 0.0

    def __enter__(self) -> BulkRuns:
        return self

    def __exit__(self, *_: object) -> None:
        for operation in self._open.values():
            with suppress(SourceError):  # it ends by itself, too
                self.client.query(queries.BULK_CANCEL, {"id": operation.id})

    def run(self, texts: Iterable[str]) -> Iterator[Operation]:
        """The operation of each query when it has ended, in the order in which they end.

        Raises:
            SourceError: Shopify refuses a query, or has no room for one for hours.
        """
        waiting = deque(texts)
        self._adopt(waiting)
        while waiting or self._open:
            self._start(waiting)
            ended = self._look()
            yield from ended
            if not ended:
                self._wait()

    def _adopt(self, waiting: deque[str]) -> None:
        """Take over what runs already of our queries."""
        answer = self.client.query(queries.BULK_OPERATIONS)
        with as_asked():
            operations = [_operation(shown) for shown in answer["bulkOperations"]["nodes"]]
        for operation in operations:
            if operation.status in ("CREATED", "RUNNING") and operation.query in waiting:
                waiting.remove(operation.query)
                self._open[operation.query] = operation

    def _start(self, waiting: deque[str]) -> None:
        while waiting and len(self._open) < AT_ONCE:
            found = self.client.query(queries.BULK_RUN, {"query": waiting[0]})
            with as_asked():
                answer = found["bulkOperationRunQuery"]
                errors, begun = answer["userErrors"], answer["bulkOperation"]
            if errors:
                self._refused(errors, waiting)
                return
            self._open[waiting.popleft()] = _operation(begun)

    def _refused(self, errors: Sequence[Record], waiting: deque[str]) -> None:
        """Nothing to do about too many operations but to wait; anything else is an error."""
        with as_asked():
            are_too_many = all(error["code"] in _TOO_MANY for error in errors)
            message = "; ".join(str(error["message"]) for error in errors)
        if not are_too_many:
            raise SourceError(
                SOURCE,
                f"Shopify refuses a bulk query: {message}",
                "The query does not fit this API version; check it against the schema",
            )
        self._adopt(waiting)  # one whose start was not answered runs all the same

    def _look(self) -> list[Operation]:
        """Ask about all that run; those that have ended."""
        ended = []
        for text, before in list(self._open.items()):
            shown = self.client.query(queries.BULK_OPERATION, {"id": before.id}).get("bulkOperation")
            if shown is None:
                raise SourceError(SOURCE, f"Shopify lost the bulk operation {before.id}", "Run again")
            now = self._open[text] = _operation(shown)
            if now != before:
                self._pause, self._idle = POLL[0], 0.0
            if not now.is_open:
                del self._open[text]
                ended.append(now)
        return ended

    def _wait(self) -> None:
        if self._idle >= STALLED:
            raise SourceError(
                SOURCE,
                f"no bulk operation made any progress in {STALLED / 60:.0f} minutes",
                "See https://www.shopifystatus.com, and what else runs bulk operations with this token; run again",
            )
        self.client.source.pause(self._pause)
        self._idle += self._pause
        self._pause = min(2 * self._pause, POLL[1])
