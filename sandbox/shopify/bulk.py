"""Bulk operations: a query without pages that runs in the background and leaves a file of JSON lines.

Every object of a connection is a line of its own; a child names its parent in `__parentId` and comes after it, but not
directly below it unless the caller asked for groups. What Shopify refuses is refused here, in its words.
"""

from __future__ import annotations

import secrets
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from graphql import GraphQLError, OperationDefinitionNode, OperationType, parse, validate

from sandbox.shopify.objects import FIELDS
from sandbox.shopify.request import MAX_PAGE, ApiError, Request, gid, number_of
from sandbox.shopify.selection import Selected, schema, select
from sandbox.shopify.shop import Shop

MAX_RUNNING = 5
MAX_CONNECTIONS = 5
MAX_DEPTH = 2  # connections below the root
HOLD_SECONDS = 0.02  # how often a held operation looks whether it may go on

# How an executor reads the fields of an object; server.py has it, and hands it in.
Compile = Callable[[tuple[Selected, ...], Request], Callable[[Any], dict[str, Any]]]


class _Refused(Exception):
    """A bulk query that Shopify would not take."""


@dataclass
class Operation:
    """One bulk operation, from its creation to its file."""

    number: int
    query: str
    file: Path
    grouped: bool
    status: str = "CREATED"
    created_at: str = field(default_factory=lambda: _now())
    completed_at: str | None = None
    error_code: str | None = None
    roots: int = 0
    objects: int = 0
    cancelled: threading.Event = field(default_factory=threading.Event)

    @property
    def is_open(self) -> bool:
        """Whether it still counts against the limit."""
        return self.status in ("CREATED", "RUNNING", "CANCELING")


