"""A simulator of the Shopify Admin GraphQL API, version 2026-10, over loopback HTTP.

It speaks the published schema's shapes (shopify_admin_2026-10.graphql is a true subset of it): every query is parsed
and validated with graphql-core, then answered from the shop's documents by an executor of its own, because that of
graphql-core serves only a few hundred orders a second. As with Shopify, any API version may stand in the address; the
header of the answer says which one it was served by.

Faults that the generator switches through `Shop.set_fault` (every N-th request, counted from the start of the server):
`down` {"mode": "503" | "refuse" | "hang"}, `throttle_every` {"n"}, `internal_error_every` {"n"}, `http_429_every` {"n",
"retry_after"}, `truncate_every` {"n"}, `revoked_token` {}, `wrong_version` {"version"}, `missing_scope` {}
(read_all_orders), `lost_scopes` {"handles"}, `slow_bucket` {"maximum", "restore_rate"}; of the sales report
`reports_denied` {} (no access to customer data) and `report_says` {"parseErrors", "tableData"} (in place of what is
so); of pages `odd_pages` {"how"} (`connections`); of counts `count_more` {"by"} and `count_inexact` {}; of bulk
operations `bulk_hold` {"query"} (those whose query has this text, or all, stay RUNNING), `bulk_fails` {"after", "code"}
(they end FAILED after so many root objects, with partial data), `bulk_truncate` {"silently"} (half of a file is served,
as if that were all where silently) and `bulk_gone` {} (none is).
"""

from __future__ import annotations

import argparse
import hmac
import itertools
import re
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from operator import itemgetter
from pathlib import Path
from typing import Any

import orjson
from graphql import (
    DocumentNode,
    FieldNode,
    GraphQLError,
    OperationDefinitionNode,
    execute_sync,
    parse,
    validate,
)
from graphql.execution.values import get_variable_values

from sandbox.shopify.bulk import BulkOperations
from sandbox.shopify.objects import FIELDS, Key
from sandbox.shopify.points import BUCKET, MAX_QUERY_COST, Bucket, actual_cost, requested_cost
from sandbox.shopify.request import ApiError, Request
from sandbox.shopify.selection import Selected, schema, select
from sandbox.shopify.shop import Shop

VERSION = "2026-10"
PATH = f"/admin/api/{VERSION}/graphql.json"
ANY_PATH = re.compile(r"/admin/api/(\d{4}-\d{2}|unstable)/graphql\.json")

Faults = Mapping[str, Mapping[str, Any]]


@lru_cache(maxsize=256)
def _parsed(query: str) -> tuple[DocumentNode | None, tuple[GraphQLError, ...]]:
    try:
        document = parse(query)
    except GraphQLError as error:
        return None, (error,)
    return document, tuple(validate(schema(), document))


def _operation(document: DocumentNode, name: str | None) -> OperationDefinitionNode:
    found = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    named = [node for node in found if node.name and node.name.value == name] if name else found
    if len(named) != 1:
        raise ApiError("An operation name is required", "BAD_REQUEST")
    return named[0]


def _asks_about_schema(operation: OperationDefinitionNode) -> bool:
    names = {node.name.value for node in operation.selection_set.selections if isinstance(node, FieldNode)}
    return bool(names & {"__schema", "__type"})


# --- execution ---------------------------------------------------------------------------------------------------


def compile_fields(selection: Sequence[Selected], request: Request) -> Callable[[Any], dict[str, Any]]:
    """A function that turns an object into its answer. Compiled once a request, then run for every object."""
    parts = [(field.key, _reader(field, request), field.only_on) for field in selection]
    if all(only is None for _, _, only in parts):
        return lambda item: {key: read(item) for key, read, _ in parts}
    return lambda item: {key: read(item) for key, read, only in parts if only is None or item["__typename"] in only}


def _reader(field: Selected, request: Request) -> Callable[[Any], Any]:
    if field.name == "__typename":
        return lambda _: field.owner
    read, arguments = FIELDS[field.owner][field.name], field.arguments
    value: Callable[[Any], Any]
    value = itemgetter(read.name) if isinstance(read, Key) else lambda item: read(item, arguments, request)
    if not field.below:
        return value
    below = compile_fields(field.below, request)
    if field.is_list:
        return lambda item: [None if entry is None else below(entry) for entry in value(item)]
    return lambda item: None if (found := value(item)) is None else below(found)


def _error(message: str, code: str, **more: Any) -> dict[str, Any]:
    return {"message": message, "extensions": {"code": code, **more}}