class BulkOperations:
    """The bulk operations of one server.

    Args:
        shop: what they read.
        base_url: where the server answers; files are fetched from below it.
        compile_fields: turns selected fields into a function that reads them from an object.
    """

    def __init__(self, shop: Shop, base_url: str, compile_fields: Compile) -> None:
        self._shop = shop
        self._base_url = base_url
        self._compile = compile_fields
        self._lock = threading.Lock()
        self._operations: list[Operation] = []
        self._workers: list[threading.Thread] = []
        self._directory: tempfile.TemporaryDirectory[str] | None = None

    def close(self) -> None:
        """Cancel what runs and remove the files."""
        for operation in self._operations:
            operation.cancelled.set()
        for worker in self._workers:
            worker.join()
        if self._directory:
            self._directory.cleanup()

    def run(self, query: str, grouped: bool, request: Request) -> dict[str, Any]:
        """bulkOperationRunQuery: start an operation, or say why not."""
        try:
            root = _checked(query)
            next(_pages(root, {}, request))  # a search that cannot be read is refused now, not by a failed operation
        except (_Refused, ApiError) as refusal:
            return _payload(None, str(refusal), "INVALID", ["query"])
        with self._lock:
            if sum(operation.is_open for operation in self._operations) >= MAX_RUNNING:
                return _payload(None, "Bulk operations limit reached. Please try again later.", "LIMIT_REACHED", None)
            self._directory = self._directory or tempfile.TemporaryDirectory(prefix="shopify-bulk-")
            file = Path(self._directory.name) / f"{secrets.token_hex(8)}.jsonl"
            operation = Operation(len(self._operations) + 1, query, file, grouped)
            self._operations.append(operation)
        created = self._shown(operation)
        worker = threading.Thread(target=self._work, args=(operation, root, request), daemon=True)
        worker.start()
        self._workers.append(worker)
        return {"bulkOperation": created, "userErrors": []}

    def cancel(self, identity: str) -> dict[str, Any]:
        """bulkOperationCancel: a running operation stops soon afterwards."""
        operation = self._found(identity)
        if operation is None:
            return _payload(None, "Bulk operation does not exist", None, ["id"])
        with self._lock:
            if not operation.is_open:
                message = f"A bulk operation cannot be canceled when it is {operation.status.lower()}"
                return _payload(self._shown(operation), message, None, None)
            operation.status = "CANCELING"
        operation.cancelled.set()
        return {"bulkOperation": self._shown(operation), "userErrors": []}

    def one(self, identity: str) -> dict[str, Any] | None:
        """An operation by its global id."""
        operation = self._found(identity)
        return self._shown(operation) if operation else None

    def all(self) -> list[dict[str, Any]]:
        """All operations, in the order of their creation."""
        return [self._shown(operation) for operation in list(self._operations)]

    def current(self) -> dict[str, Any] | None:
        """The operation created last."""
        return self._shown(self._operations[-1]) if self._operations else None

    def file_of(self, path: str) -> Path | None:
        """The file behind the path of a URL; None where there is none (any more)."""
        if "bulk_gone" in self._shop.faults():
            return None
        for operation in self._operations:
            if path == _path(operation) and not operation.is_open:
                return operation.file
        return None

    def _found(self, identity: str) -> Operation | None:
        number = number_of(identity)
        return next((operation for operation in self._operations if operation.number == number), None)

    def _shown(self, operation: Operation) -> dict[str, Any]:
        filled = operation.objects > 0
        url = f"{self._base_url}{_path(operation)}"
        done = operation.status == "COMPLETED"
        return {
            "id": gid("BulkOperation", operation.number),
            "status": operation.status,
            "type": "QUERY",
            "query": operation.query,
            "errorCode": operation.error_code,
            "createdAt": operation.created_at,
            "completedAt": operation.completed_at,
            "objectCount": str(operation.objects),
            "rootObjectCount": str(operation.roots),
            "fileSize": str(operation.file.stat().st_size) if filled and done else None,
            "url": url if filled and done else None,
            "partialDataUrl": url if filled and operation.status == "FAILED" else None,
        }

    # --- in the background ---

    def _work(self, operation: Operation, root: Selected, request: Request) -> None:
        with self._lock:
            if operation.status == "CREATED":
                operation.status = "RUNNING"
        while self._is_held(operation) and not operation.cancelled.wait(HOLD_SECONDS):
            pass
        self._end(operation, self._write(operation, root, request))

    def _is_held(self, operation: Operation) -> bool:
        hold = self._shop.faults().get("bulk_hold")
        return hold is not None and str(hold.get("query", "")) in operation.query

    def _end(self, operation: Operation, status: str) -> None:
        fails = self._shop.faults().get("bulk_fails", {})
        with self._lock:
            operation.status = status
            operation.completed_at = _now() if status == "COMPLETED" else None
            operation.error_code = fails.get("code", "INTERNAL_SERVER_ERROR") if status == "FAILED" else None

    def _write(self, operation: Operation, root: Selected, request: Request) -> str:
        """Write the objects page by page; the status the operation ends in."""
        fails_after = self._shop.faults().get("bulk_fails", {}).get("after")
        read = self._reader(root, request)
        with operation.file.open("wb") as file:
            for page in _pages(root, {}, request):
                if operation.cancelled.is_set():
                    return "CANCELED"
                if fails_after is not None:
                    page = page[: max(0, int(fails_after) - operation.roots)]
                lines = [line for node in page for line in read(node, 0, None)]
                if not operation.grouped:
                    lines.sort(key=lambda line: line[0])
                file.writelines(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE) for _, record in lines)
                operation.roots += len(page)
                operation.objects += len(lines)
                if fails_after is not None and operation.roots >= int(fails_after):
                    return "FAILED"
        return "COMPLETED"

    def _reader(
        self, connection: Selected, request: Request
    ) -> Callable[[Any, int, str | None], Iterator[tuple[int, dict[str, Any]]]]:
        """A function that makes lines (depth, record) of a node of a connection and of its children."""
        selection = _node_selection(connection)
        own = self._compile(tuple(item for item in selection if not item.is_connection), request)
        nested = [(item, self._reader(item, request)) for item in selection if item.is_connection]

        def lines(node: Any, depth: int, parent: str | None) -> Iterator[tuple[int, dict[str, Any]]]:
            record = own(node)
            yield depth, record if parent is None else {**record, "__parentId": parent}
            for child, read in nested:
                for page in _pages(child, node, request):
                    for item in page:
                        yield from read(item, depth + 1, record["id"])

        return lines


def _pages(connection: Selected, owner: Any, request: Request) -> Iterator[list[Any]]:
    """All nodes of a connection, page by page in the order of their ids."""
    read = FIELDS[connection.owner][connection.name]
    arguments: dict[str, Any] = {**connection.arguments, "first": MAX_PAGE, "sortKey": "ID"}
    while True:
        found: Mapping[str, Any] = read(owner, arguments, request)
        yield found["nodes"]
        if not found["pageInfo"]["hasNextPage"]:
            return
        arguments["after"] = found["pageInfo"]["endCursor"]


def _path(operation: Operation) -> str:
    return f"/bulk/{operation.file.name}"


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _payload(
    operation: dict[str, Any] | None, message: str, code: str | None, place: list[str] | None
) -> dict[str, Any]:
    return {"bulkOperation": operation, "userErrors": [{"field": place, "message": message, "code": code}]}


# --- what may be asked for ---------------------------------------------------------------------------------------


def _checked(query: str) -> Selected:
    """The root connection of a bulk query. Raises _Refused with Shopify's words."""
    try:
        document = parse(query)
    except GraphQLError as error:
        raise _Refused(f"Invalid bulk query: {error.message}") from None
    operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    if len(operations) != 1 or operations[0].operation is not OperationType.QUERY:
        raise _Refused("Invalid operation type. Only `query` operations are supported.")
    if operations[0].variable_definitions:
        raise _Refused("Invalid bulk query: variables are not supported")
    if problems := validate(schema(), document):
        raise _Refused(f"Invalid bulk query: {problems[0].message}")
    roots = select(document, operations[0], {})
    if len(roots) != 1 or not roots[0].is_connection:
        raise _Refused("Bulk queries must contain at least one connection.")
    if _count_connections(roots) > MAX_CONNECTIONS:
        raise _Refused(f"Bulk queries cannot contain more than {MAX_CONNECTIONS} connections.")
    _check_connection(roots[0])
    if _depth(roots[0]) > MAX_DEPTH:
        raise _Refused(f"Bulk queries cannot contain connections with a nesting depth greater than {MAX_DEPTH}.")
    return roots[0]


def _depth(connection: Selected) -> int:
    """How many levels of connections stand below this one."""
    return max((1 + _depth(item) for item in _node_selection(connection) if item.is_connection), default=0)


def _count_connections(selection: tuple[Selected, ...]) -> int:
    return sum(item.is_connection + _count_connections(item.below) for item in selection)


def _check_connection(connection: Selected) -> None:
    name = connection.name
    if any(item.name == "nodes" for item in connection.below) or not _node_selection(connection):
        raise _Refused(
            "All connection fields in a bulk query must select their contents using 'edges' > 'node', e.g: '"
            f"{name} {{ edges {{ node {{'. Selecting via 'nodes' is not supported. Invalid connection fields: '{name}'."
        )
    selection = _node_selection(connection)
    for item in selection:
        if not item.is_connection and _count_connections(item.below):
            raise _Refused("Queries that contain a connection field within a list field are not currently supported.")
        if item.is_connection:
            if not any(part.key == part.name == "id" for part in selection):
                raise _Refused(
                    "The parent 'node' field for a nested connection must select the 'id' field without an alias and "
                    f"must be of 'ID' return type. Connection fields without 'id': {item.name}."
                )
            _check_connection(item)


def _node_selection(connection: Selected) -> tuple[Selected, ...]:
    """What is selected of a connection's nodes."""
    return tuple(
        field
        for edges in connection.below
        if edges.name == "edges"
        for node in edges.below
        if node.name == "node"
        for field in node.below
    )