class Api:
    """Answers request bodies; counts requests, so that every N-th can fail.

    Args:
        shop: what is served.
        base_url: where the server answers.
    """

    def __init__(self, shop: Shop, base_url: str) -> None:
        self.shop = shop
        self.bucket = Bucket()
        self.bulk = BulkOperations(shop, base_url, compile_fields)
        self._requests = itertools.count(1)

    def strikes(self, faults: Faults) -> set[str]:
        """Which of the every-N-th faults hit this request."""
        number = next(self._requests)
        return {name for name, value in faults.items() if "n" in value and number % int(value["n"]) == 0}

    def answer(self, body: bytes, faults: Faults, strikes: set[str]) -> dict[str, Any]:
        """The JSON answer to one request."""
        try:
            asked = orjson.loads(body)
            query, given = str(asked["query"]), dict(asked.get("variables") or {})
        except (KeyError, TypeError, ValueError):
            return {"errors": [_error("The request is no GraphQL request", "BAD_REQUEST")]}
        document, problems = _parsed(query)
        if document is None or problems:
            return {"errors": [{"message": problem.message} for problem in problems]}
        try:
            operation = _operation(document, asked.get("operationName"))
            return self._execute(document, operation, given, faults, strikes)
        except ApiError as error:
            return {"errors": [_error(str(error), error.code)]}

    def _execute(
        self,
        document: DocumentNode,
        operation: OperationDefinitionNode,
        given: dict[str, Any],
        faults: Faults,
        strikes: set[str],
    ) -> dict[str, Any]:
        variables = get_variable_values(schema(), operation.variable_definitions or (), given)
        if isinstance(variables, list):
            return {"errors": [{"message": problem.message} for problem in variables]}
        if _asks_about_schema(operation):
            return {"data": execute_sync(schema(), document, variable_values=given).data}
        selection = select(document, operation, variables)
        cost = requested_cost(selection)
        if cost > MAX_QUERY_COST:
            message = f"Query cost is {cost}, which exceeds the single query max cost limit ({MAX_QUERY_COST})."
            return {"errors": [_error(message, "MAX_COST_EXCEEDED", cost=cost, maxCost=MAX_QUERY_COST)]}
        limits = {**BUCKET, **faults.get("slow_bucket", {})}
        charged = {"requestedQueryCost": cost, "actualQueryCost": None}
        if "throttle_every" in strikes or not self.bucket.charge(cost, limits):
            extensions = {"cost": {**charged, "throttleStatus": self.bucket.status(limits)}}
            return {"errors": [_error("Throttled", "THROTTLED")], "extensions": extensions}
        if "internal_error_every" in strikes:
            message = "Internal error. Looks like something went wrong on our end."
            extensions = {"cost": {**charged, "throttleStatus": self.bucket.status(limits)}}
            return {"errors": [_error(message, "INTERNAL_SERVER_ERROR")], "extensions": extensions}
        data = compile_fields(selection, Request(self.shop, faults, self.bulk))({})
        spent = cost if "odd_pages" in faults else min(cost, actual_cost(selection, data))
        self.bucket.give_back(cost - spent)
        paid = {"requestedQueryCost": cost, "actualQueryCost": spent, "throttleStatus": self.bucket.status(limits)}
        return {"data": data, "extensions": {"cost": paid}}


# --- HTTP --------------------------------------------------------------------------------------------------------


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        faults = self.server.api.shop.faults()
        strikes = self.server.api.strikes(faults)
        if (down := faults.get("down")) is not None:
            self._be_down(str(down.get("mode", "503")))
        elif "http_429_every" in strikes:
            seconds = faults["http_429_every"].get("retry_after", 1)
            self._send(429, b'{"errors":"Too Many Requests"}', {"Retry-After": str(seconds)})
        elif not ANY_PATH.fullmatch(self.path):
            self._send(404, b'{"errors":"Not Found"}')
        elif not self._authorised() or "revoked_token" in faults:
            refusal = "[API] Invalid API key or access token (unrecognized login or wrong password)"
            self._send(401, orjson.dumps({"errors": refusal}))
        else:
            answer = orjson.dumps(self.server.api.answer(body, faults, strikes))
            version = str(faults.get("wrong_version", {}).get("version", VERSION))
            cut = len(answer) // 2 if "truncate_every" in strikes else None
            self._send(200, answer[:cut], {"X-Shopify-API-Version": version})

    def do_GET(self) -> None:
        """The file of a bulk operation; as with Shopify, its address is secret and needs no token."""
        if (file := self.server.api.bulk.file_of(self.path)) is None:
            self._send(404, b'{"errors":"Not Found"}')
            return
        size = promised = file.stat().st_size
        if (truncate := self.server.api.shop.faults().get("bulk_truncate")) is not None:
            size //= 2
            promised = size if truncate.get("silently") else promised
        self.send_response(200)
        self.send_header("Content-Type", "application/jsonl")
        self.send_header("Content-Length", str(promised))
        self.end_headers()
        with file.open("rb") as content:
            self.wfile.flush()
            self.connection.sendfile(content, count=size or None)
        self.close_connection = self.close_connection or size < promised

    def _authorised(self) -> bool:
        return hmac.compare_digest(self.headers.get("X-Shopify-Access-Token") or "", self.server.token)

    def _be_down(self, mode: str) -> None:
        if mode == "hang":
            self.server.stopping.wait()
        if mode in ("hang", "refuse"):  # the nearest to a closed port that one request can see
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self._send(503, b'{"errors":"Service Unavailable"}')

    def _send(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not logged."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port: int, shop: Shop, token: str) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.api = Api(shop, f"http://127.0.0.1:{self.server_address[1]}")
        self.token = token
        self.stopping = threading.Event()

    def shutdown(self) -> None:
        self.stopping.set()
        super().shutdown()

    def server_close(self) -> None:
        super().server_close()
        self.api.bulk.close()


def create_server(shop_path: Path, token: str, port: int = 0) -> ThreadingHTTPServer:
    """A server on 127.0.0.1, bound and not yet serving; port 0 takes a free one, `server_address` says which."""
    return _Server(port, Shop(shop_path), token)


def main() -> None:
    """Run the simulator until it is ended."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--shop", type=Path, required=True, help="the shop's SQLite file")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--token-file", type=Path, required=True, help="file that holds the access token")
    arguments = parser.parse_args()
    token = arguments.token_file.read_text(encoding="utf-8").strip()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # so that the files of bulk operations are removed
    with create_server(arguments.shop, token, arguments.port) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
